//! The head of an origin's response, made ready for a client.

use super::fields::{append_member, is_hop_by_hop, named_in_connection};
use crate::head::ResponseHead;

/// Removes what was for the hop to tidegate only (RFC 9110, section 7.6.1), and appends Via. The upgrade of a 101
/// stays; so does Proxy-Status, which tells the client of the whole way.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::Fields;

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
    fn proxy_status_tells_of_the_whole_way() {
        let fields = cleaned(502, &[("Proxy-Status", "inner; error=dns_error")]);
        assert_eq!(fields.get("proxy-status"), Some("inner; error=dns_error"));
    }
}
