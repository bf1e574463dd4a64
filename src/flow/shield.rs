//! Collapsed forwarding across isolates and colos: whoever has to ask the origin for a key of a route with
//! `collapse = "global"` asks the key's object first, whose turn it is.
//!
//! The answer passes through the object, where memory may hold it: to let the others wait for a layer would be to let
//! each colo ask the origin, since KV is up to a minute late, and later still where it was just asked in vain. What is
//! larger is not waited for.

use std::rc::Rc;

use crate::cache::shield::{KEEP_FOR, Said, Verdict};
use crate::cache::{PrimaryKey, Record, StorageKey, StoredHead};
use crate::ports::{PortError, Ports};
use crate::record::Incident;
use crate::time::Span;

use super::visit::Visit;

/// How long the object may take to say whose turn it is.
const BUDGET: Span = Span::from_secs(1);

/// An object that failed is left alone by this isolate for so long.
const RESTS_FOR: Span = Span::from_secs(10);

/// What the object says.
pub enum Turn<P: Ports> {
    /// This request asks the origin, for all.
    Lead(Duty<P>),
    /// Here is what another one got.
    Have(StoredHead, P::Bytes),
    /// What the origin says can't be shared.
    Pass,
    /// This request asks the origin, for itself.
    Alone,
}

/// How long [`turn`] takes at most where so long is to be waited.
pub fn within(wait: Span) -> Span {
    wait.max(BUDGET).saturating_add(BUDGET)
}

/// Whose turn it is to ask the origin for this key; waits for another one's answer where it is another one's.
pub async fn turn<P: Ports>(visit: &Rc<Visit<P>>, key: &PrimaryKey) -> Turn<P> {
    let now = visit.ports.now();
    if visit.gate.shield_rests.get().is_some_and(|until| until > now) {
        return Turn::Alone;
    }
    let (key, wait) = (key.storage_key(), visit.route.cache.collapse_wait);
    let answer = match visit.ports.shield(&key, &Said::Ask(wait).text(), None, BUDGET).await {
        Ok((verdict, _)) if Verdict::read(&verdict) == Verdict::Wait => {
            let left = (now + wait).since(visit.ports.now());
            visit.ports.shield(&key, &Said::Wait(left).text(), None, left.saturating_add(BUDGET)).await
        }
        answer => answer,
    };
    let (verdict, bytes) = match answer {
        Ok(answer) => answer,
        Err(error) => {
            visit.gate.shield_rests.set(Some(visit.ports.now() + RESTS_FOR));
            visit.incident(Incident::ShieldUnreachable, &error.to_string());
            return Turn::Alone;
        }
    };
    let (verdict, head) = verdict.split_once('\n').unwrap_or((&verdict, ""));
    match (Verdict::read(verdict), Record::decode(head), bytes) {
        (Verdict::Lead, ..) => Turn::Lead(Duty { visit: visit.clone(), key, told: false }),
        (Verdict::Pass, ..) => Turn::Pass,
        // What another client may have is not enough for one that has written since.
        (Verdict::Have, Ok(Record::Response(head)), _) if !visit.is_past(head.as_of()) => Turn::Alone,
        (Verdict::Have, Ok(Record::Response(head)), Some(bytes)) => Turn::Have(head, bytes),
        (Verdict::Have, Err(error), _) => {
            visit.incident(Incident::UnreadableRecord, &error.to_string());
            Turn::Alone
        }
        _ => Turn::Alone,
    }
}

/// What was stored for this key is invalid: nobody is to get it from the object any more.
pub fn forget<P: Ports>(visit: &Rc<Visit<P>>, key: &PrimaryKey) {
    tell(visit, key.storage_key(), Said::Done(Span::ZERO), None);
}

/// What the one who leads owes the others: to tell them what came of it. Dropped, it lets them go.
pub struct Duty<P: Ports> {
    visit: Rc<Visit<P>>,
    key: StorageKey,
    told: bool,
}

impl<P: Ports> Duty<P> {
    /// The answer is here, for all who have waited.
    pub fn share(mut self, head: &StoredHead, bytes: &P::Bytes) {
        let now = self.visit.ports.now();
        if head.ttl(now) <= 0 && head.stale_while_revalidate_secs == 0 || head.no_cache {
            return self.pass();
        }
        self.told = true;
        let record = Record::Response(head.clone()).encode();
        tell(&self.visit, self.key, Said::Done(KEEP_FOR), Some((&record, bytes)));
    }

    /// The answer can't be shared.
    pub fn pass(mut self) {
        self.told = true;
        tell(&self.visit, self.key, Said::Pass, None);
    }
}

impl<P: Ports> Drop for Duty<P> {
    fn drop(&mut self) {
        if !self.told {
            tell(&self.visit, self.key, Said::Go, None);
        }
    }
}

fn tell<P: Ports>(visit: &Rc<Visit<P>>, key: StorageKey, said: Said, answer: Option<(&str, &P::Bytes)>) {
    let mut text = said.text();
    if let Some((head, _)) = answer {
        text.push('\n');
        text.push_str(head);
    }
    let (visit, bytes) = (visit.clone(), answer.map(|(_, bytes)| bytes.clone()));
    visit.clone().ports.defer(async move {
        let told: Result<_, PortError> = visit.ports.shield(&key, &text, bytes.as_ref(), BUDGET).await;
        if let Err(error) = told {
            visit.late_incident(Incident::ShieldUnreachable, &error.to_string());
        }
    });
}
