//! All that the core asks of the world: one trait, with exactly two implementations, Workers and the simulator.
//!
//! Every operation is bounded in time by its caller. None of them decides anything.

use std::future::Future;
use std::ops::Range;

use crate::cache::{Layer, StorageKey};
use crate::head::{Client, Message, RequestHead, ResponseHead};
use crate::origin::FetchError;
use crate::time::{Span, Timestamp};

/// Why a helper did not help. The request goes on without it (`flow` says how).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PortError {
    /// It took longer than its budget.
    #[error("timeout")]
    Timeout,
    /// The body is longer than what may be held.
    #[error("too large")]
    TooLarge,
    /// The body broke off.
    #[error("the body broke off")]
    BrokenOff,
    /// The client went away.
    #[error("the client is gone")]
    Gone,
    /// Anything else, in the platform's own words.
    #[error("{0}")]
    Failed(String),
}

/// What the metrics object can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Observed {
    /// The health document.
    Health,
    /// The OpenMetrics text.
    Metrics,
    /// The same figures as JSON.
    MetricsJson,
    /// What became of limits, as JSON.
    Limits,
    /// The hot URLs, a line each.
    Hot,
}

impl Observed {
    /// Its name on the way to the object.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Health => "health",
            Self::Metrics => "metrics",
            Self::MetricsJson => "metrics.json",
            Self::Limits => "limits",
            Self::Hot => "hot",
        }
    }
}

/// What was read of a body.
pub enum Held<A, B> {
    /// All of it.
    Whole(A),
    /// It is longer than what may be held; the same body, from its beginning.
    Longer(B),
}

/// A record in a store: its head as text (see `cache::stored`) and its body.
pub type Loaded<B> = Message<String, B>;

/// The world, as one request sees it.
pub trait Ports: Clone + 'static {
    /// A body that can be handed on once: a stream, bytes, or none (its default).
    type Body: Default + 'static;
    /// A whole body in hand, that can be handed on any number of times.
    type Bytes: Clone + 'static;
    /// Where a body is poured together.
    type Sink: 'static;
    /// Something that one request raises and others wait for.
    type Signal: Clone + 'static;

    /// Who is at the other end of this request's connection.
    fn client(&self) -> Client;
    /// The time. On Workers it stands still between two operations.
    fn now(&self) -> Timestamp;
    /// A seed for this request's randomness.
    fn seed(&self) -> u64;
    /// One line for the log.
    fn log(&self, line: &str);
    /// Work that goes on after the answer.
    fn defer(&self, work: impl Future<Output = ()> + 'static);

    /// A body of so many bytes that is poured together piece by piece, and where to.
    fn pipe(&self, bytes: u64) -> (Self::Body, Self::Sink);
    /// Pours a body in, at the pace of whoever reads; fails where either broke off.
    fn pour(&self, sink: &Self::Sink, body: Self::Body) -> impl Future<Output = Result<(), PortError>>;
    /// That was all, or it breaks off here.
    fn end(&self, sink: &Self::Sink, whole: bool);

    /// Bytes as a body.
    fn body(&self, bytes: &Self::Bytes) -> Self::Body;
    /// A text as bytes.
    fn bytes(&self, text: &str) -> Self::Bytes;
    /// How many bytes there are.
    fn len(&self, bytes: &Self::Bytes) -> u64;
    /// A part of the bytes; `range` lies within them.
    fn slice(&self, bytes: &Self::Bytes, range: Range<u64>) -> Self::Bytes;
    /// Two bodies for one.
    fn tee(&self, body: Self::Body) -> (Self::Body, Self::Body);
    /// The same body, which breaks off unless it is this long: no store promises that what broke off while it was written
    /// is not there for a moment.
    fn exact(&self, body: Self::Body, length: u64) -> Self::Body;
    /// A part of a body; `range` lies within it.
    fn part(&self, body: Self::Body, range: Range<u64>) -> Self::Body;
    /// The body, to be encoded as the Content-Encoding of its head will say.
    fn encode(&self, body: Self::Body) -> Self::Body;
    /// A body that nobody wants: its connection is free again.
    fn discard(&self, body: Self::Body);
    /// Bytes as text, what is not UTF-8 replaced.
    fn text(&self, bytes: &Self::Bytes) -> String;
    /// Bytes one after the other.
    fn concat(&self, parts: &[Self::Bytes]) -> Self::Bytes;
    /// Reads a body, at most `cap` bytes; tells whether it came to its end, or broke off.
    fn gather(
        &self,
        body: Self::Body,
        cap: u64,
    ) -> impl Future<Output = Result<(Self::Bytes, bool), PortError>>;
    /// Reads a body whole, at most `cap` bytes.
    fn collect(&self, body: Self::Body, cap: u64) -> impl Future<Output = Result<Self::Bytes, PortError>> {
        async move {
            match self.gather(body, cap).await? {
                (bytes, true) => Ok(bytes),
                (_, false) => Err(PortError::BrokenOff),
            }
        }
    }

    /// Reads a body whole, where it has at most `cap` bytes.
    fn hold(
        &self,
        body: Self::Body,
        cap: u64,
    ) -> impl Future<Output = Result<Held<Self::Bytes, Self::Body>, PortError>>;

    /// Waits.
    fn sleep(&self, span: Span) -> impl Future<Output = ()>;
    /// A signal that is not raised yet.
    fn signal(&self) -> Self::Signal;
    /// Raises it.
    fn raise(&self, signal: &Self::Signal);
    /// Waits until it is raised, at most for `budget`; tells whether it was.
    fn raised(&self, signal: &Self::Signal, budget: Span) -> impl Future<Output = bool>;

    /// Sends a request to an origin, and waits for the head of the answer at most until `deadline` has passed. That does
    /// not run while the client has to send more of the body, only while the origin has to take it, or has all of it.
    fn fetch(
        &self,
        request: &RequestHead,
        body: Self::Body,
        deadline: Span,
    ) -> impl Future<Output = Result<Message<ResponseHead, Self::Body>, FetchError>>;

    /// The same for who may go away: what is under way ends when the future is dropped, and where the client goes away
    /// ([`FetchError::Aborted`]).
    fn fetch_awaited(
        &self,
        request: &RequestHead,
        body: Self::Body,
        deadline: Span,
    ) -> impl Future<Output = Result<Message<ResponseHead, Self::Body>, FetchError>>;
    /// When an origin was sent the end of the body that the client itself sends.
    fn uploaded(&self) -> Timestamp;
    /// The same body; `signal` is raised when it has ended, in whatever way. `length` is its length, where that is known.
    /// `lone`: it ends where the client goes away, since nobody else wants it.
    fn ending(&self, body: Self::Body, signal: &Self::Signal, length: Option<u64>, lone: bool) -> Self::Body;
    /// The same body, which breaks off where nothing comes for so long. `length` is its length, where that is known.
    fn watch(&self, body: Self::Body, idle: Span, length: Option<u64>) -> Self::Body;

    /// Reads a record of the colo or the kv layer.
    fn load(
        &self,
        layer: Layer,
        key: &StorageKey,
        budget: Span,
    ) -> impl Future<Output = Result<Option<Loaded<Self::Body>>, PortError>>;
    /// Writes one, to be kept for `keep`. `length` is the body's, where it is known.
    fn save(
        &self,
        layer: Layer,
        key: &StorageKey,
        record: Loaded<Self::Body>,
        length: Option<u64>,
        keep: Span,
    ) -> impl Future<Output = Result<(), PortError>>;
    /// Removes one.
    fn remove(&self, layer: Layer, key: &StorageKey) -> impl Future<Output = Result<(), PortError>>;

    /// Asks the limiter object of that name (`limit::object` has both texts).
    fn limit(
        &self,
        object: &str,
        asks: &str,
        budget: Span,
    ) -> impl Future<Output = Result<String, PortError>>;
    /// Has the limiter object of that name forget what it counted.
    fn reset_limit(&self, object: &str, budget: Span) -> impl Future<Output = Result<(), PortError>>;
    /// Says something to the shield of this key (`cache::shield` has both texts), a record on further lines and its body
    /// beside it; an answer comes back in the same way.
    fn shield(
        &self,
        key: &StorageKey,
        said: &str,
        body: Option<&Self::Bytes>,
        budget: Span,
    ) -> impl Future<Output = Result<(String, Option<Self::Bytes>), PortError>>;
    /// Says something to the object of the queue of that name (`limit::queue` has both texts), and where it has to
    /// wait its turn, waits for that at most for `patience`. `awaited`: it ends where the client goes away.
    fn queue(
        &self,
        name: &str,
        call: &str,
        patience: Span,
        budget: Span,
        awaited: bool,
    ) -> impl Future<Output = Result<String, PortError>>;
    /// The record of an API key, by the key's hash.
    fn api_key(&self, hash: &str, budget: Span) -> impl Future<Output = Result<Option<String>, PortError>>;
    /// 32 random bytes that nobody can guess, as text.
    fn secret(&self) -> String;
    /// API keys whose hash begins so, a page from `cursor` on (`admin::keys` reads the text).
    fn keys(
        &self,
        prefix: &str,
        cursor: &str,
        budget: Span,
    ) -> impl Future<Output = Result<String, PortError>>;
    /// Writes the record of an API key; `None` removes it.
    fn save_key(&self, hash: &str, record: Option<&str>) -> impl Future<Output = Result<(), PortError>>;
    /// Whether a signature holds. `key` is a JWK, or for HMAC the name of the binding that has the secret.
    fn verify(
        &self,
        algorithm: &str,
        key: &str,
        signed: &[u8],
        signature: &[u8],
    ) -> impl Future<Output = Result<bool, PortError>>;

    /// Takes a place among the `most` open connections that `place` may have, for as long as the socket of this request is
    /// open; `false` where there is none.
    fn connect(&self, place: &str, most: u32, budget: Span) -> impl Future<Output = Result<bool, PortError>>;
    /// The socket of an upgrade, tied to the client's: so many messages in so long may come from there, and both ends are
    /// told when the isolate goes.
    fn relay(&self, socket: Self::Body, messages: Option<(u32, Span)>) -> Self::Body;
    /// Tells the object that probes endpoints what was seen of them, and learns what is known (`origin::monitor` has both
    /// texts).
    fn health(&self, seen: &str, budget: Span) -> impl Future<Output = Result<String, PortError>>;
    /// Asks the object that keeps a pool's changes (`platform/objects/deliveries.mjs` has the commands); `change` is this
    /// request as it came, where it is to be kept.
    fn deliveries(
        &self,
        pool: &str,
        ask: &str,
        change: Option<(&RequestHead, &Self::Bytes)>,
        budget: Span,
    ) -> impl Future<Output = Result<String, PortError>>;
    /// The document that the fleet shares, as KV has it (`fleet::Document`); `None` where there is none yet.
    fn fleet(&self, budget: Span) -> impl Future<Output = Result<Option<String>, PortError>>;
    /// Gives the fleet's object a command (`fleet::object` has both texts), or where it begins so the one that warms
    /// (`fleet::warm`).
    fn command(&self, command: &str, budget: Span) -> impl Future<Output = Result<String, PortError>>;
    /// The audit trail, as a JSON list with the latest first.
    fn audit(&self, budget: Span) -> impl Future<Output = Result<String, PortError>>;

    /// Hands counters over. Tells whether a page watches them.
    fn report(&self, delta: &str) -> impl Future<Output = Result<bool, PortError>>;
    /// Asks for the fleet's counters.
    fn observe(&self, what: Observed, budget: Span) -> impl Future<Output = Result<String, PortError>>;
    /// Connects this request, an upgrade, to the live stream.
    fn live(&self) -> impl Future<Output = Result<Message<ResponseHead, Self::Body>, PortError>>;
    /// A file of `www/`.
    fn asset(&self, path: &str)
    -> impl Future<Output = Result<Message<ResponseHead, Self::Body>, PortError>>;
}
