//! May this pool be asked: what its origin said of its own quota, and the budget that the config gives it.

use std::num::NonZeroU32;

use crate::limit::batch::{orders_text, read_replies};
use crate::limit::{Algorithm, Order, PolicyName, Quota, QuotaPolicy, Settle};
use crate::origin::affinity::hash;
use crate::origin::upstream::{Asker, SHARED, Turn};
use crate::origin::{Pool, Stop};
use crate::ports::Ports;
use crate::record::Incident;
use crate::time::{Span, Timestamp};

use super::hedge::Made;
use super::origin::Way;
use super::visit::Visit;

/// How long to wait for the object that counts a pool's budget.
const BUDGET_WAIT: Span = Span::from_secs(1);

/// A pool may be asked.
pub struct Leave {
    /// The request's turn, where the origin's quota is heeded.
    pub turn: Option<Turn>,
    /// When one request was taken from the budget.
    taken: Option<Timestamp>,
    /// How many attempts there were before.
    attempts: u8,
}

impl<P: Ports> Visit<P> {
    fn asker(&self, pool: &Pool) -> Asker {
        let tiers = &self.gate.site.identity.tiers;
        let rank = tiers.iter().position(|tier| *tier == self.identity.tier).unwrap_or_default();
        self.meet_client();
        let key = match self.request.fields.get("authorization") {
            _ if pool.config.secret.is_some() => SHARED,
            Some(credential) => hash(credential.as_bytes()),
            None => self.client_hash(),
        };
        Asker { key, rank, ranks: tiers.len() }
    }

    /// Whether the origin of the route's first pool has so little left that what need not be asked is not.
    pub fn is_sparing(&self) -> bool {
        self.route.pools.first().is_some_and(|index| self.is_low(*index))
    }

    /// The same of a pool.
    pub fn is_low(&self, index: usize) -> bool {
        let Some(pool) = self.gate.site.pools.get(index).filter(|pool| pool.config.upstream_quota) else {
            return false;
        };
        let (key, now) = (self.asker(pool).key, self.ports.now());
        self.with_pool(index, |state, _| state.upstream().is_low(key, now)) == Some(true)
    }

    /// How long somebody who was turned away had better wait.
    pub fn quota_wait(&self, index: usize) -> Option<Span> {
        let key = self.asker(self.gate.site.pools.get(index)?).key;
        let now = self.ports.now();
        self.with_pool(index, |state, _| state.upstream().wait(key, now))
    }
}

impl<P: Ports> Way<'_, P> {
    /// Takes one request out of what the pool may be sent.
    pub async fn leave(&self, index: usize, pool: &Pool, last_resort: bool) -> Result<Leave, Stop> {
        let visit = self.visit;
        if pool.config.secret.is_some() && self.secret(pool).is_none() {
            visit.incident(Incident::SecretMissing, &pool.name);
            return Err(Stop::NoSecret);
        }
        let attempts = visit.notes.borrow().attempts;
        let turn = match pool.config.upstream_quota {
            true => self.turn(index, pool, last_resort).await?,
            false => None,
        };
        match self.debit(index, pool).await {
            Ok(taken) => Ok(Leave { turn, taken, attempts }),
            Err(stop) => {
                self.end_turn(index, turn);
                Err(stop)
            }
        }
    }

    /// Takes one out of the origin's quota; where there is nothing better than this pool, waits for it.
    async fn turn(&self, index: usize, pool: &Pool, may_wait: bool) -> Result<Option<Turn>, Stop> {
        let (visit, ports) = (self.visit, &self.visit.ports);
        let asker = visit.asker(pool);
        let until = ports.now() + pool.config.total_timeout;
        let mut waits = false;
        let turn = loop {
            let now = ports.now();
            let taken = visit.with_pool(index, |state, _| state.upstream().take(asker, now));
            let wait = match taken {
                Some(Err(wait)) => wait,
                Some(Ok(turn)) => break Ok(Some(turn)),
                None => break Ok(None),
            };
            let fits = may_wait && now + wait < until;
            if !fits || !waits && visit.with_pool(index, |state, _| state.enqueue()) != Some(true) {
                break Err(Stop::QuotaSpent);
            }
            waits = true;
            ports.sleep(wait).await;
        };
        if waits {
            visit.with_pool(index, |state, _| state.dequeue());
        }
        turn
    }

    /// Takes one more out of the origin's quota for another attempt.
    pub fn another(&self, index: usize, pool: &Pool) -> Result<Option<Turn>, Stop> {
        if !pool.config.upstream_quota {
            return Ok(None);
        }
        let (asker, now) = (self.visit.asker(pool), self.visit.ports.now());
        let taken = self.visit.with_pool(index, |state, _| state.upstream().take(asker, now));
        taken.transpose().map_err(|_| Stop::QuotaSpent)
    }

    /// A request that it was the turn of was not sent.
    pub fn end_turn(&self, index: usize, turn: Option<Turn>) {
        if let Some(turn) = turn {
            self.visit.with_pool(index, |state, _| state.upstream().end(turn));
        }
    }

    /// A second attempt is sent beside the first.
    pub fn spend(&self, index: usize, pool: &Pool) {
        if pool.config.upstream_quota {
            let key = self.visit.asker(pool).key;
            self.visit.with_pool(index, |state, _| state.upstream().spend(key));
        }
    }

    /// An attempt came to something; its response may say how much more may be asked of its origin.
    pub fn heed_quota(&self, index: usize, pool: &Pool, turn: Option<Turn>, made: &Made<P::Body>) {
        let Some(turn) = turn else { return };
        let (key, now) = (self.visit.asker(pool).key, self.visit.ports.now());
        self.visit.with_pool(index, |state, _| {
            if let Ok(Ok(message)) = &made.sent {
                state.upstream().hear(key, turn, &message.head, now);
            }
            state.upstream().end(turn);
        });
    }

    /// Takes one out of the pool's budget; tells when.
    async fn debit(&self, index: usize, pool: &Pool) -> Result<Option<Timestamp>, Stop> {
        let Some((object, policy)) = budget(pool) else { return Ok(None) };
        let (visit, ports) = (self.visit, &self.visit.ports);
        let now = ports.now();
        let closed = visit.with_pool(index, |state, _| state.upstream().closed_for(now));
        if closed.is_some_and(|wait| wait > Span::ZERO) {
            return Err(Stop::QuotaSpent);
        }
        let order = Order::take(policy, NonZeroU32::MIN);
        let told = ports.limit(&object, &orders_text(&[order]), BUDGET_WAIT).await;
        let replies = told.as_deref().map(read_replies);
        match replies {
            Ok(Some(replies)) => {
                let Some(verdict) = replies.first().map(|reply| reply.verdict) else { return Ok(None) };
                if verdict.admitted {
                    return Ok(Some(verdict.at));
                }
                let (wait, now) = (verdict.retry_after.unwrap_or_default(), ports.now());
                visit.with_pool(index, |state, _| state.upstream().close(wait, now));
                Err(Stop::QuotaSpent)
            }
            // As with limits of clients: what can't be counted is let through.
            Ok(None) => {
                visit.incident(
                    Incident::LimiterUnreachable,
                    &[&object, ": the answer can't be read"].concat(),
                );
                Ok(None)
            }
            Err(error) => {
                visit.incident(Incident::LimiterUnreachable, &[&object, ": ", &error.to_string()].concat());
                Ok(None)
            }
        }
    }

    /// The pool has been asked: the budget pays for each attempt, and gets back what was not sent.
    pub fn settle(&self, pool: &Pool, leave: &Leave) {
        let (Some(at), Some((object, policy))) = (leave.taken, budget(pool)) else { return };
        let units = i32::from(self.visit.notes.borrow().attempts) - i32::from(leave.attempts) - 1;
        if units == 0 {
            return;
        }
        let order =
            Order { policy, cost: None, want: 0, settle: Some(Settle { units, at }), reports: Vec::new() };
        let ports = self.visit.ports.clone();
        self.visit.ports.defer(async move {
            // It is not sent again: it may have arrived.
            drop(ports.limit(&object, &orders_text(&[order]), BUDGET_WAIT).await);
        });
    }
}

/// The object that counts a pool's budget, and the policy there.
fn budget(pool: &Pool) -> Option<(String, QuotaPolicy)> {
    let budget = pool.config.budget?;
    let policy = QuotaPolicy {
        name: "budget".parse::<PolicyName>().ok()?,
        quota: Quota::new(budget.requests, budget.window_secs)?,
        algorithm: Algorithm::FixedWindow,
        burst: NonZeroU32::MIN,
        resets_minute: 0,
        shadow: false,
    };
    Some((["budget:", &pool.name].concat(), policy))
}
