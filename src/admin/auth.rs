//! Who may steer: one secret, compared in constant time.

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::head::RequestHead;

/// The outcome of looking at a request's `Authorization` field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// No token is configured: nobody is told that there is anything here.
    Hidden,
    /// The field is missing or wrong.
    Refused,
    /// The token was shown.
    Granted,
}

/// Compares `Authorization: Bearer <token>` with the configured token. Digests are compared, so that the time it
/// takes tells neither the length nor a prefix.
pub fn access(request: &RequestHead, token: Option<&str>) -> Access {
    let Some(token) = token.filter(|token| !token.is_empty()) else { return Access::Hidden };
    let shown = request.fields.get("authorization").and_then(|value| {
        let (scheme, shown) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| shown.trim())
    });
    let same = Sha256::digest(shown.unwrap_or_default()).ct_eq(&Sha256::digest(token));
    if bool::from(same) { Access::Granted } else { Access::Refused }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::Method;

    #[test]
    fn only_the_whole_token_opens() {
        let mut request = RequestHead::new(Method::Get, "https://a/_tidegate/admin/config").unwrap();
        assert_eq!(access(&request, None), Access::Hidden);
        assert_eq!(access(&request, Some("")), Access::Hidden);
        assert_eq!(access(&request, Some("secret")), Access::Refused);
        for (shown, expected) in [
            ("Bearer secret", Access::Granted),
            ("bearer secret", Access::Granted),
            ("Bearer secre", Access::Refused),
            ("Bearer secret2", Access::Refused),
            ("Basic secret", Access::Refused),
            ("secret", Access::Refused),
            ("Bearer ", Access::Refused),
        ] {
            request.fields.insert("authorization", shown);
            assert_eq!(access(&request, Some("secret")), expected, "{shown}");
        }
    }
}
