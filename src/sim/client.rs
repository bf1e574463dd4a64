//! Clients: a request that reads like a sentence, and its answer.

use std::cell::RefCell;
use std::rc::Rc;

use crate::flow;
use crate::head::{Client, Fields, Message, Method, RequestHead};
use crate::time::{Span, Timestamp};

use super::body::{self, Body, Content};
use super::edge::Edge;
use super::world::World;

/// A request that is being put together.
#[must_use]
pub struct Request<'w> {
    world: &'w World,
    head: RequestHead,
    body: Option<String>,
    takes: Span,
    place: (usize, usize),
}

impl<'w> Request<'w> {
    /// A request of this method for this path, at the first isolate.
    pub fn new(world: &'w World, method: Method, path: &str) -> Self {
        let url = if path.starts_with('/') { format!("https://edge.example{path}") } else { path.to_owned() };
        let mut head = RequestHead::new(method, &url).unwrap();
        head.client = client("192.0.2.1");
        Self { world, head, body: None, takes: Span::ZERO, place: (0, 0) }
    }

    /// Adds a field.
    pub fn field(mut self, name: &str, value: &str) -> Self {
        self.head.fields.append(name, value);
        self
    }

    /// Gives it a body, and Content-Length.
    pub fn body(mut self, body: &str) -> Self {
        self.head.fields.append("content-length", &body.len().to_string());
        self.body = Some(body.to_owned());
        self
    }

    /// Gives it a body, and does not say how long it is.
    pub fn streamed(mut self, body: &str) -> Self {
        self.body = Some(body.to_owned());
        self
    }

    /// Gives it a body of which the last byte comes so late.
    pub fn uploads(mut self, body: &str, takes: Span) -> Self {
        self = self.body(body);
        self.takes = takes;
        self
    }

    /// The client's address.
    pub fn from(mut self, address: &str) -> Self {
        self.head.client = client(address);
        self
    }

    /// The client is here: the data centre, the country, the continent.
    pub fn near(mut self, colo: &str, country: &str, continent: &str) -> Self {
        let mut client = self.head.client().clone();
        let place = |name: &str| Some(name.into());
        (client.colo, client.country, client.continent) = (place(colo), place(country), place(continent));
        self.head.client = client.into();
        self
    }

    /// The isolate that gets it.
    pub fn at(mut self, colo: usize, isolate: usize) -> Self {
        self.place = (colo, isolate);
        self
    }

    /// Sends it.
    pub fn start(self) -> Pending {
        let shared = self.world.shared().clone();
        let (isolate, gate) = shared.isolate(self.place);
        let edge = Edge::new(shared.clone(), self.place.0, isolate);
        let pending = Pending(Rc::default());
        let (slot, is_head) = (pending.0.clone(), self.head.method == Method::Head);
        let ends_at = shared.clock.now() + self.takes;
        let content = |text: String| Content { bytes: text.as_bytes().into(), ends_at, breaks: false };
        let body = self.body.map(|text| Body::content(content(text)));
        let head = self.head;
        shared.clone().tasks.spawn(isolate, async move {
            let Message { head, body } = flow::serve(gate, edge, head, body).await;
            let at = shared.clock.now();
            let encoded = body.encoded;
            let read = if is_head || head.is_bodiless() {
                drop(body.take());
                Ok(String::new())
            } else {
                let text = |bytes: Rc<[u8]>| String::from_utf8_lossy(&bytes).into_owned();
                body::read(&shared.clock, body).await.map(text).map_err(text)
            };
            let answer = Answer { status: head.status, fields: head.fields, read, encoded, at };
            answer.check(is_head);
            *slot.borrow_mut() = Some(answer);
        });
        pending
    }

    /// Sends it, and waits for the answer.
    pub fn run(self) -> Answer {
        let world = self.world;
        let pending = self.start();
        world.finish(&pending)
    }
}

/// A request under way.
pub struct Pending(Rc<RefCell<Option<Answer>>>);

impl Pending {
    /// The answer, where it is here.
    pub fn take(&self) -> Option<Answer> {
        self.0.borrow_mut().take()
    }
}

/// What a client got.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its fields.
    pub fields: Fields,
    /// The body, or as much of it as came.
    pub read: Result<String, String>,
    /// The platform encodes the body.
    pub encoded: bool,
    /// When its head came.
    pub at: Timestamp,
}

impl Answer {
    /// What holds of every answer.
    fn check(&self, is_head: bool) {
        let length = self.fields.get("content-length").map(str::parse);
        if let (Some(length), Ok(text), false, false) = (length, &self.read, is_head, self.status == 304) {
            assert_eq!(length, Ok(text.len()), "Content-Length says otherwise: {self:#?}");
        }
        let ages = self.fields.get_all("age").count();
        assert!(ages <= 1, "{ages} Age fields: {self:#?}");
    }

    /// The combined value of a field.
    pub fn field(&self, name: &str) -> Option<String> {
        self.fields.combined(name)
    }

    /// The body; it came whole.
    #[track_caller]
    pub fn text(&self) -> &str {
        self.read.as_deref().expect("the body broke off")
    }

    /// Cache-Status without the name of the cache.
    #[track_caller]
    pub fn cache(&self) -> String {
        let status = self.field("cache-status").unwrap_or_default();
        status.strip_prefix("tidegate; ").map_or_else(|| status.clone(), str::to_owned)
    }

    /// Whether a stored response answered alone.
    #[track_caller]
    pub fn is_hit(&self) -> bool {
        self.cache().starts_with("hit")
    }

    /// Age in seconds.
    #[track_caller]
    pub fn age(&self) -> u64 {
        self.fields.get("age").expect("it has an Age").parse().expect("Age is a number")
    }
}

/// Somebody at this address.
fn client(address: &str) -> std::cell::OnceCell<Client> {
    Client { address: address.parse().ok(), ..Client::default() }.into()
}
