//! The answer to a prompt that is nearly the same.

use serde_json::json;
use tidegate::sim::{Fault, Helper, Reply, Request, World, ms, secs};

use super::PLAIN;

const NEAR: [&str; 2] = [
    "Please explain to me in a few short sentences how the tides of the sea come about and why they differ",
    "please explain to me in a few short sentences, how the tides of the sea come about and why they differ.",
];
const NEARLY: &str =
    "Please explain to me in a few short sentences how tides of the sea come about and why they differ";
const OTHER: &str = "Write a poem about a gate that opens only for those who come with the tide";

/// Two colos, and an origin that never says the same thing twice.
fn world(similar: &str) -> World {
    let cache = format!("key = {{ body = [\"POST\"] }}, similar = {similar}");
    let world = World::fleet(5, 2).config(&format!("{PLAIN}cache = {{ {cache} }}\n"));
    world.origin(|asked| Reply::cached(format!("answer {}", asked.nth), "max-age=600").after(ms(200)));
    world
}

fn ask<'w>(world: &'w World, prompt: &str) -> Request<'w> {
    let body = json!({"model": "m", "temperature": 0.7, "prompt": prompt}).to_string();
    world.request("POST", "/ai").field("content-type", "application/json").body(&body)
}

#[test]
fn a_similar_prompt_gets_the_answer_and_is_told_so() {
    let world = world("{}");
    assert_eq!(ask(&world, NEAR[0]).run().text(), "answer 0");
    world.pass(secs(5));
    let same = ask(&world, NEAR[1]).run();
    assert_eq!((same.text(), same.cache().as_str()), ("answer 0", "hit; ttl=595; detail=similar"));
    assert_eq!(same.field("x-tidegate-similarity").as_deref(), Some("1.00"));
    assert_eq!(same.age(), 5);
    let nearly = ask(&world, NEARLY).run();
    assert_eq!((nearly.text(), nearly.field("x-tidegate-similarity").as_deref()), ("answer 0", Some("0.93")));
    // What is the same to the letter is not similar, but the same.
    let known = ask(&world, NEAR[0]).run();
    assert_eq!(
        (known.cache().as_str(), known.field("x-tidegate-similarity")),
        ("hit; ttl=595; detail=memory", None)
    );
    assert_eq!(ask(&world, OTHER).run().text(), "answer 1");
    assert_eq!(world.metric("tidegate_similar_prompts_total", &[("outcome", "answered")]), 2);
    assert_eq!(world.leaks(), 0);
}

#[test]
fn who_shows_a_credential_that_is_not_known_here_gets_no_similar_answer() {
    let world = world("{}");
    world.origin(|asked| Reply::cached(format!("answer {}", asked.nth), "max-age=600, public"));
    ask(&world, NEAR[0]).run();
    let shown = || ask(&world, NEARLY).field("authorization", "Bearer unknown").run();
    assert_eq!(shown().text(), "answer 1", "the origin may know who that is");
    assert_eq!(shown().cache(), "hit; ttl=600; detail=memory", "which it said is for everybody");
    assert!(ask(&world, NEAR[1]).run().cache().ends_with("detail=similar"));
}

#[test]
fn another_isolate_finds_it_in_the_colo_and_another_colo_does_not() {
    let world = world("{}");
    ask(&world, NEAR[0]).run();
    world.pass(secs(61));
    assert_eq!(ask(&world, NEARLY).at(0, 1).run().cache(), "hit; ttl=539; detail=similar");
    assert_eq!(ask(&world, NEARLY).at(1, 0).run().text(), "answer 1");
    assert_eq!((world.counts().origin, world.leaks()), (2, 0));
}

#[test]
fn the_route_says_how_similar_is_similar() {
    for (threshold, answered) in
        [("0.5", true), ("0.85", true), ("0.93", true), ("0.95", false), ("1.0", false)]
    {
        let world = world(&format!("{{ threshold = {threshold} }}"));
        ask(&world, NEAR[0]).run();
        world.pass(secs(1));
        assert_eq!(ask(&world, NEARLY).run().is_hit(), answered, "{threshold}");
    }
}

#[test]
fn other_parameters_and_other_users_never_get_it() {
    let world = world("{}");
    ask(&world, NEAR[0]).run();
    world.pass(secs(1));
    let body = json!({"model": "n", "temperature": 0.7, "prompt": NEAR[1]}).to_string();
    let other = world.request("POST", "/ai").field("content-type", "application/json").body(&body);
    assert_eq!(other.run().text(), "answer 1");
    let elsewhere = json!({"model": "m", "temperature": 0.7, "prompt": NEAR[1]}).to_string();
    let elsewhere = world.request("POST", "/ai2").field("content-type", "application/json").body(&elsewhere);
    assert_eq!(elsewhere.run().text(), "answer 2");
    // What is answered to somebody with credentials is not for everybody (RFC 9111, section 3.5).
    assert_eq!(ask(&world, OTHER).field("authorization", "Bearer a").run().text(), "answer 3");
    world.pass(secs(1));
    let again = ask(&world, &OTHER.to_uppercase()).field("authorization", "Bearer b").run();
    assert_eq!(again.text(), "answer 4");
}

#[test]
fn users_with_responses_of_their_own_keep_them() {
    let cache = "key = { body = [\"POST\"], per_user = true }, similar = {}";
    let config = format!("{PLAIN}cache = {{ {cache} }}\n");
    let world = World::new(6).config(&config);
    world.origin(|asked| Reply::cached(format!("answer {}", asked.nth), "max-age=600"));
    for user in ["ann", "bob"] {
        world.api_key(user, &format!("{{\"tier\":\"pro\",\"subject\":\"{user}\"}}"));
    }
    let say = |user: &str, prompt: &str| {
        let answer = ask(&world, prompt).field("x-api-key", user).run();
        world.pass(secs(1));
        answer.text().to_owned()
    };
    assert_eq!(say("ann", NEAR[0]), "answer 0");
    assert_eq!(say("bob", NEAR[1]), "answer 1");
    assert_eq!((say("ann", NEARLY), say("bob", NEARLY)), ("answer 0".into(), "answer 1".into()));
}

#[test]
fn in_shadow_mode_it_is_only_measured() {
    let world = world("{ mode = \"shadow\" }");
    world.origin(|asked| Reply::cached(if asked.nth < 2 { "the same" } else { "another" }, "max-age=600"));
    for prompt in [NEAR[0], NEAR[1], NEARLY, OTHER] {
        let answer = ask(&world, prompt).run();
        assert!(!answer.is_hit() && answer.field("x-tidegate-similarity").is_none());
        world.pass(secs(1));
    }
    let count = |outcome| world.metric("tidegate_similar_prompts_total", &[("outcome", outcome)]);
    let counts = ["answered", "shadow", "shadow-same", "shadow-different"].map(count);
    assert_eq!((world.counts().origin, counts), (4, [0, 2, 1, 1]));
}

#[test]
fn only_a_fresh_answer_is_given() {
    let world = world("{}");
    world.origin(|asked| {
        Reply::cached(format!("answer {}", asked.nth), "max-age=10, stale-while-revalidate=600")
    });
    ask(&world, NEAR[0]).run();
    world.pass(secs(11));
    assert_eq!(ask(&world, NEAR[1]).run().text(), "answer 1");
}

#[test]
fn what_is_not_stored_answers_nobody() {
    let world = world("{}");
    world.origin(|asked| Reply::cached(format!("answer {}", asked.nth), "no-store"));
    ask(&world, NEAR[0]).run();
    world.pass(secs(1));
    assert_eq!(ask(&world, NEAR[1]).run().text(), "answer 1");
}

#[test]
fn a_colo_that_fails_only_makes_it_unknown() {
    let world = world("{}");
    ask(&world, NEAR[0]).run();
    world.pass(secs(1));
    world.fault(Helper::Colo, Fault::Fails);
    assert_eq!(ask(&world, NEARLY).at(0, 1).run().text(), "answer 1");
    assert_eq!(ask(&world, NEARLY).run().cache(), "hit; ttl=599; detail=similar");
    assert_eq!(world.leaks(), 0);
}

#[test]
fn a_route_that_does_not_opt_in_knows_no_similarity() {
    let world = World::new(7).config(&format!("{PLAIN}cache = {{ key = {{ body = [\"POST\"] }} }}\n"));
    world.origin(|asked| Reply::cached(format!("answer {}", asked.nth), "max-age=600"));
    ask(&world, NEAR[0]).run();
    world.pass(secs(1));
    assert_eq!(ask(&world, NEAR[1]).run().text(), "answer 1");
}

#[test]
fn what_was_purged_answers_no_similar_prompt() {
    for (purge, answer) in
        [("https://edge.example/other", "answer 0"), ("https://edge.example/ai", "answer 1")]
    {
        let world = world("{}").var("TIDEGATE_ADMIN_TOKEN", "s3cret");
        ask(&world, NEAR[0]).run();
        world.pass(secs(1));
        let purge = json!({"operations": [{"url": purge}]}).to_string();
        let admin = world.request("POST", "/_tidegate/admin/purge").field("authorization", "Bearer s3cret");
        assert_eq!(admin.body(&purge).run().status, 200);
        world.pass(secs(70));
        assert_eq!(ask(&world, NEAR[1]).run().text(), answer, "{purge}");
    }
}
