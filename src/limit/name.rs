//! What a policy is called.

use std::borrow::Borrow;
use std::fmt;
use std::rc::Rc;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The longest name that a policy may have, in bytes.
pub const MAX_POLICY_NAME_BYTES: usize = 64;

/// The name of a policy: 1 to [`MAX_POLICY_NAME_BYTES`] letters, digits, `-`, `_` and `.`, so that it stands in a
/// header field, a metric and the text of an ask as it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct PolicyName(Rc<str>);

impl PolicyName {
    /// One of our own, which is known to fit.
    pub fn builtin(name: &'static str) -> Self {
        Self(name.into())
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PolicyName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fits = (1..=MAX_POLICY_NAME_BYTES).contains(&text.len());
        if fits && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.')) {
            return Ok(Self(text.into()));
        }
        Err(mistake!(
            "`{text}` is not a policy name; allowed: 1 to {MAX_POLICY_NAME_BYTES} letters, digits, \"-\", \"_\", \".\""
        ))
    }
}

impl fmt::Display for PolicyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Borrow<str> for PolicyName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

text_serde!(PolicyName, packed);
