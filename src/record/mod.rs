//! One [`Event`] a request; everything else is a fold of events.
//!
//! An isolate folds events into [`Counters`] and hands them on as a [`Delta`], at most once a second, through
//! its [`Outbox`]. The metrics object keeps them in [`Live`], which the page's snapshot, the
//! [`exposition`] and [`Health`] are pure functions of.

mod counters;
mod delta;
mod endpoints;
mod event;
pub mod exposition;
mod families;
mod health;
mod histogram;
mod limits;
mod live;
mod snapshot;
mod tally;

pub use counters::Counters;
pub use delta::{Delta, Outbox};
pub use endpoints::{EndpointReport, EndpointState, EndpointView};
pub use event::{AnsweredBy, Event, Incident, Incidents, MethodClass, Refusal, Staleness, Verdict};
pub use health::{Health, Reason, ReasonCode, Status};
pub use histogram::Histogram;
pub use limits::LimitCount;
pub use live::Live;
pub use tally::{Named, Tally};
