//! The class of a client's device: few enough to be part of a key, where User-Agent would keep every browser's response
//! apart.

use crate::head::Fields;

/// The field that tells an origin of the class. What a client says in it does not get there.
pub const FIELD: &str = "x-tidegate-device";

/// Words of User-Agent that stand for a tablet, and those that stand for a phone.
const TABLET: [&str; 5] = ["ipad", "tablet", "kindle", "playbook", "silk/"];
const MOBILE: [&str; 8] =
    ["mobi", "iphone", "ipod", "opera mini", "blackberry", "windows phone", "symbian", "webos"];

/// `mobile`, `tablet` or `desktop`, by Sec-CH-UA-Mobile and User-Agent; of what says nothing of itself, `desktop`.
pub fn class(request: &Fields) -> &'static str {
    let agent = request.get("user-agent").unwrap_or_default().to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| agent.contains(word));
    // A browser of Android says `Mobile` on phones only.
    let is_mobile = says(&MOBILE);
    if says(&TABLET) || (agent.contains("android") && !is_mobile) {
        "tablet"
    } else if is_mobile || request.get("sec-ch-ua-mobile").is_some_and(|hint| hint.trim() == "?1") {
        "mobile"
    } else {
        "desktop"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_known_by_what_its_browser_says() {
        for (field, value, expected) in [
            ("user-agent", "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) Mobile/15E148", "mobile"),
            (
                "user-agent",
                "Mozilla/5.0 (Linux; Android 10; K) Chrome/124.0.0.0 Mobile Safari/537.36",
                "mobile",
            ),
            ("user-agent", "Mozilla/5.0 (Linux; Android 10; K) Chrome/124.0.0.0 Safari/537.36", "tablet"),
            ("user-agent", "Mozilla/5.0 (iPad; CPU OS 12_2 like Mac OS X) Mobile/15E148", "tablet"),
            (
                "user-agent",
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/124.0.0.0 Safari/537.36",
                "desktop",
            ),
            ("user-agent", "curl/8.5.0", "desktop"),
            ("sec-ch-ua-mobile", "?1", "mobile"),
            ("sec-ch-ua-mobile", "?0", "desktop"),
        ] {
            assert_eq!(class(&Fields::from_pairs([(field, value)])), expected, "{value}");
        }
        assert_eq!(class(&Fields::new()), "desktop");
    }
}
