//! A policy with what only the compiled config says of it, which no file may.

use std::rc::Rc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Classes, Policy};

/// Writes it.
///
/// # Errors
/// Those of the serializer.
pub fn serialize<S: Serializer>(policy: &Rc<Policy>, serializer: S) -> Result<S::Ok, S::Error> {
    (&**policy, &policy.classes, &policy.key.scope).serialize(serializer)
}

/// Reads it.
///
/// # Errors
/// Those of the deserializer.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Rc<Policy>, D::Error> {
    let (mut policy, classes, scope) = <(Policy, Classes, Box<str>)>::deserialize(deserializer)?;
    policy.classes = classes;
    policy.key.scope = scope;
    Ok(Rc::new(policy))
}
