//! The record of an API key, as it lies in KV under `key:` and the key's SHA-256 in lower-case hex.

use super::{Identity, IdentityConfig, MAX_SUBJECT_BYTES, Rejected};
use crate::json::Value;
use crate::time::Timestamp;

/// `{"tier":"pro","until":1789000000,"then":"free","subject":"acme","not_after":1799000000,"disabled":false}`; keys that
/// are not known are left alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRecord {
    /// What its bearer is entitled to; the config's default tier where there is none.
    pub tier: Option<Box<str>>,
    /// The last second in which it is, since the UNIX epoch: a trial. For ever where there is none.
    pub until: Option<u64>,
    /// What its bearer is entitled to afterwards; the config's default tier where there is none.
    pub then: Option<Box<str>>,
    /// Whose it is.
    pub subject: Box<str>,
    /// The last second in which it holds, since the UNIX epoch; for ever where there is none.
    pub not_after: Option<u64>,
    /// Whether it was switched off.
    pub disabled: bool,
}

impl KeyRecord {
    /// Reads it. `None` where a key that is known has a value of another kind.
    pub fn read(text: &str) -> Option<Self> {
        let table = Value::parse(text)?;
        let of = |name| table.get(name).filter(|value| **value != Value::Null);
        let text = |name| of(name).map(Value::as_str).map_or(Some(None), |text| Some(Some(text?.into())));
        let number = |name| of(name).map(Value::as_u64).map_or(Some(None), |number| Some(Some(number?)));
        let disabled = match table.get("disabled") {
            None => false,
            Some(Value::Bool(flag)) => *flag,
            Some(_) => return None,
        };
        Some(Self {
            tier: text("tier")?,
            until: number("until")?,
            then: text("then")?,
            subject: text("subject")??,
            not_after: number("not_after")?,
            disabled,
        })
    }
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
    let record = KeyRecord::read(record).ok_or(Rejected::BadKeyRecord)?;
    if record.disabled {
        return Err(Rejected::DisabledApiKey);
    }
    if record.not_after.is_some_and(|last| now.as_secs() > last) {
        return Err(Rejected::ExpiredApiKey);
    }
    if record.subject.is_empty() || record.subject.len() > MAX_SUBJECT_BYTES {
        return Err(Rejected::BadSubject);
    }
    let named = if record.until.is_some_and(|last| now.as_secs() > last) { record.then } else { record.tier };
    let tier = config.tier(named.as_deref())?;
    Ok(Identity { tier, subject: Some(record.subject), key_hash: Some(hash.into()), unproven: false })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_worth_what_its_record_says() {
        let now = Timestamp::from_secs(1000);
        for (record, expected) in [
            (r#"{"tier":"pro","subject":"acme"}"#, Ok("pro")),
            (r#"{"subject":"acme","created":7}"#, Ok("free")),
            (r#"{"tier":"pro","subject":"acme","not_after":1000,"disabled":false}"#, Ok("pro")),
            (r#"{"tier":"pro","subject":"acme","not_after":999}"#, Err(Rejected::ExpiredApiKey)),
            (r#"{"tier":"pro","subject":"acme","disabled":true}"#, Err(Rejected::DisabledApiKey)),
            (r#"{"tier":"pro","until":1000,"then":"anonymous","subject":"acme"}"#, Ok("pro")),
            (r#"{"tier":"pro","until":999,"then":"anonymous","subject":"acme"}"#, Ok("anonymous")),
            (r#"{"tier":"pro","until":999,"subject":"acme"}"#, Ok("free")),
            (r#"{"tier":"pro","until":999,"then":"gold","subject":"acme"}"#, Err(Rejected::UnknownTier)),
            (r#"{"tier":"pro","until":"soon","subject":"acme"}"#, Err(Rejected::BadKeyRecord)),
            (r#"{"tier":"gold","subject":"acme"}"#, Err(Rejected::UnknownTier)),
            (r#"{"tier":"pro","subject":""}"#, Err(Rejected::BadSubject)),
            (r#"{"tier":"pro"}"#, Err(Rejected::BadKeyRecord)),
            ("", Err(Rejected::BadKeyRecord)),
        ] {
            let identity = check(Some(record), "ab12", &IdentityConfig::default(), now);
            assert_eq!(
                identity.as_ref().map(|identity| &*identity.tier).map_err(|why| *why),
                expected,
                "{record}"
            );
            if let Ok(identity) = identity {
                assert_eq!(
                    (identity.subject.as_deref(), identity.key_hash.as_deref()),
                    (Some("acme"), Some("ab12"))
                );
            }
        }
        assert_eq!(check(None, "ab12", &IdentityConfig::default(), now), Err(Rejected::UnknownApiKey));
    }
}
