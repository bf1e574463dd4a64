//! Server-Timing.

use super::PLAIN;
use crate::sim::{Reply, World, ms};

#[test]
fn a_response_tells_where_its_time_went_where_the_deployment_wants_that() {
    let limited = format!(
        "[server]\ntiming = true\n{PLAIN}limits = [\"units\"]\n[limits.policies.units]\nquota = \"1000/1m\"\n"
    );
    let world = World::new(1).config(&limited);
    world.replies([Reply::cached("x", "max-age=60").field("server-timing", "db;dur=9").after(ms(131))]);
    let timing = |path: &str| world.get(path).run().field("server-timing");
    assert_eq!(
        timing("/x").as_deref(),
        Some(
            "db;dur=9, limit;desc=\"object\";dur=0, cache;dur=0, origin;desc=\"origin.example\";dur=131, total;dur=131"
        )
    );
    assert_eq!(
        timing("/x").as_deref(),
        Some("db;dur=9, limit;desc=\"object\";dur=0, cache;desc=\"memory\";dur=0, total;dur=0")
    );
    let silent = World::new(1).config(PLAIN);
    assert_eq!(silent.get("/x").run().field("server-timing"), None);
}
