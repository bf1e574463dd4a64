//! One [`Event`] a request; everything else is a fold of events.
//!
//! An isolate folds events into [`Counters`] and hands them on as a [`Delta`], at most once a second where a page watches, through
//! its [`Outbox`]. The metrics object keeps them in [`Live`], which the page's snapshot, the
//! [`exposition`] and [`Health`] are pure functions of.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::packed::{self, Unreadable};

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
pub use event::{
    AnsweredBy, Event, Incident, Incidents, LimiterEvent, MethodClass, Refusal, Staleness, Verdict,
};
pub use health::{Health, Reason, ReasonCode, Status};
pub use histogram::Histogram;
pub use limits::LimitCount;
pub use live::Live;
pub use tally::{Named, Tally};

/// A hash of the sources that say what is counted, and how it is packed (`build.rs`).
const FORM: &str = env!("TIDEGATE_RECORD_FORM");

/// Packed, behind [`FORM`]: what travels between isolates, and lies in storage, may be of another deployment.
fn stamped<T: Serialize>(value: &T) -> String {
    packed::write(value).map(|text| FORM.to_owned() + &text).unwrap_or_default()
}

/// Reads what [`stamped`] wrote of a deployment that counts the same.
fn of_stamped<T: DeserializeOwned>(text: &str) -> Result<T, Unreadable> {
    packed::read(text.strip_prefix(FORM).ok_or(Unreadable)?)
}
