//! The object that stands before the origin for one key of a route with `collapse = "global"`: of all isolates that have
//! to ask the origin it lets one go, and hands its answer to the others. Pure: it knows who leads until when; whoever
//! holds it holds the answer and those who wait.

use crate::time::{Span, Timestamp};

/// How long an answer is handed on after it came: others are late, and KV tells a colo that has just looked in vain
/// nothing new for a while.
pub const KEEP_FOR: Span = Span::from_secs(5);

/// How long nobody waits for a key whose answer could not be shared.
pub const PASS_FOR: Span = Span::from_secs(10);

/// What is said to the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    /// Somebody has to ask the origin, and would wait for so long.
    Ask(Span),
    /// Somebody who was told to wait does so.
    Wait(Span),
    /// The leader's answer is here, and is handed on for so long.
    Done(Span),
    /// The leader's answer can't be shared.
    Pass,
    /// The leader gave up.
    Go,
}

impl Said {
    /// As text: a word, and for some a number of milliseconds.
    pub fn text(self) -> String {
        let (word, span) = match self {
            Self::Ask(span) => ("ask", Some(span)),
            Self::Wait(span) => ("wait", Some(span)),
            Self::Done(span) => ("done", Some(span)),
            Self::Pass => ("pass", None),
            Self::Go => ("go", None),
        };
        match span {
            Some(span) => [word, " ", &super::stored::decimal(span.as_millis())].concat(),
            None => word.into(),
        }
    }

    fn read(text: &str) -> Option<Self> {
        let (word, millis) = text.split_once(' ').unwrap_or((text, ""));
        let span = || millis.parse().ok().map(Span::from_millis);
        match word {
            "ask" => span().map(Self::Ask),
            "wait" => span().map(Self::Wait),
            "done" => span().map(Self::Done),
            "pass" => Some(Self::Pass),
            "go" => Some(Self::Go),
            _ => None,
        }
    }
}

/// What whoever asked or waits is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Ask the origin, and tell what came of it.
    Lead,
    /// Wait for the one who leads.
    Wait,
    /// Take the leader's answer, which comes with this.
    Have,
    /// Ask the origin, and don't ask here for a while: what it says can't be shared.
    Pass,
    /// Ask the origin.
    Go,
}

impl Verdict {
    /// As text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Lead => "lead",
            Self::Wait => "wait",
            Self::Have => "have",
            Self::Pass => "pass",
            Self::Go => "go",
        }
    }

    /// Reads it; what can't be read is no reason to wait.
    pub fn read(text: &str) -> Self {
        [Self::Lead, Self::Wait, Self::Have, Self::Pass]
            .into_iter()
            .find(|one| one.as_str() == text)
            .unwrap_or(Self::Go)
    }
}

/// Until when what holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Shield {
    leads: Timestamp,
    passes: Timestamp,
    keeps: Timestamp,
}

impl Shield {
    /// One thing is said. The verdict on what a leader tells is meant for all who wait.
    pub fn hear(&mut self, said: Said, now: Timestamp) -> Verdict {
        match said {
            Said::Ask(wait) => match self.known(now) {
                // A leader that is not heard of again holds up nobody for longer than they wait.
                Verdict::Go => {
                    self.leads = now + wait;
                    Verdict::Lead
                }
                known => known,
            },
            Said::Wait(_) => self.known(now),
            Said::Done(keep) => {
                *self = Self { keeps: now + keep, ..Self::default() };
                Verdict::Have
            }
            Said::Pass => {
                *self = Self { passes: now + PASS_FOR, ..Self::default() };
                Verdict::Pass
            }
            Said::Go => {
                self.leads = Timestamp::default();
                Verdict::Go
            }
        }
    }

    fn known(&self, now: Timestamp) -> Verdict {
        if self.keeps > now {
            Verdict::Have
        } else if self.passes > now {
            Verdict::Pass
        } else if self.leads > now {
            Verdict::Wait
        } else {
            Verdict::Go
        }
    }
}

/// The object's step, in texts: its state and what is said in, its state and the verdict out. What can't be read is as if
/// it had not been there.
pub fn step(state: &str, said: &str, now: Timestamp) -> (String, Verdict) {
    let mut until = state.split(' ').map(|text| Timestamp::from_millis(text.parse().unwrap_or_default()));
    let mut next = || until.next().unwrap_or_default();
    let mut shield = Shield { leads: next(), passes: next(), keeps: next() };
    let verdict = Said::read(said).map_or(Verdict::Go, |said| shield.hear(said, now));
    let [leads, passes, keeps] =
        [shield.leads, shield.passes, shield.keeps].map(|until| super::stored::decimal(until.as_millis()));
    ([leads.as_str(), " ", &passes, " ", &keeps].concat(), verdict)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAIT: Span = Span::from_secs(5);

    /// Says these things, each so many milliseconds after the beginning; through texts, as on the platform.
    fn verdicts(said: &[(u64, Said)]) -> Vec<&'static str> {
        let mut state = String::new();
        let mut all = Vec::new();
        for (after, said) in said {
            let (next, verdict) =
                step(&state, &said.text(), Timestamp::from_secs(1000) + Span::from_millis(*after));
            state = next;
            assert_eq!(Verdict::read(verdict.as_str()), verdict);
            all.push(verdict.as_str());
        }
        all
    }

    #[test]
    fn one_leads_and_the_others_wait() {
        let said = [(0, Said::Ask(WAIT)), (1, Said::Ask(WAIT)), (1, Said::Wait(WAIT)), (9, Said::Ask(WAIT))];
        assert_eq!(verdicts(&said), ["lead", "wait", "wait", "wait"]);
    }

    #[test]
    fn an_answer_is_handed_on_for_a_while() {
        let said = [
            (0, Said::Ask(WAIT)),
            (200, Said::Done(KEEP_FOR)),
            (201, Said::Wait(WAIT)),
            (5199, Said::Ask(WAIT)),
            (5200, Said::Ask(WAIT)),
        ];
        assert_eq!(verdicts(&said), ["lead", "have", "have", "have", "lead"]);
    }

    #[test]
    fn what_cannot_be_shared_is_remembered_for_a_while() {
        let said = [
            (0, Said::Ask(WAIT)),
            (200, Said::Pass),
            (201, Said::Ask(WAIT)),
            (10_199, Said::Wait(WAIT)),
            (10_200, Said::Ask(WAIT)),
        ];
        assert_eq!(verdicts(&said), ["lead", "pass", "pass", "pass", "lead"]);
    }

    #[test]
    fn a_leader_that_gives_up_or_is_lost_lets_the_next_one_lead() {
        let said = [
            (0, Said::Ask(WAIT)),
            (10, Said::Go),
            (11, Said::Wait(WAIT)),
            (12, Said::Ask(WAIT)),
            (5011, Said::Ask(WAIT)),
            (5012, Said::Ask(WAIT)),
        ];
        assert_eq!(verdicts(&said), ["lead", "go", "go", "lead", "wait", "lead"]);
    }

    #[test]
    fn what_cannot_be_read_holds_up_nobody() {
        let now = Timestamp::from_secs(1);
        for said in ["", "ask", "ask x", "wait -1", "lead"] {
            assert_eq!(step("nonsense 7 x y", said, now).1, Verdict::Go, "{said}");
        }
        assert_eq!(step("x", "ask 5", now).1, Verdict::Lead);
    }
}
