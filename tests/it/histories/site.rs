//! The origin of the histories: its paths say what may be done with what is there, and each body says for whom and
//! when it was made.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use serde::{Deserialize, Serialize};
use tidegate::origin::FetchError;
use tidegate::time::Timestamp;

use super::purges::tags;
use crate::sim::{Asked, Reply, ms};

/// A kind of resource: the first segment of its path.
pub struct Kind {
    pub name: &'static str,
    pub cache_control: &'static str,
    /// How long after its making or confirmation a shared cache may give it to another request, in seconds, errors
    /// of the origin aside.
    pub usable_secs: u64,
    /// The same when the origin fails.
    pub error_secs: u64,
    /// Nobody but the request that it was made for may get it.
    pub own: bool,
    /// It differs by Accept-Language.
    pub vary: bool,
    /// It differs by client, and only the same client may get it.
    pub per_client: bool,
    pub etag: bool,
}

impl Kind {
    /// The route that its paths are on.
    pub fn route(&self) -> &'static str {
        match self.name {
            "plain" | "vary" | "swr" => "always",
            "each" => "each",
            "limited" => "limited",
            "global" => "global",
            _ => "all",
        }
    }

    /// How much longer than that a client may have it that takes what is stale, in seconds.
    pub fn max_stale_secs(&self) -> u64 {
        if self.cache_control.contains("must-revalidate") { 0 } else { 1000 }
    }
}

const PLAIN: Kind = Kind {
    name: "plain",
    cache_control: "max-age=20",
    usable_secs: 20,
    error_secs: 20,
    own: false,
    vary: false,
    per_client: false,
    etag: false,
};

pub const KINDS: [Kind; 15] = [
    PLAIN,
    Kind { name: "long", cache_control: "max-age=4000", usable_secs: 4000, error_secs: 4000, ..PLAIN },
    Kind {
        name: "global",
        cache_control: "max-age=2000",
        usable_secs: 2000,
        error_secs: 2000,
        etag: true,
        ..PLAIN
    },
    Kind {
        name: "vary",
        vary: true,
        etag: true,
        cache_control: "max-age=100",
        usable_secs: 100,
        error_secs: 100,
        ..PLAIN
    },
    Kind {
        name: "swr",
        cache_control: "max-age=5, stale-while-revalidate=30, stale-if-error=120",
        usable_secs: 35,
        error_secs: 125,
        etag: true,
        ..PLAIN
    },
    Kind {
        name: "must",
        cache_control: "max-age=5, must-revalidate, stale-if-error=600",
        usable_secs: 5,
        error_secs: 5,
        etag: true,
        ..PLAIN
    },
    Kind { name: "limited", cache_control: "max-age=3", usable_secs: 3, error_secs: 3, ..PLAIN },
    Kind { name: "private", cache_control: "private, max-age=600", own: true, ..PLAIN },
    Kind { name: "no-store", cache_control: "no-store, max-age=600", own: true, ..PLAIN },
    Kind { name: "cookie", cache_control: "max-age=600", own: true, ..PLAIN },
    Kind { name: "no-cache", cache_control: "no-cache", usable_secs: 0, error_secs: 0, etag: true, ..PLAIN },
    Kind { name: "star", cache_control: "max-age=600", own: true, ..PLAIN },
    Kind {
        name: "each",
        cache_control: "public, max-age=60",
        usable_secs: 60,
        error_secs: 60,
        per_client: true,
        ..PLAIN
    },
    Kind {
        name: "user",
        cache_control: "max-age=60",
        usable_secs: 60,
        error_secs: 60,
        per_client: true,
        ..PLAIN
    },
    Kind { name: "bare", cache_control: "", usable_secs: 0, error_secs: 0, ..PLAIN },
];

pub struct Client {
    pub address: &'static str,
    pub credential: Option<(&'static str, &'static str)>,
}

pub const CLIENTS: [Client; 5] = [
    Client { address: "192.0.2.1", credential: None },
    Client { address: "192.0.2.2", credential: None },
    Client { address: "192.0.2.3", credential: Some(("x-api-key", "alice")) },
    Client { address: "192.0.2.3", credential: Some(("x-api-key", "bob")) },
    Client { address: "192.0.2.5", credential: Some(("authorization", "Basic Y2Fyb2w6eA==")) },
];

pub const LANGUAGES: [&str; 3] = ["", "de", "en"];

/// What a body says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made {
    pub path: String,
    pub language: String,
    pub credential: String,
    pub serial: usize,
    /// The X-Request-Id of the request that it was made for.
    pub request: String,
    pub at: u64,
}

/// What happened to one body since it was made.
#[derive(Debug, Clone)]
pub struct Life {
    pub made: Made,
    pub text: String,
    /// When it was made or confirmed, and for which request.
    pub confirmed: Vec<(Timestamp, String)>,
}

/// The origin. Clones are the same one.
#[derive(Clone)]
pub struct Site {
    rng: Rc<RefCell<fastrand::Rng>>,
    lives: Rc<RefCell<HashMap<usize, Life>>>,
    /// Of 100 requests so many fail.
    fails_percent: Rc<Cell<u8>>,
    may_fail: bool,
    /// The kinds that this history asks for.
    kinds: [usize; 3],
}

impl Site {
    pub fn new(mut rng: fastrand::Rng) -> Self {
        let (may_fail, kinds) = (rng.bool(), [(); 3].map(|()| rng.usize(..KINDS.len())));
        let rng = Rc::new(RefCell::new(rng));
        Self { rng, lives: Rc::default(), fails_percent: Rc::default(), may_fail, kinds }
    }

    /// Whether this origin ever fails.
    pub fn may_fail(&self) -> bool {
        self.may_fail
    }

    pub fn disturb(&self, rng: &mut fastrand::Rng) {
        self.fails_percent.set(if self.may_fail { [0, 0, 30, 100][rng.usize(..4)] } else { 0 });
    }

    pub fn path(&self, rng: &mut fastrand::Rng) -> String {
        format!("/{}/{}", KINDS[self.kinds[rng.usize(..3)]].name, rng.u8(..2))
    }

    pub fn life(&self, serial: usize) -> Option<Life> {
        self.lives.borrow().get(&serial).cloned()
    }

    /// Bodies that were made for this path.
    pub fn lives_of(&self, path: &str) -> Vec<Life> {
        self.lives.borrow().values().filter(|life| life.made.path == path).cloned().collect()
    }

    pub fn answer(&self, asked: &Asked) -> Reply {
        let mut rng = self.rng.borrow_mut();
        let after = ms(if rng.bool() { rng.u64(..50) } else { rng.u64(..1500) });
        if rng.u8(..100) < self.fails_percent.get() {
            return match rng.u8(..4) {
                0 => Reply::new(503, "down").after(after),
                1 => Reply::new(500, "broken").after(after),
                2 => Reply::fails(FetchError::ConnectionLost).after(after),
                _ => Reply::ok("late").after(ms(60_000)),
            };
        }
        if !matches!(asked.method(), "GET" | "HEAD") {
            // A write to one of these is one to both: they are a group.
            return Reply::new(204, "").field("cache-group-invalidation", "\"global\"").after(after);
        }
        let request = asked.field("x-request-id").unwrap().to_owned();
        let kind = kind(asked.path());
        if kind.etag
            && let Some(serial) = self.confirm(asked, kind, &request)
        {
            let reply = Reply::new(304, "").field("etag", &format!("\"{serial}\"")).after(after);
            return headed(reply, kind, asked);
        }
        let made = Made {
            path: asked.path().to_owned(),
            language: asked.field("accept-language").unwrap_or_default().to_owned(),
            credential: credential(asked),
            serial: asked.nth,
            request: request.clone(),
            at: asked.at.as_millis(),
        };
        let mut text = serde_json::to_string(&made).unwrap();
        if asked.path().ends_with('1') {
            text.extend(std::iter::repeat_n(' ', 4000));
        }
        let life = Life { made, text: text.clone(), confirmed: vec![(asked.at, request)] };
        self.lives.borrow_mut().insert(asked.nth, life);
        let reply = Reply::ok(text).field("etag", &format!("\"{}\"", asked.nth)).after(after);
        let reply = headed(reply, kind, asked).takes(ms(rng.u64(..300)));
        match rng.u8(..20) {
            0 if self.fails_percent.get() > 0 => reply.breaks(),
            1..4 => reply.chunked(),
            _ => reply,
        }
    }

    /// The body that one of the request's tags names and that is still what this request would get.
    fn confirm(&self, asked: &Asked, kind: &Kind, request: &str) -> Option<usize> {
        let tags = asked.field("if-none-match")?;
        let mut lives = self.lives.borrow_mut();
        let serials = tags.split(", ").filter_map(|tag| tag.trim_matches('"').parse::<usize>().ok());
        let serial = serials.into_iter().find(|serial| {
            lives.get(serial).is_some_and(|life| {
                let language = asked.field("accept-language").unwrap_or_default();
                life.made.path == asked.path() && (!kind.vary || life.made.language == language)
            })
        })?;
        lives.get_mut(&serial)?.confirmed.push((asked.at, request.to_owned()));
        Some(serial)
    }
}

fn credential(asked: &Asked) -> String {
    asked.field("x-api-key").or_else(|| asked.field("authorization")).unwrap_or_default().to_owned()
}

fn headed(mut reply: Reply, kind: &Kind, asked: &Asked) -> Reply {
    if !kind.cache_control.is_empty() {
        reply = reply.field("cache-control", kind.cache_control);
    }
    reply = reply.field("cache-tag", &tags(asked.path()));
    match kind.name {
        "global" => reply.field("cache-groups", "\"global\""),
        "cookie" => reply.field("set-cookie", &format!("session={}", asked.field("x-request-id").unwrap())),
        "star" => reply.field("vary", "*"),
        _ if kind.vary => reply.field("vary", "accept-language"),
        _ => reply,
    }
}

pub fn kind(path: &str) -> &'static Kind {
    let name = path.split('/').nth(1).unwrap();
    KINDS.iter().find(|kind| kind.name == name).unwrap()
}
