//! What an isolate holds on lease of one policy in one partition, and how much it should hold.

use super::account::{Grant, MAX_LIFETIME, Report};
use super::policy::{QuotaPolicy, Verdict};
use crate::time::{Span, Timestamp};

/// How soon one request has to follow another so that the client counts as busy here.
const BUSY_GAP: Span = Span::from_secs(10);
/// How many requests have to be that close for a lease.
const BUSY_FROM: u32 = 2;
/// The smallest lease, in requests.
const LEAST: u32 = 4;
/// How much larger than the last one a lease may be, and the first one than [`LEAST`].
const GROWS_BY: u32 = 4;
/// A lease is meant to last for so much of its life, in percent.
const LASTS_PERCENT: u64 = 85;
/// The same where a quarter of the quota remains besides: so it is seldom used up before its end, when one call gives the rest
/// back and asks for the next.
const AMPLE_PERCENT: u64 = 115;
const AMPLE_IN: u32 = 4;
/// A lease is renewed when this part of it is left, if any.
const LOW_PART: u32 = 8;
/// Where less remains, another lease is not asked for in the background.
const RENEWED_FROM: u32 = 8;
/// How long nobody else asks for a lease while one is being asked for.
const ASKING_FOR: Span = Span::from_secs(2);
/// The most leases that are held at once: one that is spent, and those that follow it.
const MAX_HELD: usize = 4;
/// So long before its end a lease is given back that is hardly used.
const GIVEN_BACK_BEFORE: Span = Span::from_secs(1);
/// Another lease is asked for with what is given back where the client was seen within so long.
const STILL_BUSY: Span = Span::from_secs(3);
/// What is left of a lease is not worth a call where so many times as much remains besides, and where it counts as spent for
/// no longer than [`LET_GO_WINDOW`].
const LET_GO_IN: u32 = 256;
/// The longest such window.
const LET_GO_WINDOW: Span = Span::from_secs(60);

/// What is spent within so long of each other is reported as one.
const SPENT_TOGETHER: Span = Span::from_secs(1);
/// The most moments of one lease that are told apart.
const MAX_SPENT: usize = 16;

/// A lease, as its isolate knows it.
#[derive(Debug)]
struct Held {
    id: u64,
    unspent: u32,
    /// As much the object takes to be held.
    reported: u32,
    /// Counted from when it was asked for, which was before it was granted.
    until: Timestamp,
    /// What was spent since the last report: from when to when, and how much.
    spent: Vec<(Timestamp, Timestamp, u32)>,
}

impl Held {
    fn spend(&mut self, units: u32, now: Timestamp) {
        self.unspent -= units;
        let full = self.spent.len() == MAX_SPENT;
        match self.spent.last_mut() {
            Some((from, to, spent)) if full || now.since(*from) < SPENT_TOGETHER => {
                (*to, *spent) = (now, spent.saturating_add(units));
            }
            _ => self.spent.push((now, now, units)),
        }
    }

    /// Takes units back. Of what was spent first, so that what is reported is not older than it is.
    fn unspend(&mut self, units: u32) {
        self.unspent += units;
        let mut rest = units;
        for (_, _, spent) in &mut self.spent {
            let back = rest.min(*spent);
            *spent -= back;
            rest -= back;
        }
        self.spent.retain(|(_, _, spent)| *spent > 0);
    }

    /// Takes units back that were spent between two moments; of those spent first, so that what is reported is not older
    /// than it is. Not where the object has heard of them already.
    fn refund(&mut self, units: u32, (begin, end): (Timestamp, Timestamp)) -> bool {
        let is_meant = |(from, to, spent): &&mut (Timestamp, Timestamp, u32)| {
            *to >= begin && *from <= end && *spent >= units
        };
        let Some((_, _, spent)) = self.spent.iter_mut().find(is_meant) else { return false };
        *spent -= units;
        self.unspent += units;
        self.spent.retain(|(_, _, spent)| *spent > 0);
        true
    }

    /// What the object is to know, where it does not yet: so much is held from now on.
    fn report(&mut self, held: u32, now: Timestamp) -> Option<Report> {
        if held == self.reported {
            return None;
        }
        self.reported = held;
        let spent = self.spent.drain(..).map(|(_, to, units)| (now.since(to), units)).collect();
        Some(Report { id: self.id, held, back: self.unspent.saturating_sub(held), spent })
    }
}

/// Leases, and what they are sized by.
#[derive(Debug, Default)]
pub(super) struct Holding {
    /// In the order in which they were granted.
    leases: Vec<Held>,
    /// What the object said is left besides, after what time more will be, and its clock.
    remaining: u32,
    reset: Span,
    counted_at: Timestamp,
    /// A client was told that no more than this is left until that moment.
    told: u32,
    told_until: Timestamp,
    /// What was granted last, when and for how long, and what was spent since.
    granted: u32,
    granted_at: Timestamp,
    lifetime: Span,
    spent: u32,
    /// How many requests came close one after another, since when, and when the last of them did.
    streak: u32,
    since: Timestamp,
    seen: Timestamp,
    /// Until when somebody waits for a lease.
    asking: Timestamp,
}

impl Holding {
    fn unspent(&self, now: Timestamp) -> u32 {
        self.leases.iter().filter(|lease| lease.until > now).map(|lease| lease.unspent).sum()
    }

    pub(super) fn has(&self, units: u32, now: Timestamp) -> bool {
        self.unspent(now) >= units
    }

    /// Whether anything would be lost with it.
    pub(super) fn is_of_use(&self, now: Timestamp) -> bool {
        self.unspent(now) > 0 || self.seen + BUSY_GAP > now
    }

    /// A request came.
    pub(super) fn seen(&mut self, now: Timestamp) {
        if self.seen + BUSY_GAP >= now {
            self.streak = self.streak.saturating_add(1);
        } else {
            (self.streak, self.since) = (1, now);
        }
        self.seen = now;
    }

    /// Spends units, of which there are enough.
    pub(super) fn spend(&mut self, policy: &QuotaPolicy, units: u32, now: Timestamp) -> Verdict {
        let mut missing = units;
        for lease in self.leases.iter_mut().filter(|lease| lease.until > now) {
            let spent = missing.min(lease.unspent);
            missing -= spent;
            if spent > 0 {
                lease.spend(spent, now);
            }
        }
        self.seen(now);
        self.spent = self.spent.saturating_add(units);
        let reset = self.reset.max(Span::from_millis(1));
        let (limit, at) = (policy.quota.amount(), self.counted_at);
        self.tell(
            Verdict { admitted: true, limit, remaining: self.remaining, reset, retry_after: None, at },
            now,
        )
    }

    /// Takes back units that were spent a moment ago, where the object does not know that they were. Tells whether that was
    /// done.
    pub(super) fn unspend(&mut self, units: u32) -> bool {
        let fits = |lease: &&mut Held| lease.unspent.saturating_add(units) <= lease.reported;
        let Some(lease) = self.leases.iter_mut().find(fits) else { return false };
        lease.unspend(units);
        self.spent = self.spent.saturating_sub(units);
        true
    }

    /// Takes back units that were spent between two moments, as far as the object does not know of them and they can be
    /// spent again. Tells whether that was done.
    pub(super) fn refund(&mut self, units: u32, spent: (Timestamp, Timestamp), now: Timestamp) -> bool {
        let done = self.leases.iter_mut().any(|lease| lease.until > now && lease.refund(units, spent));
        self.spent = if done { self.spent.saturating_sub(units) } else { self.spent };
        done
    }

    /// What a client is told: what is held here is left too, and never more than before until more is promised.
    fn tell(&mut self, mut verdict: Verdict, now: Timestamp) -> Verdict {
        verdict.remaining = verdict.remaining.saturating_add(self.unspent(now));
        if self.told_until > now {
            verdict.remaining = verdict.remaining.min(self.told);
        }
        (self.told, self.told_until) = (verdict.remaining, verdict.resets_at(now));
        verdict
    }

    /// What the object has to know of leases. Those that are over or used up are gone with it.
    pub(super) fn reports(&mut self, now: Timestamp) -> Vec<Report> {
        let mut reports = Vec::new();
        self.leases.retain_mut(|lease| {
            let held = if lease.until > now { lease.unspent } else { 0 };
            reports.extend(lease.report(held, now));
            held > 0
        });
        reports
    }

    /// How many units to lease for requests of this cost; zero where the client is not busy here, or somebody is
    /// asking already.
    pub(super) fn want(&mut self, policy: &QuotaPolicy, cost: u32, now: Timestamp) -> u32 {
        if self.streak < BUSY_FROM || self.asking > now || self.leases.len() >= MAX_HELD {
            return 0;
        }
        self.asking = now + ASKING_FOR;
        let least = LEAST.saturating_mul(cost);
        // At the pace since the last one, or where there is none since the client is busy here.
        let (last, spent, since, lifetime) = match self.granted {
            0 => (least, (self.streak - 1).saturating_mul(cost), self.since, MAX_LIFETIME),
            granted => (granted.max(least), self.spent, self.granted_at, self.lifetime),
        };
        let is_ample = self.remaining >= policy.quota.amount() / AMPLE_IN;
        let percent = if is_ample { AMPLE_PERCENT } else { LASTS_PERCENT };
        let lasts = u64::from(spent) * lifetime.as_millis() * percent / 100;
        let paced = lasts / now.since(since).as_millis().max(1);
        u32::try_from(paced).unwrap_or(u32::MAX).clamp(least, last.saturating_mul(GROWS_BY))
    }

    /// Whether so little is left that the next lease should be asked for.
    pub(super) fn is_low(&self, now: Timestamp) -> bool {
        self.granted > 0
            && self.unspent(now) <= self.granted / LOW_PART
            && self.remaining >= RENEWED_FROM
            && self.asking <= now
    }

    /// Takes note of an answer to what was sent at `sent`. `wanted`: a lease was asked for.
    pub(super) fn learn(
        &mut self,
        verdict: Verdict,
        grant: Option<Grant>,
        wanted: bool,
        sent: Timestamp,
        now: Timestamp,
    ) -> Verdict {
        (self.remaining, self.reset, self.counted_at) = (verdict.remaining, verdict.reset, verdict.at);
        if wanted {
            self.asking = Timestamp::default();
            self.granted = grant.map_or(0, |grant| grant.units);
            (self.granted_at, self.spent) = (now, 0);
        }
        if let Some(Grant { id, units, lifetime }) = grant {
            self.lifetime = lifetime.min(MAX_LIFETIME);
            let until = sent + self.lifetime;
            self.leases.push(Held { id, unspent: units, reported: units, until, spent: Vec::new() });
        }
        self.tell(verdict, now)
    }

    /// A lease that was asked for does not come.
    pub(super) fn lost(&mut self) {
        self.granted = 0;
    }

    /// When the first lease is to be given back.
    pub(super) fn ends(&self) -> Option<Timestamp> {
        let unspent = self.leases.iter().filter(|lease| lease.unspent > 0);
        unspent.map(|lease| lease.until.before(GIVEN_BACK_BEFORE)).min()
    }

    /// Lets go of leases that are about to end: what is given back, and how many units are wanted instead. What is used up ends
    /// by itself, and so does what nobody will miss.
    pub(super) fn over(&mut self, policy: &QuotaPolicy, now: Timestamp) -> (Vec<Report>, u32) {
        let mut reports = Vec::new();
        let spare = if policy.quota.window() <= LET_GO_WINDOW { self.remaining / LET_GO_IN } else { 0 };
        self.leases.retain_mut(|lease| {
            let ends = lease.until.before(GIVEN_BACK_BEFORE) <= now;
            if ends && lease.unspent > spare {
                reports.extend(lease.report(0, now));
            }
            !ends
        });
        let is_last = self.leases.is_empty() && !reports.is_empty();
        let want = if is_last && self.seen + STILL_BUSY > now { self.want(policy, 1, now) } else { 0 };
        (reports, want)
    }
}
