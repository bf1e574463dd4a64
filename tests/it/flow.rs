//! A request's whole way, on a virtual clock.

mod assets;
mod batch;
mod behind;
mod bodies;
mod caching;
mod collapse;
mod costs;
mod given_back;
mod guarding;
mod health;
mod identity;
mod invalidation;
mod keys;
mod large;
mod layers;
mod limits;
mod limits_admin;
mod lists;
mod origins;
mod own;
mod parts;
mod penalties;
mod periods;
mod poisoning;
mod preconditions;
mod providers;
mod purging;
mod queue;
mod record;
mod saas;
mod semantics;
mod shield;
mod similar;
mod slices;
mod slices_broken;
mod slices_purged;
mod sockets;
mod stale;
mod timing;
mod told;
mod upstream;
mod warming;

use tidegate::base64url;

use crate::sim::{Reply, World};

/// One origin, no limits.
const PLAIN: &str = r#"
[origins.default]
url = "http://origin.example"
[[routes]]
name = "all"
"#;

/// The same with more keys in the route's cache table, such as `stale_if_error = "1h"`.
fn cached(keys: &str) -> World {
    World::new(1).config(&format!("{PLAIN}cache = {{ {keys} }}\n"))
}

/// A world with one origin whose answers are these, the last again and again.
fn plain(replies: impl IntoIterator<Item = Reply>) -> World {
    let world = World::new(1).config(PLAIN);
    world.replies(replies);
    world
}

/// A token that the simulator's platform believes.
fn token(subject: &str) -> String {
    let claims = format!(r#"{{"sub":"{subject}","exp":9999999999}}"#);
    let parts = [r#"{"alg":"HS256"}"#, &claims, "good"].map(|part| base64url::encode(part.as_bytes()));
    format!("Bearer {}", parts.join("."))
}
