//! Request fields by which frameworks and servers change what is asked for. Where they are not in the key, anybody
//! could have the cache keep the answer to another question (web cache poisoning), so an origin does not get them on
//! its way to a stored response. Those that only a trusted intermediary may say (`X-Forwarded-*` and the like) never
//! get to an origin at all: see `origin`.

use super::rules::KeyRules;
use crate::head::Fields;

/// Fields that name another method, path, host, scheme, port or client than the request itself, or by which the parts of a
/// framework speak to each other.
const OVERRIDES: [&str; 53] = [
    "base-url",
    "client-ip",
    "front-end-https",
    "host-override",
    "http-method-override",
    "proxy-host",
    "proxy-url",
    "request-uri",
    "script-name",
    "x-accel-redirect",
    "x-backend-host",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-envoy-original-path",
    "x-external-path",
    "x-forward-for",
    "x-forwarded",
    "x-host",
    "x-host-override",
    "x-http-destinationurl",
    "x-http-host-override",
    "x-http-method",
    "x-http-method-override",
    "x-http-path-override",
    "x-invoke-path",
    "x-invoke-query",
    "x-invoke-status",
    "x-matched-path",
    "x-method-override",
    "x-middleware-prefetch",
    "x-middleware-subrequest",
    "x-nextjs-data",
    "x-now-route-matches",
    "x-original-forwarded-for",
    "x-original-host",
    "x-original-method",
    "x-original-path",
    "x-original-uri",
    "x-original-url",
    "x-originating-ip",
    "x-override-url",
    "x-proxy-url",
    "x-real-host",
    "x-remote-addr",
    "x-remote-ip",
    "x-replaced-path",
    "x-request-uri",
    "x-rewrite-url",
    "x-scheme",
    "x-script-name",
    "x-server-name",
    "x-url-scheme",
    "x-wap-profile",
];

/// Whether a field changes what is asked for and is not part of the key.
fn is_unkeyed(name: &str, rules: &KeyRules) -> bool {
    OVERRIDES.contains(&name) && rules.headers.iter().all(|keyed| keyed.as_str() != name)
}

/// Whether there is such a field.
pub fn any(request: &Fields, rules: &KeyRules) -> bool {
    request.iter().any(|(name, _)| is_unkeyed(name, rules))
}

/// Takes them out of a request whose response may be stored.
pub fn strip(request: &mut Fields, rules: &KeyRules) {
    request.retain(|name, _| !is_unkeyed(name, rules));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::testing::policy;

    #[test]
    fn what_changes_the_question_is_keyed_or_taken_out() {
        let pairs = [("X-Original-URL", "/admin"), ("x-http-method-override", "DELETE"), ("accept", "*/*")];
        for (json, kept) in [
            ("{}", &["accept"][..]),
            (r#"{"key":{"headers":["X-Original-URL"]}}"#, &["x-original-url", "accept"]),
        ] {
            let rules = policy(json).key;
            let mut fields = Fields::from_pairs(pairs);
            assert!(any(&fields, &rules));
            strip(&mut fields, &rules);
            assert_eq!(fields.iter().map(|(name, _)| name).collect::<Vec<_>>(), kept);
            assert!(!any(&fields, &rules));
        }
    }
}
