//! RFC 9875: cache groups, and No-Vary-Search.

use super::{get, rule, send};

fn grouped(path: &str, groups: &str) -> super::Step {
    send("GET", path).reply(&format!("cache-control: max-age=600\ncache-groups: {groups}"))
}

#[test]
fn rfc9875_3_a_write_invalidates_the_groups_that_it_names() {
    rule([
        grouped("/a", "\"one\", \"two\""),
        grouped("/b", "\"two\""),
        grouped("/c", "\"three\""),
        send("POST", "/x").after(2).reply("cache-group-invalidation: \"two\""),
        send("GET", "/a").reply(""),
        send("GET", "/b").reply(""),
        send("GET", "/c").hit(2),
    ]);
}

#[test]
fn rfc9875_3_a_safe_method_or_a_broken_field_invalidates_nothing() {
    for (method, said) in
        [("GET", "\"one\""), ("OPTIONS", "\"one\""), ("POST", "one"), ("POST", "\"ONE\""), ("POST", "\"one")]
    {
        rule([
            grouped("/a", "\"one\""),
            send(method, "/x").after(2).reply(&format!("cache-group-invalidation: {said}")),
            send("GET", "/a").hit(0),
        ]);
    }
}

#[test]
fn no_vary_search_tells_which_differences_between_queries_do_not_matter() {
    let at = |query: &str| send("GET", &format!("/x?{query}"));
    for (said, stored, same, other) in [
        ("params=(\"a\")", "a=1&b=2", "b=2&a=3", "b=3"),
        ("params", "a=1", "b=2", "none"),
        ("params, except=(\"id\")", "id=1&a=1", "id=1&a=2", "id=2"),
        ("key-order", "a=1&b=2", "b=2&a=1", "a=2&b=1"),
        ("key-order, params=(\"c\")", "a=1&b=2&c=3", "c=4&b=2&a=1", "a=1"),
    ] {
        let fields = format!("cache-control: max-age=60\nno-vary-search: {said}");
        rule([at(stored).reply(&fields), at(same).hit(0)]);
        if other != "none" {
            rule([at(stored).reply(&fields), at(other).reply("")]);
        }
    }
    for broken in
        ["params=\"a\"", "params=(a)", "except=(\"a\")", "params=(\"a\"), except=(\"b\")", "key-order=1", "("]
    {
        let fields = format!("cache-control: max-age=60\nno-vary-search: {broken}");
        rule([at("a=1").reply(&fields), at("a=2").reply("")]);
    }
    rule([get().reply("cache-control: max-age=60"), send("GET", "/x?").reply("")]);
}
