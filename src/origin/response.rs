//! The head of an origin's response, made ready for a client.

use super::fields::{append_member, is_hop_by_hop, is_limit, named_in_connection};
use crate::head::{Fields, ResponseHead};

/// Removes what was for the hop to tidegate only (RFC 9110, section 7.6.1), and appends Via. The upgrade of a 101
/// stays. Proxy-Status stays too: members are appended to it, see [`append_proxy_status`].
pub fn clean(mut head: ResponseHead, id: &str) -> ResponseHead {
    let named = named_in_connection(&head.fields);
    let upgraded = head.status == 101;
    head.fields.retain(|name, _| {
        (upgraded && name == "upgrade") || !(is_hop_by_hop(name) || named.iter().any(|n| n == name))
    });
    // Which HTTP the origin spoke, the platform's fetch does not tell.
    append_member(&mut head.fields, "via", &format!("1.1 {id}"));
    head
}

/// Removes the origin's own RateLimit and X-RateLimit fields: for routes that tidegate limits.
pub fn remove_limits(fields: &mut Fields) {
    fields.retain(|name, _| !is_limit(name));
}

/// Appends a member to Proxy-Status (RFC 9209, section 2).
pub fn append_proxy_status(fields: &mut Fields, status: &super::ProxyStatus<'_>) {
    append_member(fields, "proxy-status", &status.to_string());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::origin::ProxyStatus;

    fn cleaned(status: u16, fields: &[(&str, &str)]) -> Fields {
        let head = ResponseHead { status, fields: Fields::from_pairs(fields.iter().copied()) };
        clean(head, "tidegate").fields
    }

    #[test]
    fn what_was_for_one_hop_stays_behind() {
        let fields = cleaned(
            200,
            &[
                ("Connection", "close, X-Internal"),
                ("X-Internal", "1"),
                ("Keep-Alive", "timeout=5"),
                ("Proxy-Authenticate", "Basic"),
                ("Proxy-Connection", "close"),
                ("Trailer", "Expires"),
                ("Transfer-Encoding", "chunked"),
                ("Upgrade", "h2c"),
                ("Content-Type", "text/plain"),
                ("Set-Cookie", "a=1"),
                ("Set-Cookie", "b=2"),
                ("X-RateLimit-Limit", "5"),
                ("Via", "1.1 varnish"),
                ("Via", "1.1 nginx"),
            ],
        );
        let left = [
            ("content-type", "text/plain"),
            ("set-cookie", "a=1"),
            ("set-cookie", "b=2"),
            ("x-ratelimit-limit", "5"),
            ("via", "1.1 varnish, 1.1 nginx, 1.1 tidegate"),
        ];
        assert_eq!(fields, Fields::from_pairs(left));
    }

    #[test]
    fn an_upgrade_that_the_origin_agreed_to_stays() {
        let upgrade = [("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Accept", "x")];
        let fields = cleaned(101, &upgrade);
        assert_eq!((fields.get("upgrade"), fields.get("connection")), (Some("websocket"), None));
        assert!(!cleaned(200, &upgrade).contains("upgrade"));
    }

    #[test]
    fn a_route_with_limits_of_its_own_hides_those_of_the_origin() {
        let mut fields = Fields::from_pairs([
            ("RateLimit", "\"a\";r=1"),
            ("RateLimit-Policy", "\"a\";q=1"),
            ("X-RateLimit-Reset", "1"),
            ("X-Rate", "kept"),
        ]);
        remove_limits(&mut fields);
        assert_eq!(fields, Fields::from_pairs([("x-rate", "kept")]));
    }

    #[test]
    fn proxy_status_tells_of_the_whole_way() {
        let mut fields = cleaned(502, &[("Proxy-Status", "inner; error=dns_error")]);
        append_proxy_status(&mut fields, &ProxyStatus::error("tidegate", "destination_unavailable", None));
        let whole = "inner; error=dns_error, tidegate; error=destination_unavailable";
        assert_eq!(fields.get_all("proxy-status").collect::<Vec<_>>(), [whole]);
    }
}
