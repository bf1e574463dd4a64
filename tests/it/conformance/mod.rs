//! HTTP caching, rule by rule, each a test named by the section that it comes from. They run on
//! `examples/plain-cache/tidegate.toml`, where every option is switched on, unless a rule is about a default.
//!
//! A rule is a list of steps. Each is a request; one with a reply must reach the origin, one without must not.
//!
//! ```text
//! rule([
//!     get().reply("cache-control: max-age=60"),
//!     get().after(30).hit(0).says("age: 30"),
//! ]);
//! ```
//!
//! They run here in the simulator, and `tests/e2e/conformance.test.mjs` replays the same steps to the built worker in
//! workerd: see [`export`].

mod conditions;
mod export;
mod fields;
mod freshness;
mod groups;
mod invalidation;
mod methods;
mod negotiation;
mod parts;
mod range;
mod request;
mod stale;
mod statuses;
mod storing;
mod syntax;
mod targeted;
mod targets;
mod validation;
mod vary;
mod wishes;

use std::cell::RefCell;
use std::rc::Rc;

use tidegate::time::Timestamp;

use crate::sim::{Answer, Asked, Reply, World, secs};

/// When every rule begins.
const START: Timestamp = Timestamp::from_secs(1_789_000_000);

/// A moment so many seconds after the beginning (or before it), as an HTTP date.
fn date(after: i64) -> String {
    Timestamp::from_secs(START.as_secs().saturating_add_signed(after)).to_http_date()
}

/// Where the clients of every rule think they are.
const AUTHORITY: &str = "edge.example";

/// Where a config says that the origin is; a replay puts its own there.
const ORIGIN: &str = "http://origin.example";

/// One request, what the origin answers if it is asked, and what must come of it.
#[derive(Clone, Default)]
struct Step {
    after_secs: u64,
    method: &'static str,
    path: String,
    fields: Vec<(String, String)>,
    content: Option<&'static str>,
    reply: Option<Reply>,
    body: Option<String>,
    status: Option<u16>,
    says: Vec<(String, Option<String>)>,
    asks: Vec<(String, Option<String>)>,
}

/// `name: value`, each on its line.
fn fields(text: &str) -> Vec<(String, String)> {
    let field = |line: &str| {
        let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("`{line}` is no field"));
        (name.trim().to_owned(), value.trim().to_owned())
    };
    text.lines().filter(|line| !line.trim().is_empty()).map(field).collect()
}

fn get() -> Step {
    send("GET", "/x")
}

fn send(method: &'static str, path: &str) -> Step {
    Step { method, path: path.to_owned(), ..Step::default() }
}

impl Step {
    /// It comes so many seconds after the one before.
    fn after(self, after_secs: u64) -> Self {
        Self { after_secs, ..self }
    }

    /// With these fields.
    fn with(mut self, text: &str) -> Self {
        self.fields.extend(fields(text));
        self
    }

    /// With content.
    fn content(self, content: &'static str) -> Self {
        Self { content: Some(content), ..self }
    }

    /// The origin is asked, and answers 200 with these fields and a body that no other step has.
    fn reply(self, text: &str) -> Self {
        self.replies(200, text)
    }

    /// The same with another status. A 304 has no body.
    fn replies(self, status: u16, text: &str) -> Self {
        let reply =
            fields(text).iter().fold(Reply::new(status, ""), |reply, (name, value)| reply.field(name, value));
        self.replies_with(reply)
    }

    fn replies_with(self, reply: Reply) -> Self {
        Self { reply: Some(reply), ..self }
    }

    /// The client gets the body of this step's reply.
    fn hit(self, step: usize) -> Self {
        self.body(&body_of(step))
    }

    fn body(self, body: &str) -> Self {
        Self { body: Some(body.to_owned()), ..self }
    }

    fn status(self, status: u16) -> Self {
        Self { status: Some(status), ..self }
    }

    /// The client gets these fields.
    fn says(mut self, text: &str) -> Self {
        self.says.extend(fields(text).into_iter().map(|(name, value)| (name, Some(value))));
        self
    }

    /// The client does not get this field.
    fn lacks(mut self, name: &str) -> Self {
        self.says.push((name.to_owned(), None));
        self
    }

    /// The origin gets these fields.
    fn asks(mut self, text: &str) -> Self {
        self.asks.extend(fields(text).into_iter().map(|(name, value)| (name, Some(value))));
        self
    }

    /// The origin does not get this field.
    fn asks_not(mut self, name: &str) -> Self {
        self.asks.push((name.to_owned(), None));
        self
    }

    /// With the body of its reply and the status that it expects.
    fn completed(mut self, nth: usize) -> Self {
        if let Some(reply) = &mut self.reply
            && reply.body.is_empty()
        {
            reply.body = body_of(nth).into();
        }
        let replied = self.reply.as_ref().and_then(|reply| reply.result.as_ref().ok());
        let expected = replied.map(|head| head.status).filter(|status| *status != 304);
        self.status = self.status.or(expected).or(Some(200));
        self
    }

    fn check(&self, nth: usize, answer: &Answer, asked: &[Asked]) {
        let place = format!("step {nth}, {} {}", self.method, self.path);
        assert_eq!(!asked.is_empty(), self.reply.is_some(), "{place}: was the origin asked? {answer:#?}");
        assert_eq!(Some(answer.status), self.status, "{place}: {answer:#?}");
        if let Some(body) = &self.body {
            assert_eq!(answer.text(), body.replace(BOUNDARY, &boundary(answer)), "{place}: {answer:#?}");
        }
        for (name, value) in &self.says {
            assert_eq!(answer.field(name), *value, "{place}, {name}: {answer:#?}");
        }
        for (name, value) in &self.asks {
            let field = asked.last().and_then(|asked| asked.head.fields.combined(name));
            assert_eq!(field, *value, "{place}, {name} of what the origin got");
        }
    }
}

/// Stands in an expected body for the boundary that the answer's Content-Type names.
const BOUNDARY: &str = "{boundary}";

fn boundary(answer: &Answer) -> String {
    let kind = answer.field("content-type").unwrap_or_default();
    kind.split_once("boundary=")
        .map(|(_, boundary)| boundary.trim_matches('"').to_owned())
        .unwrap_or_default()
}

/// The body of the reply in this step.
fn body_of(step: usize) -> String {
    format!("the body of step {step}")
}

/// Runs the steps through a plain cache.
#[track_caller]
fn rule(steps: impl IntoIterator<Item = Step>) {
    run(include_str!("../../../examples/plain-cache/tidegate.toml"), steps);
}

/// Runs them with the safe defaults.
#[track_caller]
fn by_default(steps: impl IntoIterator<Item = Step>) {
    with("", steps);
}

/// Runs them with these keys in the table of `[cache.default]`.
#[track_caller]
fn with(keys: &str, steps: impl IntoIterator<Item = Step>) {
    // Many rules break the one origin that a replay has for them all.
    let breaker = "[origins.default.breaker]\nfailures = 0\nfailure_ratio = 0.0";
    run(&format!("[origins.default]\nurl = \"{ORIGIN}\"\n{breaker}\n[cache.default]\n{keys}\n"), steps);
}

#[track_caller]
fn run(config: &str, steps: impl IntoIterator<Item = Step>) {
    let steps: Vec<Step> = steps.into_iter().enumerate().map(|(nth, step)| step.completed(nth)).collect();
    export::write(config, &steps);
    let world = World::new(9).config(config);
    let reply = Rc::new(RefCell::new(None::<Reply>));
    let current = reply.clone();
    world.origin(move |asked| {
        let what = (asked.method().to_owned(), asked.path().to_owned());
        current.borrow().clone().unwrap_or_else(|| Reply::ok(format!("nobody expected {what:?}")))
    });
    for (nth, step) in steps.into_iter().enumerate() {
        world.pass(secs(step.after_secs));
        *reply.borrow_mut() = step.reply.clone();
        let before = world.counts().origin;
        let mut request = world.request(step.method, &step.path);
        for (name, value) in &step.fields {
            request = request.field(name, value);
        }
        if let Some(content) = step.content {
            request = request.body(content);
        }
        let answer = request.run();
        step.check(nth, &answer, &world.asked()[before..]);
        assert_eq!(world.leaks(), 0, "step {nth}: a stream that nobody read or discarded");
    }
}
