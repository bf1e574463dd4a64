//! Asset classes: by a path's extension *and* the response's type, and the Cache-Control they get.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::fingerprint::is_fingerprinted;
use crate::head::{RequestHead, ResponseHead};
use crate::origin::OriginUrl;

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
    /// It counts where the origin sent no Cache-Control and no Expires.
    #[default]
    Fill,
    /// It replaces the origin's Cache-Control, unless that forbids sharing or storing.
    Override,
}

/// `[assets]`
#[derive(Deserialize, Serialize, Debug, Clone, PartialEq)]
#[serde(deny_unknown_fields, default)]
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
#[serde(deny_unknown_fields, default)]
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheControl(Box<str>);

/// Why a response gets no Cache-Control here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotSet {
    /// Not GET or HEAD.
    Method,
    /// Not 200, 206 or 304.
    Status,
    /// It sets a cookie.
    SetCookie,
    /// The origin forbids sharing or storing it.
    Private,
    /// The origin has said how long it lasts, and `mode` is `fill`.
    OriginSaid,
    /// Its extension and its type do not belong to one class.
    NoClass,
    /// Its class leaves it alone.
    NoPolicy,
}

impl NotSet {
    /// For people.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Method => "method",
            Self::Status => "status",
            Self::SetCookie => "set-cookie",
            Self::Private => "private",
            Self::OriginSaid => "origin said",
            Self::NoClass => "no class",
            Self::NoPolicy => "no policy",
        }
    }
}

/// The Cache-Control that a response is to get.
///
/// # Errors
/// Why it gets none.
pub fn policy<'c>(
    request: &RequestHead,
    response: &ResponseHead,
    config: &'c AssetConfig,
) -> Result<Cow<'c, str>, NotSet> {
    let _ = (request, response, config, is_fingerprinted(""));
    Err(NotSet::NoClass)
}

/// The URL where another host has the asset that is asked for. Its answer counts when it is a success or 304; else
/// the route's own origin is asked. It gets no credentials: neither Cookie nor Authorization.
pub fn cdn_url(request: &RequestHead, config: &AssetConfig) -> Option<String> {
    let _ = (request, config);
    None
}

/// A media type without its parameters.
pub(super) fn essence(content_type: &str) -> &str {
    content_type.split(';').next().unwrap_or_default().trim()
}

impl FromStr for CacheControl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(Self(text.into()))
    }
}

impl fmt::Display for CacheControl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

super::text_serde!(CacheControl);

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
