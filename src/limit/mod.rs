//! How much a client may ask for: quota policies, exact counting, and the header fields that tell about it.
//!
//! The way of one request, all of it pure but the call in the middle:
//!
//! 1. [`PolicyConfig::ask`] resolves each policy of the route for this client into an [`Ask`] (or into nothing,
//!    where its tier is unlimited).
//! 2. [`local::Local`] answers without any call for a client that is known to be over its quota, and for one that is so
//!    busy here that the isolate holds a lease for it.
//! 3. [`batch::by_object`] puts the asks that share a partition into one [`batch::Batch`]; its orders go as text to the
//!    partition's Durable Object, which runs [`object::step`] on its [`object::StateTable`] and answers with text.
//! 4. [`Decision`] combines what came back; [`fields::write`] tells the client.
//!
//! # How exact it is
//! Within one object it is exact: either every policy of the request is debited or none is. A request whose
//! policies live in several objects may be debited in one and refused by another; the debit stays. What is on lease counts
//! as taken. So the error is only ever on the side of refusing early, and never more than the quota is admitted.

pub mod account;
pub mod batch;
pub mod builtin;
pub mod config;
pub mod cost;
pub mod decision;
pub mod fields;
mod fixed_window;
mod gcra;
mod holding;
#[cfg(test)]
mod leasing;
pub mod lists;
pub mod local;
pub mod name;
pub mod object;
#[cfg(test)]
mod oracle;
pub mod partition;
pub mod policy;
pub mod prefix;
#[cfg(test)]
mod properties;
pub mod queue;
pub mod quota;
mod sliding_window;
pub mod state;
pub mod strikes;
pub mod time_of_day;

pub use account::{Grant, Report};
pub use batch::Batch;
pub use config::{LimitConfig, OnError, PolicyConfig};
pub use cost::{AnswerKind, Cost};
pub use decision::{Answer, Checked, Decision, Refusal};
pub use name::PolicyName;
pub use object::{Order, Reply, Settle};
pub use partition::Partition;
pub use policy::{Algorithm, Ask, QuotaPolicy, Take, Verdict};
pub use quota::{Allowance, Quota};
pub use state::State;
pub use strikes::Penalty;
pub use time_of_day::TimeOfDay;
