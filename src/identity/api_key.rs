//! The record of an API key, as it lies in KV.

use serde::Deserialize;

use super::{Identity, IdentityConfig, MAX_SUBJECT_BYTES, Rejected};
use crate::time::Timestamp;

/// The name under which a key's record lies in KV: `key:` and the key's hash.
pub fn storage_name(hash: &str) -> String {
    format!("key:{hash}")
}

/// `{"tier":"pro","subject":"acme","not_after":1789000000,"disabled":false}`; keys that are not known are left alone.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct KeyRecord {
    /// What its bearer is entitled to; the config's default tier where there is none.
    pub tier: Option<Box<str>>,
    /// Whose it is.
    pub subject: Box<str>,
    /// The last second in which it holds, since the UNIX epoch; for ever where there is none.
    pub not_after: Option<u64>,
    /// Whether it was switched off.
    #[serde(default)]
    pub disabled: bool,
}

/// What the record of a key comes to; `None` is a key that has none.
///
/// # Errors
/// Why it is not believed.
pub fn check(
    record: Option<&str>,
    hash: &str,
    config: &IdentityConfig,
    now: Timestamp,
) -> Result<Identity, Rejected> {
    let record = record.ok_or(Rejected::UnknownApiKey)?;
    let record: KeyRecord = serde_json::from_str(record).map_err(|_| Rejected::BadKeyRecord)?;
    if record.disabled {
        return Err(Rejected::DisabledApiKey);
    }
    if record.not_after.is_some_and(|last| now.as_secs() > last) {
        return Err(Rejected::ExpiredApiKey);
    }
    if record.subject.is_empty() || record.subject.len() > MAX_SUBJECT_BYTES {
        return Err(Rejected::BadSubject);
    }
    let tier = config.tier(record.tier.as_deref())?;
    Ok(Identity { tier, subject: Some(record.subject), key_hash: Some(hash.into()) })
}
