//! Read replicas: a client never reads less than what it wrote, whatever the replicas lag, wherever it asks.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use tidegate::origin::FetchError;
use tidegate::time::{Span, Timestamp};

use crate::sim::{Answer, Asked, Reply, World, ms, secs};

const CONFIG: &str = r#"
[origins.default]
split = { primary = "http://primary.example", replicas = ["http://r0.example", "http://r1.example"], lag_max = "5s", bookmark_ttl = "1m" }
[[routes]]
name = "all"
"#;

/// How a replica tells how far behind it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tells {
    Nothing,
    Lag,
    Position,
}

/// A primary whose values are numbers that only grow, and replicas that replay its log some time later.
struct Database {
    /// Each write: when, which path, its number. Its position is its place here.
    log: Vec<(Timestamp, String, u64)>,
    /// Up to which moment each replica shows all.
    shown: [Timestamp; 2],
    delays: [Span; 2],
    tells: Tells,
    cache_control: &'static str,
}

impl Database {
    fn new(now: Timestamp, tells: Tells) -> Rc<RefCell<Self>> {
        let delays = [secs(2), secs(4)];
        let cache_control = "public, max-age=3600";
        Rc::new(RefCell::new(Self {
            log: Vec::new(),
            shown: [now.before(secs(9)); 2],
            delays,
            tells,
            cache_control,
        }))
    }

    fn value(&self, path: &str, at: Timestamp) -> u64 {
        let written = self.log.iter().filter(|(when, which, _)| *when <= at && which == path);
        written.map(|(_, _, number)| *number).max().unwrap_or(0)
    }

    fn answer(&mut self, asked: &Asked) -> Reply {
        let now = asked.at;
        let replica = match asked.host() {
            "r0.example" => Some(0),
            "r1.example" => Some(1),
            _ => None,
        };
        if asked.method() == "PUT" {
            assert_eq!(replica, None, "a write came to a replica");
            self.log.push((now, asked.path().to_owned(), asked.body.parse().unwrap()));
            let reply = Reply::ok("written");
            let position = self.log.len().to_string();
            return if self.tells == Tells::Position {
                reply.field("x-replication-position", &position)
            } else {
                reply
            };
        }
        let Some(replica) = replica else {
            return Reply::cached(self.value(asked.path(), now).to_string(), self.cache_control);
        };
        // A replica never goes back.
        self.shown[replica] = self.shown[replica].max(now.before(self.delays[replica]));
        let shown = self.shown[replica];
        let reply = Reply::cached(self.value(asked.path(), shown).to_string(), self.cache_control);
        let position = self.log.iter().filter(|(when, ..)| *when <= shown).count();
        match self.tells {
            Tells::Nothing => reply,
            Tells::Position => reply.field("x-replication-position", &position.to_string()),
            Tells::Lag => {
                let lag = now.since(shown).as_millis();
                reply.field("x-replication-lag", &format!("{}.{:03}", lag / 1000, lag % 1000))
            }
        }
    }
}

fn world(seed: u64, tells: Tells) -> (World, Rc<RefCell<Database>>) {
    let world = World::fleet(seed, 2).config(CONFIG);
    let database = Database::new(world.now(), tells);
    let answers = database.clone();
    world.origin(move |asked| answers.borrow_mut().answer(asked));
    (world, database)
}

/// The bookmark that an answer gives, as a cookie to be sent back.
fn cookie(answer: &Answer) -> Option<String> {
    let set = answer.fields.get_all("set-cookie").find(|text| text.starts_with("tidegate_bookmark="))?;
    set.split(';').next().map(str::to_owned)
}

#[test]
fn reads_go_to_replicas_and_writes_to_the_primary() {
    let (world, _) = world(1, Tells::Nothing);
    for nth in 0..20 {
        world.get(&format!("/{nth}")).run();
        assert_ne!(world.asked_last().host(), "primary.example");
    }
    for method in ["PUT", "DELETE", "OPTIONS"] {
        world.request(method, "/x").body("1").run();
        assert_eq!(world.asked_last().host(), "primary.example", "{method}");
    }
}

#[test]
fn a_write_gives_a_bookmark_and_a_read_or_a_refused_write_gives_none() {
    let (world, _) = world(1, Tells::Nothing);
    let answer = world.request("PUT", "/x").body("1").run();
    let set = answer.field("set-cookie").unwrap();
    let text = answer.field("x-tidegate-bookmark").unwrap();
    assert_eq!(set, format!("tidegate_bookmark={text}; Path=/; Max-Age=60; HttpOnly; SameSite=Lax; Secure"));
    let read = world.get("/x").run();
    assert_eq!((read.field("set-cookie"), read.field("x-tidegate-bookmark")), (None, None));
    for (status, given) in [(409, false), (500, true), (303, true)] {
        world.replies([Reply::new(status, "").field("x-tidegate-bookmark", "the origin's own")]);
        let answer = world.request("POST", "/x").body("1").run();
        assert_eq!(cookie(&answer).is_some(), given, "{status}");
        assert_ne!(answer.field("x-tidegate-bookmark").as_deref(), Some("the origin's own"));
    }
}

#[test]
fn after_a_write_its_client_reads_from_the_primary_until_the_replicas_have_caught_up() {
    let (world, _) = world(1, Tells::Nothing);
    world.get("/x").run();
    let mark = cookie(&world.request("PUT", "/x").body("7").run()).unwrap();
    assert_eq!(world.get("/x").at(1, 0).run().text(), "0", "others may read what was before");
    for passed in [0, 1000, 3900] {
        world.pass(ms(passed));
        world.get(&format!("/after/{passed}")).field("cookie", &mark).run();
        assert_eq!(world.asked_last().host(), "primary.example");
        assert_eq!(world.get("/x").field("cookie", &mark).run().text(), "7");
    }
    world.pass(secs(1));
    world.get("/y").field("cookie", &mark).run();
    assert_ne!(world.asked_last().host(), "primary.example");
}

#[test]
fn a_stored_response_that_is_older_than_the_write_is_skipped_and_one_that_is_not_is_used() {
    let (world, _) = world(1, Tells::Nothing);
    world.get("/x").at(1, 0).run();
    world.pass(secs(2));
    assert!(world.get("/x").at(1, 0).run().is_hit());
    let mark = cookie(&world.request("PUT", "/x").body("7").run()).unwrap();
    world.pass(ms(1));
    // The other colo does not know of the write.
    assert!(world.get("/x").at(1, 0).run().is_hit());
    let read = world.get("/x").at(1, 0).field("cookie", &mark).run();
    assert_eq!((read.text(), read.is_hit()), ("7", false));
    let again = world.get("/x").at(1, 0).field("cookie", &mark).run();
    assert_eq!((again.text(), again.is_hit()), ("7", true), "its own read was stored, and is new enough");
    assert_eq!(world.get("/x").at(1, 0).run().text(), "7", "others have that, too");
}

#[test]
fn what_was_read_in_the_millisecond_of_the_write_is_not_taken_for_what_was_written() {
    let (world, _) = world(1, Tells::Nothing);
    let mark = cookie(&world.request("PUT", "/y").body("1").run()).unwrap();
    world.get("/x").at(1, 0).field("cookie", &mark).run();
    assert_eq!(world.asked_last().host(), "primary.example");
    let mark = cookie(&world.request("PUT", "/x").body("7").run()).unwrap();
    assert_eq!(world.get("/x").at(1, 0).field("cookie", &mark).run().text(), "7");
}

#[test]
fn what_a_replica_still_shows_after_a_write_is_not_stored_where_the_write_is_known() {
    let (world, _) = world(1, Tells::Nothing);
    world.request("PUT", "/x").body("7").run();
    assert_eq!(world.get("/x").run().text(), "0");
    world.pass(secs(9));
    assert_eq!(world.get("/x").run().text(), "7");
}

#[test]
fn a_replica_that_says_that_it_is_past_the_write_is_read_before_lag_max_is_over() {
    for tells in [Tells::Lag, Tells::Position] {
        let (world, _) = world(1, tells);
        let mark = cookie(&world.request("PUT", "/x").body("7").run()).unwrap();
        world.pass(ms(2500));
        for nth in 0..6 {
            world.get(&format!("/others/{nth}")).run();
        }
        let read = world.get("/x").field("cookie", &mark).run();
        assert_eq!((read.text(), world.asked_last().host()), ("7", "r0.example"), "{tells:?}");
    }
}

#[test]
fn a_forged_or_expired_bookmark_does_nothing() {
    let (world, _) = world(1, Tells::Nothing);
    let answer = world.request("PUT", "/x").body("7").run();
    let text = answer.field("x-tidegate-bookmark").unwrap();
    let forged = format!("{}0", &text[..text.len() - 1]);
    world.get("/1").field("x-tidegate-bookmark", &forged).run();
    assert_ne!(world.asked_last().host(), "primary.example");
    world.get("/2").field("x-tidegate-bookmark", &text).run();
    assert_eq!(world.asked_last().host(), "primary.example");
    assert_eq!(world.asked_last().field("x-tidegate-bookmark"), None);
    let other = World::new(2).config(CONFIG).var("TIDEGATE_BOOKMARK_SECRET", "of another deployment");
    other.get("/3").field("x-tidegate-bookmark", &text).run();
    assert_ne!(other.asked_last().host(), "primary.example");
}

#[test]
fn without_its_primary_a_client_gets_an_error_rather_than_less_than_it_wrote() {
    let (world, database) = world(1, Tells::Nothing);
    let mark = cookie(&world.request("PUT", "/x").body("7").run()).unwrap();
    world.origin(move |asked| match asked.host() {
        "primary.example" => Reply::fails(FetchError::ConnectionLost),
        _ => database.borrow_mut().answer(asked),
    });
    assert_eq!(world.get("/x").field("cookie", &mark).run().status, 502);
    assert_eq!(world.get("/x").run().status, 200);
}

#[test]
fn when_no_replica_can_be_asked_the_primary_is_read() {
    let (world, database) = world(1, Tells::Nothing);
    world.origin(move |asked| match asked.host() {
        "primary.example" => database.borrow_mut().answer(asked),
        _ => Reply::fails(FetchError::ConnectionLost),
    });
    assert_eq!(world.get("/x").run().status, 200);
    assert_eq!(world.request("PUT", "/x").body("7").run().status, 200);
    assert_eq!(world.leaks(), 0);
}

#[test]
fn replicas_are_asked_for_their_lag_where_the_config_says_so() {
    let world = World::new(1).config(&CONFIG.replace("lag_max", "probe = \"/lag\", lag_max"));
    let database = Database::new(world.now(), Tells::Nothing);
    world.origin(move |asked| match (asked.path(), asked.host()) {
        ("/lag", "r0.example") => Reply::ok("0.2\n"),
        ("/lag", _) => Reply::new(404, "nothing"),
        _ => database.borrow_mut().answer(asked),
    });
    let mark = cookie(&world.request("PUT", "/x").body("7").run()).unwrap();
    world.pass(secs(2));
    world.get("/y").run();
    world.pass(ms(10));
    world.get("/z").field("cookie", &mark).run();
    assert_eq!(world.asked_last().host(), "r0.example");
    assert!(world.metric("tidegate_incidents_total", &[("incident", "probe-failed")]) > 0);
}

/// One random history: clients that write and read here and there, while replicas lag, pages are stored in every layer
/// and isolates come and go. Each read is held against what its client wrote before.
fn history(seed: u64, tells: Tells) {
    let (world, database) = world(seed, tells);
    let rng = &mut fastrand::Rng::with_seed(seed);
    let lifetimes = ["public, max-age=3600", "public, max-age=2, stale-while-revalidate=600", "no-store"];
    database.borrow_mut().cache_control = lifetimes[rng.usize(..3)];
    let mut marks: [Option<String>; 3] = [const { None }; 3];
    let mut written: HashMap<(usize, String), u64> = HashMap::new();
    let (mut number, mut stale_to_others) = (0, 0);
    for step in 0..300 {
        let (who, path) = (rng.usize(..3), format!("/{}", rng.u8(..3)));
        let place = (rng.usize(..2), rng.usize(..2));
        match rng.u8(..10) {
            0..2 => {
                number += 1;
                let request = world.request("PUT", &path).at(place.0, place.1).body(&number.to_string());
                marks[who] = cookie(&request.run());
                assert!(marks[who].is_some());
                written.insert((who, path), number);
            }
            2..8 => {
                let mut request = world.get(&path).at(place.0, place.1);
                if let Some(mark) = &marks[who] {
                    request = request.field("cookie", mark);
                }
                let answer = request.run();
                let read: u64 = answer.text().parse().unwrap();
                let own = written.get(&(who, path.clone())).copied().unwrap_or(0);
                assert!(
                    read >= own,
                    "seed {seed} {tells:?}, step {step}: {who} wrote {own} to {path} and read {read}"
                );
                stale_to_others += u32::from(read < database.borrow().value(&path, world.now()));
            }
            8 => world.lose(place.0, place.1),
            _ => {
                let delays = [rng.u64(..4900), rng.u64(..4900)].map(ms);
                database.borrow_mut().delays = delays;
            }
        }
        let pause = [0, 40, 700, 3000, 20_000, 90_000][rng.usize(..6)];
        world.pass(ms(rng.u64(..=pause)));
    }
    assert!(
        stale_to_others > 0 || database.borrow().cache_control == "no-store",
        "seed {seed}: nothing was put to the test"
    );
    assert_eq!(world.leaks(), 0);
}

#[test]
fn in_no_history_does_a_client_read_less_than_it_wrote() {
    let seeds = if std::env::var_os("TIDEGATE_LONG").is_some() { 1000 } else { 30 };
    for seed in 0..seeds {
        for tells in [Tells::Nothing, Tells::Lag, Tells::Position] {
            history(seed, tells);
        }
    }
}
