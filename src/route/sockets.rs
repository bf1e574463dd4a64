//! `websocket`: what the WebSockets of a route may do, by tier.

use serde::{Deserialize, Serialize};

use crate::limit::Quota;
use crate::list::Dict;

/// What the WebSockets of a route may do. A tier that is not named may do what it likes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sockets {
    /// How many a client has open at once at most, by tier.
    pub connections: Dict<String, u32>,
    /// How many messages it may send over one of them, by tier.
    pub messages: Dict<String, Quota>,
}

impl Sockets {
    /// The tiers that are named and not known.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn problems(&self, tiers: &[crate::identity::Tier]) -> Vec<(&'static str, String)> {
        let connections = self.connections.names().map(|tier| ("connections", tier));
        let messages = self.messages.names().map(|tier| ("messages", tier));
        let known = |name: &str| tiers.iter().any(|tier| **tier == *name);
        connections
            .chain(messages)
            .filter(|(_, tier)| !known(tier))
            .map(|(key, tier)| (key, format!("`{tier}` is no tier; allowed: {}", tiers.join(", "))))
            .collect()
    }
}
