//! Who a client is, once it has been proved: the tier it is entitled to and the subject it speaks for.

/// A tier's name: `anonymous`, `free`, `pro`, `enterprise`, or what the config adds.
pub type Tier = std::rc::Rc<str>;

/// What is known for certain about a client, or that nothing is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// What the client is entitled to.
    pub tier: Tier,
    /// The verified subject (an API key's owner, a token's `sub`); `None` for anonymous clients.
    pub subject: Option<Box<str>>,
    /// SHA-256 of the API key that was shown, in lower-case hex; `None` where there was none.
    pub key_hash: Option<Box<str>>,
}

impl Identity {
    /// Nobody in particular.
    pub fn anonymous() -> Self {
        Self { tier: "anonymous".into(), subject: None, key_hash: None }
    }
}
