//! The asset classes: what belongs to each, and what it gets. The table of the config reference is
//! `Class::defaults`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::head::split_list;
use crate::origin::OriginUrl;
use crate::time::DeltaSeconds;

/// A kind of asset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// png, jpg, svg, ...
    Images,
    /// js, css, ...
    Scripts,
    /// woff2, ttf, ...
    Fonts,
    /// mp4, mp3, ...
    Media,
    /// html, pdf, ...
    Documents,
    /// json, xml, ...
    Data,
}

/// Whether a class's policy gives way to the origin's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// It counts where the origin sent no Cache-Control, CDN-Cache-Control, Expires or Pragma.
    #[default]
    Fill,
    /// It replaces the origin's Cache-Control, unless that forbids sharing or storing.
    Override,
}

/// `[assets]`
#[derive(Deserialize, Serialize, Debug, Clone, PartialEq)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(target_arch = "wasm32"), serde(default))]
pub struct AssetConfig {
    /// Default `"fill"`.
    pub mode: Mode,
    /// What a fingerprinted name gets; default `public, max-age=31536000, immutable`.
    pub fingerprinted: CacheControl,
    /// Whether a response to a request with cookies is everybody's; default false: it is marked `private`, but
    /// where its name is fingerprinted.
    pub share_with_cookies: bool,
    /// Default `public, max-age=31536000` (a year).
    pub images: ClassConfig,
    /// Scripts and style sheets; default `public, max-age=2592000` (30 days).
    pub scripts: ClassConfig,
    /// Default `public, max-age=31536000`.
    pub fonts: ClassConfig,
    /// Audio and video; default `public, max-age=31536000`.
    pub media: ClassConfig,
    /// Default `no-cache`.
    pub documents: ClassConfig,
    /// Default none: each route says it.
    pub data: ClassConfig,
}

/// `[assets.CLASS]`; what is missing is as in the default table.
#[derive(Deserialize, Serialize, Debug, Clone, PartialEq, Default)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(target_arch = "wasm32"), serde(default))]
pub struct ClassConfig {
    /// The Cache-Control, or `"none"`: it is left alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_control: Option<CacheControl>,
    /// Extensions without their dot, in lower case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extensions: Option<Vec<String>>,
    /// Media types, `image/*` for all of a kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub types: Option<Vec<String>>,
    /// Another host that has these files under the same paths, asked first: `https://cdn.example.com`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cdn_base: Option<OriginUrl>,
}

/// A Cache-Control that a config says, or `none`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct CacheControl(Box<str>);

impl AssetConfig {
    /// The class of a response: its extension and its type must both belong to it. A page needs no extension.
    pub fn class(&self, path: &str, content_type: Option<&str>) -> Option<Class> {
        let kind = essence(content_type?);
        let by_extension = extension(path).and_then(|extension| self.class_of_extension(extension));
        Some(by_extension.unwrap_or(Class::Documents)).filter(|class| self.of(*class).has_type(*class, kind))
    }

    /// The class that an extension belongs to: what the config lists goes before the default table.
    pub(super) fn class_of_extension(&self, extension: &str) -> Option<Class> {
        let is_known = |known: &str| known.eq_ignore_ascii_case(extension);
        let lists = |class: &Class| self.of(*class).extensions.as_deref();
        let listed =
            |class: &Class| lists(class).is_some_and(|list| list.iter().any(|known| is_known(known)));
        let by_default =
            |class: &Class| lists(class).is_none() && class.defaults().extensions.split(' ').any(is_known);
        CLASSES.into_iter().find(listed).or_else(|| CLASSES.into_iter().find(by_default))
    }

    /// What the config says of a class.
    pub fn of(&self, class: Class) -> &ClassConfig {
        match class {
            Class::Images => &self.images,
            Class::Scripts => &self.scripts,
            Class::Fonts => &self.fonts,
            Class::Media => &self.media,
            Class::Documents => &self.documents,
            Class::Data => &self.data,
        }
    }

    /// The Cache-Control of a class, or `none`.
    pub fn cache_control(&self, class: Class) -> &str {
        self.of(class).cache_control.as_ref().map_or(class.defaults().cache_control, |value| &value.0)
    }
}

impl ClassConfig {
    fn has_type(&self, class: Class, kind: &str) -> bool {
        match &self.types {
            Some(list) => list.iter().any(|known| type_matches(known, kind)),
            None => class.defaults().types.split(' ').any(|known| type_matches(known, kind)),
        }
    }
}

/// Whether `image/*` or `image/png` covers a media type.
fn type_matches(pattern: &str, kind: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(front) => {
            kind.split_at_checked(front.len()).is_some_and(|(head, _)| head.eq_ignore_ascii_case(front))
        }
        None => pattern.eq_ignore_ascii_case(kind),
    }
}

/// Every class.
pub const CLASSES: [Class; 6] =
    [Class::Images, Class::Scripts, Class::Fonts, Class::Media, Class::Documents, Class::Data];

/// A row of the default table; the lists are separated by spaces.
struct Defaults {
    cache_control: &'static str,
    extensions: &'static str,
    types: &'static str,
}

const YEAR: &str = "public, max-age=31536000";

impl Class {
    /// As the config names it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Images => "images",
            Self::Scripts => "scripts",
            Self::Fonts => "fonts",
            Self::Media => "media",
            Self::Documents => "documents",
            Self::Data => "data",
        }
    }

    const fn defaults(self) -> Defaults {
        match self {
            Self::Images => Defaults {
                cache_control: YEAR,
                extensions: "png jpg jpeg gif webp avif svg ico bmp",
                types: "image/*",
            },
            Self::Scripts => Defaults {
                cache_control: "public, max-age=2592000",
                extensions: "js mjs css wasm",
                types: "text/javascript application/javascript application/x-javascript text/css application/wasm",
            },
            Self::Fonts => Defaults {
                cache_control: YEAR,
                extensions: "woff2 woff ttf otf eot",
                types: "font/* application/font-woff application/font-woff2 application/x-font-woff \
                        application/x-font-ttf application/vnd.ms-fontobject application/octet-stream",
            },
            Self::Media => Defaults {
                cache_control: YEAR,
                extensions: "mp4 webm m4v mov ogv mp3 m4a aac ogg oga opus wav flac",
                types: "video/* audio/* application/ogg",
            },
            Self::Documents => Defaults {
                cache_control: "no-cache",
                extensions: "html htm xhtml pdf",
                types: "text/html application/xhtml+xml application/pdf",
            },
            Self::Data => Defaults {
                cache_control: NONE,
                extensions: "json xml csv txt map webmanifest",
                types: "application/json application/manifest+json application/xml text/xml text/csv text/plain",
            },
        }
    }
}

/// What a config writes where the origin's word is to stay.
pub(super) const NONE: &str = "none";

/// The directives that a Cache-Control of a config may have, those with seconds ending in `=`.
const DIRECTIVES: [&str; 13] = [
    "public",
    "private",
    "no-cache",
    "no-store",
    "no-transform",
    "must-revalidate",
    "proxy-revalidate",
    "immutable",
    "must-understand",
    "max-age=",
    "s-maxage=",
    "stale-while-revalidate=",
    "stale-if-error=",
];

impl CacheControl {
    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for CacheControl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_known = |directive: &str| {
            DIRECTIVES.iter().any(|known| match known.ends_with('=') {
                true => directive.strip_prefix(known).is_some_and(|secs| DeltaSeconds::parse(secs).is_some()),
                false => directive == *known,
            })
        };
        let mut directives = split_list(text).peekable();
        if text == NONE || (directives.peek().is_some() && directives.all(is_known)) {
            return Ok(Self(text.into()));
        }
        Err(mistake!(
            "`{text}` is not a Cache-Control; allowed: \"none\", or a list of {} with seconds behind each `=`",
            DIRECTIVES.join(", ")
        ))
    }
}

impl fmt::Display for CacheControl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

text_serde!(CacheControl, packed);

impl Default for AssetConfig {
    fn default() -> Self {
        Self {
            mode: Mode::Fill,
            fingerprinted: CacheControl("public, max-age=31536000, immutable".into()),
            share_with_cookies: false,
            images: ClassConfig::default(),
            scripts: ClassConfig::default(),
            fonts: ClassConfig::default(),
            media: ClassConfig::default(),
            documents: ClassConfig::default(),
            data: ClassConfig::default(),
        }
    }
}
/// A media type without its parameters.
pub(super) fn essence(content_type: &str) -> &str {
    content_type.split(';').next().unwrap_or_default().trim()
}

/// What follows the last dot of a path's last segment.
pub(super) fn extension(path: &str) -> Option<&str> {
    let name = path.rsplit('/').next()?;
    name.rsplit_once('.').map(|(_, extension)| extension).filter(|extension| !extension.is_empty())
}
