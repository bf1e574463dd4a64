//! The Cache-Status field (RFC 9211).

use super::policy::Layer;

/// Why a request went to the origin (RFC 9211, section 2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fwd {
    /// The cache was told not to handle it.
    Bypass,
    /// Its method's semantics require it.
    Method,
    /// Nothing was stored for the URI.
    UriMiss,
    /// Something was, but Vary selected none of it.
    VaryMiss,
    /// Nothing suitable, without telling why.
    Miss,
    /// The request asked for it.
    Request,
    /// What was stored is stale.
    Stale,
    /// What was stored holds only a part of it.
    Partial,
}

impl Fwd {
    /// The token.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bypass => "bypass",
            Self::Method => "method",
            Self::UriMiss => "uri-miss",
            Self::VaryMiss => "vary-miss",
            Self::Miss => "miss",
            Self::Request => "request",
            Self::Stale => "stale",
            Self::Partial => "partial",
        }
    }
}

/// What else there is to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// The layer that answered.
    Layer(Layer),
    /// The answer to a similar prompt.
    Similar,
    /// Another isolate's answer, through the object of the key.
    Shield,
    /// Stale, being refreshed in the background.
    Swr,
    /// Stale, in the place of an error.
    Sie,
    /// Why the cache did not take part, such as [`super::NotStored::as_str`].
    Reason(&'static str),
}

/// What a gate says in its member of Cache-Status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheStatus {
    /// Why the request went to the origin; `None` where it did not.
    pub fwd: Option<Fwd>,
    /// Whether the request waited for another one's answer.
    pub collapsed: bool,
    /// The status that the origin answered with.
    pub fwd_status: Option<u16>,
    /// Whether the answer was stored.
    pub stored: bool,
    /// Seconds for which the response stays fresh; negative where it is stale.
    pub ttl: Option<i64>,
    /// What else there is to say.
    pub detail: Option<Detail>,
}

impl CacheStatus {
    /// A stored response answered.
    pub const fn hit(ttl: i64, detail: Detail) -> Self {
        Self {
            fwd: None,
            collapsed: false,
            fwd_status: None,
            stored: false,
            ttl: Some(ttl),
            detail: Some(detail),
        }
    }

    /// Neither did a stored response answer nor was the origin asked (RFC 9211, section 2: both are optional).
    pub const fn neither(reason: &'static str) -> Self {
        Self { ttl: None, ..Self::hit(0, Detail::Reason(reason)) }
    }

    /// Whether a stored response answered without the origin.
    pub const fn is_hit(&self) -> bool {
        self.fwd.is_none() && self.ttl.is_some()
    }

    /// The origin was asked.
    pub const fn fwd(fwd: Fwd) -> Self {
        Self { fwd: Some(fwd), collapsed: false, fwd_status: None, stored: false, ttl: None, detail: None }
    }

    /// Writes the member of the gate of this name, without the machinery of `format!`.
    pub fn write(&self, gate: &str, out: &mut String) {
        out.push_str(gate);
        match self.fwd {
            None if self.is_hit() => out.push_str("; hit"),
            None => {}
            Some(fwd) => {
                out.push_str("; fwd=");
                out.push_str(fwd.as_str());
            }
        }
        if self.collapsed {
            out.push_str("; collapsed");
        }
        if let Some(status) = self.fwd_status {
            out.push_str("; fwd-status=");
            push_integer(out, i64::from(status));
        }
        if self.stored {
            out.push_str("; stored");
        }
        if let Some(ttl) = self.ttl {
            out.push_str("; ttl=");
            push_integer(out, ttl);
        }
        match self.detail {
            None => {}
            Some(Detail::Layer(layer)) => {
                out.push_str("; detail=");
                out.push_str(layer.as_str());
            }
            Some(Detail::Similar) => out.push_str("; detail=similar"),
            Some(Detail::Shield) => out.push_str("; detail=shield"),
            Some(Detail::Swr) => out.push_str("; detail=swr"),
            Some(Detail::Sie) => out.push_str("; detail=sie"),
            Some(Detail::Reason(reason)) => {
                out.push_str("; detail=\"");
                out.push_str(reason);
                out.push('"');
            }
        }
    }
}

/// Writes a number in decimal.
pub(super) fn push_integer(out: &mut String, number: i64) {
    if number < 0 {
        out.push('-');
    }
    let mut rest = number.unsigned_abs();
    let start = out.len();
    while rest >= 10 {
        out.insert(start, char::from(b'0' + (rest % 10) as u8));
        rest /= 10;
    }
    out.insert(start, char::from(b'0' + rest as u8));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_field_is_written_as_the_table_of_wire_forms_says() {
        let hit = CacheStatus::hit(376, Detail::Layer(Layer::Memory));
        let miss = CacheStatus { fwd_status: Some(200), ..CacheStatus::fwd(Fwd::UriMiss) };
        let stale = CacheStatus { fwd_status: Some(304), ..CacheStatus::fwd(Fwd::Stale) };
        for (status, text) in [
            (hit, "tidegate; hit; ttl=376; detail=memory"),
            (CacheStatus::hit(-12, Detail::Swr), "tidegate; hit; ttl=-12; detail=swr"),
            (
                CacheStatus { stored: true, ttl: Some(60), ..miss },
                "tidegate; fwd=uri-miss; fwd-status=200; stored; ttl=60",
            ),
            (CacheStatus { collapsed: true, ..miss }, "tidegate; fwd=uri-miss; collapsed; fwd-status=200"),
            (
                CacheStatus { stored: true, ttl: Some(60), ..stale },
                "tidegate; fwd=stale; fwd-status=304; stored; ttl=60",
            ),
            (
                CacheStatus { fwd_status: Some(503), ttl: Some(-40), detail: Some(Detail::Sie), ..stale },
                "tidegate; fwd=stale; fwd-status=503; ttl=-40; detail=sie",
            ),
            (CacheStatus::fwd(Fwd::Method), "tidegate; fwd=method"),
            (
                CacheStatus { detail: Some(Detail::Reason("set-cookie")), ..CacheStatus::fwd(Fwd::Bypass) },
                "tidegate; fwd=bypass; detail=\"set-cookie\"",
            ),
        ] {
            let mut written = String::new();
            status.write("tidegate", &mut written);
            assert_eq!(written, text);
            assert!(sfv_reads(text), "{text}");
        }
    }

    #[cfg(not(target_arch = "wasm32"))]
    fn sfv_reads(text: &str) -> bool {
        sfv::Parser::new(text).parse::<sfv::List>().is_ok()
    }

    #[cfg(target_arch = "wasm32")]
    fn sfv_reads(_: &str) -> bool {
        true
    }

    #[test]
    fn numbers_are_written_in_decimal() {
        for number in [0, 7, 10, -1, 1_000_000, i64::MAX, i64::MIN] {
            let mut text = String::new();
            push_integer(&mut text, number);
            assert_eq!(text, number.to_string());
        }
    }
}
