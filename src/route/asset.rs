//! What an asset's response says about caching, where the origin did not: by class, and by its name.

use std::borrow::Cow;

pub use super::class::{AssetConfig, CLASSES, CacheControl, Class, ClassConfig, Mode};
use super::class::{NONE, extension};
use super::fingerprint::is_fingerprinted;
use crate::head::{Method, RequestHead, ResponseHead, split_list};
use crate::path::{Reading, normal};

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
/// # What must not become everybody's
/// A path's extension says nothing about what is behind it, so a class counts only where the response's type belongs
/// to it as well: an HTML page under `/account.css` gets nothing (web cache deception). Neither does a response that
/// sets a cookie or says `private` or `no-store`, whatever the mode. What answers a request with Authorization is
/// marked `private` (RFC 9111, section 3.5); so is what answers one with cookies, unless its name is fingerprinted
/// (its bytes then depend on the URL alone) or `share_with_cookies` says that cookies do not matter here.
///
/// # Errors
/// Why it gets none.
pub fn policy<'c>(
    request: &RequestHead,
    response: &ResponseHead,
    config: &'c AssetConfig,
) -> Result<Cow<'c, str>, NotSet> {
    if !matches!(request.method, Method::Get | Method::Head) {
        return Err(NotSet::Method);
    }
    if !matches!(response.status, 200 | 206 | 304) {
        return Err(NotSet::Status);
    }
    let fields = &response.fields;
    if fields.contains("set-cookie") {
        return Err(NotSet::SetCookie);
    }
    if fields.list("cache-control").any(forbids_sharing) {
        return Err(NotSet::Private);
    }
    let origin_said = ["cache-control", "cdn-cache-control", "expires", "pragma"];
    if config.mode == Mode::Fill && origin_said.iter().any(|name| fields.contains(name)) {
        return Err(NotSet::OriginSaid);
    }
    let path = normal(request.target.path(), Reading::Strict);
    let path = String::from_utf8_lossy(&path);
    let class = config.class(&path, fields.get("content-type")).ok_or(NotSet::NoClass)?;
    let is_fixed = is_fixed(class, &path);
    let value = cache_control(config, class, is_fixed);
    if value == NONE {
        return Err(NotSet::NoPolicy);
    }
    let has_cookie = request.fields.contains("cookie") && !is_fixed && !config.share_with_cookies;
    if has_cookie || request.fields.contains("authorization") {
        return Ok(Cow::Owned(made_private(value)));
    }
    Ok(Cow::Borrowed(value))
}

/// What a request for this path would get if its response had the class's type: for people.
pub fn expected<'c>(request: &RequestHead, config: &'c AssetConfig) -> (Class, &'c str) {
    let path = normal(request.target.path(), Reading::Strict);
    let path = String::from_utf8_lossy(&path);
    let class = extension(&path).and_then(|extension| config.class_of_extension(extension));
    let class = class.unwrap_or(Class::Documents);
    (class, cache_control(config, class, is_fixed(class, &path)))
}

/// Whether a file never changes under its name. Pages and data are never taken for such.
fn is_fixed(class: Class, path: &str) -> bool {
    !matches!(class, Class::Documents | Class::Data) && is_fingerprinted(path)
}

fn cache_control(config: &AssetConfig, class: Class, is_fixed: bool) -> &str {
    if is_fixed { config.fingerprinted.as_str() } else { config.cache_control(class) }
}

fn forbids_sharing(directive: &str) -> bool {
    let name = directive.split('=').next().unwrap_or_default().trim();
    ["private", "no-store"].iter().any(|known| name.eq_ignore_ascii_case(known))
}

/// The same for one client alone.
fn made_private(value: &str) -> String {
    let mut whole = String::from("private");
    let shared = ["public", "private", "s-maxage", "proxy-revalidate"];
    for directive in split_list(value) {
        let name = directive.split('=').next().unwrap_or_default();
        if !shared.contains(&name) {
            whole.push_str(", ");
            whole.push_str(directive);
        }
    }
    whole
}

/// The URL where another host has the asset that is asked for. Its answer counts unless it is a 404 or a 5xx; else
/// the route's own origin is asked. It is to get no credentials: neither Cookie nor Authorization.
pub fn cdn_url(request: &RequestHead, config: &AssetConfig) -> Option<String> {
    if !matches!(request.method, Method::Get | Method::Head) {
        return None;
    }
    let path = normal(request.target.path(), Reading::Strict);
    let class = config.class_of_extension(extension(&String::from_utf8_lossy(&path))?)?;
    let base = config.of(class).cdn_base.as_ref()?;
    Some(format!("{base}{}", request.target.path_and_query()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::Fields;

    fn request(url: &str, fields: &[(&str, &str)]) -> RequestHead {
        let mut request = RequestHead::new(Method::Get, &format!("https://a.example{url}")).unwrap();
        request.fields = Fields::from_pairs(fields.iter().copied());
        request
    }

    fn response(kind: &str, fields: &[(&str, &str)]) -> ResponseHead {
        let mut fields = Fields::from_pairs(fields.iter().copied());
        fields.append("content-type", kind);
        ResponseHead { status: 200, fields }
    }

    fn config(json: serde_json::Value) -> AssetConfig {
        serde_json::from_value(json).unwrap()
    }

    fn filled(url: &str, kind: &str) -> Result<String, NotSet> {
        policy(&request(url, &[]), &response(kind, &[]), &AssetConfig::default()).map(Cow::into_owned)
    }

    #[test]
    fn every_class_has_its_lifetime() {
        const YEAR: &str = "public, max-age=31536000";
        const FIXED: &str = "public, max-age=31536000, immutable";
        for (url, kind, expected) in [
            ("/logo.png", "image/png", YEAR),
            ("/LOGO.PNG?x=1", "Image/PNG", YEAR),
            ("/app.js", "text/javascript; charset=utf-8", "public, max-age=2592000"),
            ("/site.css", "text/css", "public, max-age=2592000"),
            ("/a.woff2", "font/woff2", YEAR),
            ("/a.mp4", "video/mp4", YEAR),
            ("/", "text/html", "no-cache"),
            ("/about", "text/html; charset=utf-8", "no-cache"),
            ("/index.php", "text/html", "no-cache"),
            ("/report.pdf", "application/pdf", "no-cache"),
            ("/report.3f2a9c1b.html", "text/html", "no-cache"),
            ("/app.3f2a9c1b.js", "text/javascript", FIXED),
            ("/logo.3f2a9c1b.png", "image/png", FIXED),
        ] {
            assert_eq!(filled(url, kind).as_deref(), Ok(expected), "{url} {kind}");
        }
        assert_eq!(filled("/data.json", "application/json"), Err(NotSet::NoPolicy));
        assert_eq!(filled("/data.3f2a9c1b.json", "application/json"), Err(NotSet::NoPolicy));
    }

    #[test]
    fn a_type_that_contradicts_the_extension_gets_nothing() {
        for (url, kind) in [
            ("/account.css", "text/html"),
            ("/account/x.png", "text/html; charset=utf-8"),
            ("/account%2ecss", "text/html"),
            ("/account/%2e%2e/me.css", "application/json"),
            ("/account.3f2a9c1b.js", "text/html"),
            ("/_next/static/me.js", "text/html"),
            ("/me.js", "application/json"),
            ("/me.html", "image/png"),
            ("/me", "image/png"),
            ("/me.unknown", "text/css"),
            ("/me.css", ""),
        ] {
            assert_eq!(filled(url, kind), Err(NotSet::NoClass), "{url} {kind}");
        }
        assert_eq!(
            filled("/account;.css", "text/html").as_deref(),
            Ok("no-cache"),
            "a page, not a style sheet"
        );
    }

    #[test]
    fn only_whole_answers_to_reading_requests_count() {
        let config = AssetConfig::default();
        let mut sent = response("text/css", &[]);
        for (status, expected) in
            [(200, true), (206, true), (304, true), (404, false), (302, false), (500, false)]
        {
            sent.status = status;
            assert_eq!(policy(&request("/a.css", &[]), &sent, &config).is_ok(), expected, "{status}");
        }
        let mut post = request("/a.css", &[]);
        post.method = Method::Post;
        assert_eq!(policy(&post, &sent, &config), Err(NotSet::Method));
    }

    #[test]
    fn the_origin_has_the_last_word_unless_overridden_and_secrets_stay_secret() {
        let [fill, over] = ["fill", "override"].map(|mode| config(serde_json::json!({ "mode": mode })));
        for (name, value, filled, overridden) in [
            ("cache-control", "max-age=5", Some(NotSet::OriginSaid), None),
            ("cache-control", "no-cache", Some(NotSet::OriginSaid), None),
            ("expires", "0", Some(NotSet::OriginSaid), None),
            ("cdn-cache-control", "max-age=5", Some(NotSet::OriginSaid), None),
            ("etag", "\"x\"", None, None),
            ("cache-control", "max-age=5, Private", Some(NotSet::Private), Some(NotSet::Private)),
            ("cache-control", "private=\"x-a\"", Some(NotSet::Private), Some(NotSet::Private)),
            ("cache-control", "no-store", Some(NotSet::Private), Some(NotSet::Private)),
            ("set-cookie", "a=1", Some(NotSet::SetCookie), Some(NotSet::SetCookie)),
        ] {
            let sent = response("text/css", &[(name, value)]);
            let says = |config| policy(&request("/a.css", &[]), &sent, config).err();
            assert_eq!((says(&fill), says(&over)), (filled, overridden), "{name}: {value}");
        }
    }

    #[test]
    fn what_may_be_one_persons_is_not_made_everybodys() {
        let cookie = [("cookie", "sid=1")];
        let token = [("authorization", "Bearer x")];
        let both = config(serde_json::json!({ "share_with_cookies": true }));
        let safe =
            config(serde_json::json!({ "images": { "cache_control": "public, s-maxage=9, max-age=5" } }));
        for (url, kind, fields, config, expected) in [
            ("/me.png", "image/png", &cookie, &safe, "private, max-age=5"),
            ("/app.3f2a9c1b.js", "text/javascript", &cookie, &safe, "public, max-age=31536000, immutable"),
            ("/", "text/html", &cookie, &safe, "private, no-cache"),
            ("/me.png", "image/png", &cookie, &both, "public, max-age=31536000"),
            ("/me.png", "image/png", &token, &both, "private, max-age=31536000"),
            ("/app.3f2a9c1b.js", "text/javascript", &token, &both, "private, max-age=31536000, immutable"),
        ] {
            let set = policy(&request(url, fields), &response(kind, &[]), config);
            assert_eq!(set.as_deref(), Ok(expected), "{url} {fields:?}");
        }
    }

    #[test]
    fn a_class_can_be_redefined_in_parts() {
        let config = config(serde_json::json!({
            "images": { "cache_control": "none" },
            "data": { "cache_control": "max-age=60", "types": ["application/*"] },
            "fonts": { "extensions": ["fnt"] },
            "documents": { "extensions": ["svg"], "types": ["image/svg+xml"] }
        }));
        let says = |url, kind| policy(&request(url, &[]), &response(kind, &[]), &config).map(Cow::into_owned);
        assert_eq!(says("/a.png", "image/png"), Err(NotSet::NoPolicy));
        assert_eq!(says("/a.json", "application/x-json").as_deref(), Ok("max-age=60"));
        assert_eq!(says("/a.fnt", "font/x").as_deref(), Ok("public, max-age=31536000"));
        assert_eq!(says("/a.woff2", "font/woff2"), Err(NotSet::NoClass));
        assert_eq!(says("/a.svg", "image/svg+xml").as_deref(), Ok("no-cache"), "what is listed goes first");
    }

    #[test]
    fn a_class_can_be_moved_to_another_host() {
        let config = config(serde_json::json!({ "images": { "cdn_base": "https://cdn.example/b/" } }));
        let moved = |url| cdn_url(&request(url, &[]), &config);
        assert_eq!(moved("/a%20b.png?v=1").as_deref(), Some("https://cdn.example/b/a%20b.png?v=1"));
        assert_eq!((moved("/a.css"), moved("/a")), (None, None));
        let mut post = request("/a.png", &[]);
        post.method = Method::Post;
        assert_eq!(cdn_url(&post, &config), None);
    }

    #[test]
    fn a_wrong_cache_control_is_refused() {
        for text in
            ["", ",", "max-age", "max-age=x", "max-age: 60", "Public", "public, maxage=1", "max-age=1s"]
        {
            assert!(text.parse::<CacheControl>().unwrap_err().contains("; allowed: "), "{text}");
        }
    }
}
