//! The object that warms, as `platform/objects/warm.mjs` is.

use std::collections::VecDeque;
use std::rc::Rc;

use crate::flow;
use crate::ports::PortError;
use crate::time::Span;

use super::edge::Edge;
use super::world::Shared;

/// Where the object runs: no request comes to this isolate.
const PLACE: (usize, usize) = (0, usize::MAX - 1);
/// The number of its tasks; no isolate has it.
const OBJECT: u64 = u64::MAX;
/// How many URLs may wait.
const WAITING_MAX: usize = 10_000;
/// How many are fetched at once.
const AT_ONCE: usize = 4;

#[derive(Default)]
pub struct Warm {
    waiting: VecDeque<(String, String)>,
    under_way: usize,
    per_second: u64,
    document: String,
    works: bool,
    outcomes: Vec<(String, u32)>,
}

impl Warm {
    fn progress(&self) -> String {
        let count =
            |what: &str| self.outcomes.iter().find(|(outcome, _)| outcome == what).map_or(0, |(_, n)| *n);
        format!(
            "{{\"waiting\":{},\"under_way\":{},\"stored\":{},\"fresh\":{},\"passed\":{},\"failed\":{}}}",
            self.waiting.len(),
            self.under_way,
            count("stored"),
            count("fresh"),
            count("passed"),
            count("failed")
        )
    }

    fn count(&mut self, outcome: &str) {
        match self.outcomes.iter_mut().find(|(known, _)| known == outcome) {
            Some((_, n)) => *n += 1,
            None => self.outcomes.push((outcome.to_owned(), 1)),
        }
    }
}

/// One command.
pub fn command(shared: &Rc<Shared>, command: &str) -> Result<String, PortError> {
    let broken = || PortError::Failed("the command can't be read".into());
    let mut warm = shared.warm.borrow_mut();
    if command.is_empty() {
        return Ok(warm.progress());
    }
    let (orders, document) = command.split_once("\n\n").ok_or_else(broken)?;
    let mut lines = orders.split('\n');
    let (per_second, fields) = lines.next().and_then(|line| line.split_once('\t')).ok_or_else(broken)?;
    let per_second = per_second.parse().map_err(|_| broken())?;
    let urls: Vec<_> = lines.map(|url| (url.to_owned(), fields.to_owned())).collect();
    if warm.waiting.len() + urls.len() > WAITING_MAX {
        return Ok(String::new());
    }
    if warm.waiting.is_empty() {
        warm.outcomes.clear();
    }
    (warm.per_second, warm.document) = (per_second, document.to_owned());
    for url in urls {
        if !warm.waiting.contains(&url) {
            warm.waiting.push_back(url);
        }
    }
    let works = std::mem::replace(&mut warm.works, true);
    let progress = warm.progress();
    drop(warm);
    if !works {
        shared.tasks.spawn(OBJECT, work(shared.clone()));
    }
    Ok(progress)
}

async fn work(shared: Rc<Shared>) {
    loop {
        let pause = match next(&shared) {
            Next::Fetch(row, document) => {
                shared.tasks.spawn(OBJECT, fetch(shared.clone(), row, document));
                1000 / shared.warm.borrow().per_second.max(1)
            }
            Next::Look => 10,
            Next::Done => return,
        };
        shared.clock.sleep(Span::from_millis(pause)).await;
    }
}

enum Next {
    Fetch((String, String), String),
    /// As many are under way as may be.
    Look,
    Done,
}

fn next(shared: &Shared) -> Next {
    let mut warm = shared.warm.borrow_mut();
    if warm.under_way >= AT_ONCE {
        return Next::Look;
    }
    match warm.waiting.pop_front() {
        Some(row) => {
            warm.under_way += 1;
            Next::Fetch(row, warm.document.clone())
        }
        None => {
            warm.works = false;
            Next::Done
        }
    }
}

async fn fetch(shared: Rc<Shared>, (url, fields): (String, String), document: String) {
    let (isolate, gate) = shared.isolate(PLACE);
    let edge = Edge::new(shared.clone(), PLACE.0, isolate);
    let answer = flow::warm(gate, edge, (&url, &fields), &document).await;
    let mut warm = shared.warm.borrow_mut();
    warm.under_way -= 1;
    warm.count(answer.head.fields.get("outcome").unwrap_or("failed"));
}
