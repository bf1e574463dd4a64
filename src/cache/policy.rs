//! What a route says about storing and reusing responses. Every default is the safe one.

pub mod whole;

use serde::{Deserialize, Serialize};

use super::purge::TAG_FIELDS;
use super::rules::{FieldName, KeyRules, VaryRules};
use super::similar::Similar;
use crate::head::Fields;
use crate::identity::Identity;
use crate::list::Dict;
use crate::size::Size;
use crate::time::Span;

/// Where a stored response lives, in the order in which the layers are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layer {
    /// The isolate's own memory.
    Memory,
    /// The data centre's Cache API.
    Colo,
    /// Workers KV, everywhere.
    Kv,
}

impl Layer {
    /// As the config and Cache-Status name it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Colo => "colo",
            Self::Kv => "kv",
        }
    }
}

/// How long the named classes last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(target_arch = "wasm32"), serde(default))]
pub struct Classes {
    /// `"short"`, default 60s.
    pub short: Span,
    /// `"medium"`, default 5m.
    pub medium: Span,
    /// `"long"`, default 1h.
    pub long: Span,
    /// `"very_long"`, default 24h.
    pub very_long: Span,
}

impl Default for Classes {
    fn default() -> Self {
        Self {
            short: Span::from_secs(60),
            medium: Span::from_secs(300),
            long: Span::from_secs(3600),
            very_long: Span::from_secs(86_400),
        }
    }
}

/// A lifetime as the config writes it: a class by name, or a duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub enum Ttl {
    /// `"short"`
    Short,
    /// `"medium"`
    Medium,
    /// `"long"`
    Long,
    /// `"very_long"`
    VeryLong,
    /// A duration such as `"90s"`.
    Span(Span),
}

impl Ttl {
    /// How long that is.
    pub const fn span(self, classes: &Classes) -> Span {
        match self {
            Self::Short => classes.short,
            Self::Medium => classes.medium,
            Self::Long => classes.long,
            Self::VeryLong => classes.very_long,
            Self::Span(span) => span,
        }
    }
}

impl TryFrom<String> for Ttl {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Ok(match text.as_str() {
            "short" => Self::Short,
            "medium" => Self::Medium,
            "long" => Self::Long,
            "very_long" => Self::VeryLong,
            _ => Self::Span(text.parse().map_err(|error| {
                mistake!("{error}, or a class: \"short\", \"medium\", \"long\", \"very_long\"")
            })?),
        })
    }
}

impl From<Ttl> for String {
    fn from(ttl: Ttl) -> Self {
        match ttl {
            Ttl::Short => "short".into(),
            Ttl::Medium => "medium".into(),
            Ttl::Long => "long".into(),
            Ttl::VeryLong => "very_long".into(),
            Ttl::Span(span) => span.to_string(),
        }
    }
}

packed_serde!(Ttl as String);

/// Whether the route's lifetime gives way to the origin's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TtlMode {
    /// The route's lifetime counts where the origin said nothing about freshness.
    #[default]
    Fill,
    /// The route's lifetime replaces max-age, s-maxage and Expires. What forbids storing or reusing
    /// (no-store, private, no-cache) still holds.
    Override,
}

/// Whose request directives (RFC 9111, section 5.2.1) are listened to: they let strangers press on the origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Honour {
    /// Nobody's.
    None,
    /// Those of clients with a verified identity; `only-if-cached` of all, since it spares the origin.
    #[default]
    Authorised,
    /// Everybody's.
    All,
}

/// What becomes of a response that sets cookies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SetCookie {
    /// It is not stored.
    #[default]
    Refuse,
    /// It is stored without its Set-Cookie fields.
    Strip,
    /// It is stored as it is: every client gets the same cookies (RFC 9111, section 7.3).
    Store,
}

/// How far something reaches that one isolate knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reach {
    /// One isolate.
    #[default]
    Isolate,
    /// All of them, by a Durable Object.
    Global,
}

/// When a response is worth a write to KV, which costs as much as ten reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KvAdmission {
    /// Every time it is stored.
    Always,
    /// When it was asked for twice in its window, or at once where it lives long and is not tiny.
    #[default]
    SecondRequest,
}

/// A lifetime shorter than this is never worth a KV write, which KV would keep for a minute anyway.
const KV_LIFETIME_SECS_MIN: u32 = 60;

/// Nor is one shorter than this, unless it is to be written every time: others see a write after up to a minute, and
/// have to have something of it.
const KV_LIFETIME_SECS_PAYS: u32 = 120;

/// A lifetime from which on a KV write pays without waiting for a second request, ...
const KV_LIFETIME_SECS_LONG: u32 = 3600;

/// ... where the origin would have to send so much again.
const KV_BYTES_MIN: u64 = 2 << 10;

/// Lifetimes for statuses about which the origin said nothing: `{"404" = "1m", "410" = "5m"}`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct Negative(Vec<(u16, Span)>);

impl Negative {
    /// The lifetime for this status.
    pub fn get(&self, status: u16) -> Option<Span> {
        self.0.iter().find(|(known, _)| *known == status).map(|(_, span)| *span)
    }
}

impl TryFrom<Dict<String, Span>> for Negative {
    type Error = String;

    fn try_from(table: Dict<String, Span>) -> Result<Self, String> {
        let entry = |(text, span): (String, Span)| match text.parse() {
            Ok(status @ 300..=599) if status != 304 => Ok((status, span)),
            _ => Err(mistake!("`{text}` is not such a status; allowed: 300 to 599 without 304")),
        };
        Ok(Self(table.into_iter().map(entry).collect::<Result<_, _>>()?))
    }
}

impl From<Negative> for Dict<String, Span> {
    fn from(table: Negative) -> Self {
        table.0.into_iter().map(|(status, span)| (status.to_string(), span)).collect()
    }
}

packed_serde!(Negative as Dict<String, Span>);

/// What a route says about caching.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(target_arch = "wasm32"), serde(default))]
pub struct Policy {
    /// Whether anything is stored or reused at all; default true.
    pub enabled: bool,
    /// Where responses are stored; default all three.
    pub layers: Vec<Layer>,
    /// The lifetime of successful responses and permanent redirects; default none.
    pub ttl: Option<Ttl>,
    /// Whether `ttl` gives way to the origin's own words; default `"fill"`.
    pub ttl_mode: TtlMode,
    /// Lifetimes by status, for the same purpose; default none.
    pub negative: Negative,
    /// Whether a lifetime is guessed from Last-Modified (RFC 9111, section 4.2.2); default false.
    pub heuristic: bool,
    /// The longest guess; default 24h.
    pub heuristic_max: Span,
    /// How long a stale response may be used while it is refreshed, where the origin said nothing; default 0s.
    pub stale_while_revalidate: Span,
    /// The upper bound of that, whoever asks; default 24h.
    pub stale_while_revalidate_max: Span,
    /// How long a stale response may stand in for an error, where the origin said nothing; default 0s.
    pub stale_if_error: Span,
    /// The upper bound of that, whoever asks; default 7d.
    pub stale_if_error_max: Span,
    /// Whose request directives count; default `"authorised"`.
    pub honour_client_directives: Honour,
    /// What becomes of responses that set cookies; default `"refuse"`.
    pub set_cookie: SetCookie,
    /// What makes two requests the same.
    pub key: KeyRules,
    /// How Vary is read.
    pub vary: VaryRules,
    /// Targeted fields in the order of their precedence (RFC 9213); default CDN-Cache-Control.
    pub targets: Vec<FieldName>,
    /// Whether the targeted fields are handed on to the client; default true.
    pub targets_passed_on: bool,
    /// Whether the fields that bear tags are handed on to the client; default true.
    pub tags_passed_on: bool,
    /// The largest body kept in the isolate's memory; default 256KiB.
    pub memory_object_bytes_max: Size,
    /// The largest body kept in colo and KV; default 20MiB.
    pub object_bytes_max: Size,
    /// When a KV write pays; default `"second_request"`.
    pub kv_admission: KvAdmission,
    /// Whether a POST whose text is similar to one already answered gets that answer; default absent: it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub similar: Option<Similar>,
    /// Among whom one request to the origin answers all; default `"isolate"`.
    pub collapse: Reach,
    /// Who hears of what a write makes invalid; default `"isolate"`.
    pub invalidation: Reach,
    /// How long a request waits for another one's answer before it asks the origin itself; default 5s.
    pub collapse_wait: Span,
    /// Whether a part of a response (206) may be stored, for requests of what lies in it; default false.
    pub partial: bool,
    /// Large responses are fetched and stored in aligned slices of this size; default none: as they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slice: Option<Size>,
    /// The named classes; whoever compiles the config puts its own here.
    #[serde(skip)]
    pub classes: Classes,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            enabled: true,
            layers: vec![Layer::Memory, Layer::Colo, Layer::Kv],
            ttl: None,
            ttl_mode: TtlMode::Fill,
            negative: Negative::default(),
            heuristic: false,
            heuristic_max: Span::from_secs(86_400),
            stale_while_revalidate: Span::ZERO,
            stale_while_revalidate_max: Span::from_secs(86_400),
            stale_if_error: Span::ZERO,
            stale_if_error_max: Span::from_secs(604_800),
            honour_client_directives: Honour::Authorised,
            set_cookie: SetCookie::Refuse,
            key: KeyRules::default(),
            vary: VaryRules::default(),
            targets: vec![FieldName::cdn_cache_control()],
            targets_passed_on: true,
            tags_passed_on: true,
            memory_object_bytes_max: Size::from_kib(256),
            object_bytes_max: Size::from_mib(20),
            kv_admission: KvAdmission::SecondRequest,
            similar: None,
            collapse: Reach::Isolate,
            invalidation: Reach::Isolate,
            collapse_wait: Span::from_secs(5),
            partial: false,
            slice: None,
            classes: Classes::default(),
        }
    }
}

impl Policy {
    /// Whether this client's request directives count.
    pub fn honours(&self, identity: &Identity) -> bool {
        match self.honour_client_directives {
            Honour::None => false,
            Honour::Authorised => identity.subject.is_some(),
            Honour::All => true,
        }
    }

    /// Whether this layer may hold a body of so many bytes; one of unknown length only outside memory, and
    /// whoever copies it has to stop at the bound.
    pub fn takes(&self, layer: Layer, body_bytes: Option<u64>) -> bool {
        let max = match layer {
            Layer::Memory => self.memory_object_bytes_max,
            Layer::Colo | Layer::Kv => self.object_bytes_max,
        };
        let fits = body_bytes.map_or(layer != Layer::Memory, |bytes| bytes <= max.bytes());
        self.enabled && self.layers.contains(&layer) && fits
    }

    /// Takes out of what a client gets what is for this cache alone, where the route consumes it: the targeted fields
    /// (RFC 9213, section 2.2) and those that bear tags.
    pub fn consume(&self, fields: &mut Fields) {
        if self.targets_passed_on && self.tags_passed_on {
            return;
        }
        let is_target = |name: &str| self.targets.iter().any(|target| target.as_str() == name);
        fields.retain(|name, _| {
            (self.targets_passed_on || !is_target(name))
                && (self.tags_passed_on || !TAG_FIELDS.contains(&name))
        });
    }

    /// Whether a response with this lifetime and a body of so many bytes, asked for so many times in its window, is worth
    /// a KV write.
    pub fn kv_pays(&self, lifetime_secs: u32, body_bytes: u64, requests: u32) -> bool {
        let at_once = || lifetime_secs >= KV_LIFETIME_SECS_LONG && body_bytes >= KV_BYTES_MIN;
        self.kv_may_pay(lifetime_secs)
            && (self.kv_admission == KvAdmission::Always || requests >= 2 || at_once())
    }

    /// Whether a response with this lifetime is ever worth one.
    pub fn kv_may_pay(&self, lifetime_secs: u32) -> bool {
        lifetime_secs
            >= match self.kv_admission {
                KvAdmission::Always => KV_LIFETIME_SECS_MIN,
                KvAdmission::SecondRequest => KV_LIFETIME_SECS_PAYS,
            }
    }
}

#[cfg(test)]
mod tests;
