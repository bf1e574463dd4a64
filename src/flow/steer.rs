//! What whoever holds the admin token has done: purges, what is to be warmed, and what was done before.

use crate::admin::Steer;
use crate::cache::purge::Mode;
use crate::fleet::holds_within;
use crate::fleet::object::Outcome;
use crate::fleet::request::{Batch, Operation};
use crate::head::{Message, RequestHead, ResponseHead};
use crate::identity;
use crate::json;
use crate::ports::{PortError, Ports};
use crate::respond::{self, Problem};
use crate::time::{Span, Timestamp};
use sha2::{Digest, Sha256};

use super::gate::Gate;
use super::{fleet, warm};

/// How long the content of an admin request may be, in bytes.
const CONTENT_BYTES_MAX: u64 = 256 << 10;
/// How long to wait for the audit trail.
const AUDIT_BUDGET: Span = Span::from_secs(5);
/// How much of the token's hash names it in the audit trail, in bytes.
const TOKEN_NAME_BYTES: usize = 4;

/// Does it, and tells what was done.
pub async fn answer<P: Ports>(
    gate: &Gate<P>,
    ports: &P,
    request: &RequestHead,
    body: Option<P::Body>,
    what: Steer,
    id: &str,
) -> Message<ResponseHead, String> {
    let done = match what {
        Steer::Audit => ports.audit(AUDIT_BUDGET).await.map_err(|error| unavailable(&error, id)),
        Steer::Warming => warm::progress(ports).await.map_err(|error| unavailable(&error, id)),
        Steer::Purge | Steer::Warm => match content(ports, body, id).await {
            Ok(text) if what == Steer::Warm => warm::ask(gate, ports, &text, id).await,
            Ok(text) => purge(gate, ports, request, &text, id).await,
            Err(problem) => Err(problem),
        },
    };
    match done {
        Ok(json) => respond::text(200, "application/json", json),
        Err(problem) => problem.into_message(),
    }
}

/// The content of an admin request, read whole.
pub async fn content<P: Ports>(ports: &P, body: Option<P::Body>, id: &str) -> Result<String, Problem> {
    match ports.collect(body.unwrap_or_default(), CONTENT_BYTES_MAX).await {
        Ok(bytes) => Ok(ports.text(&bytes)),
        Err(PortError::TooLarge) => {
            Err(Problem::plain(413, "the content is too long; allowed: up to 256 KiB", id))
        }
        Err(_) => Err(Problem::plain(400, "the content broke off", id)),
    }
}

pub fn unavailable(error: &PortError, id: &str) -> Problem {
    Problem::reduced_capacity(["the fleet's object does not answer: ", &error.to_string()].concat(), id)
}

async fn purge<P: Ports>(
    gate: &Gate<P>,
    ports: &P,
    request: &RequestHead,
    text: &str,
    id: &str,
) -> Result<String, Problem> {
    let table = &gate.site.table;
    let batch = Batch::read(text, table).map_err(|wrong| Problem::plain(400, wrong, id))?;
    let purge = batch.purge(table, &who(gate, ports, request));
    match fleet::purge(gate, ports, &purge).await {
        Ok(Outcome::Done { version, at }) => {
            if gate.site.fleet.warm_after_purge {
                warm::refill(gate, ports).await;
            }
            Ok(report(&batch, version, at, holds_within(gate.site.fleet.refresh)))
        }
        Ok(Outcome::Conflict) => {
            let detail = "another batch has this id; allowed: the same operations again, or another id";
            Err(Problem::plain(409, detail, id))
        }
        Err(error) => Err(unavailable(&error, id)),
    }
}

/// Who asks, as a JSON object: which token, from where.
pub fn who<P: Ports>(gate: &Gate<P>, ports: &P, request: &RequestHead) -> String {
    let digest = Sha256::digest(gate.vars.admin_token.as_deref().unwrap_or_default());
    let token = identity::hex(digest.get(..TOKEN_NAME_BYTES).unwrap_or_default());
    let client = request.client.get_or_init(|| ports.client());
    let address = client.address.map(|address| address.to_string()).unwrap_or_default();
    ["{\"token\":\"", &token, "\",\"address\":", &json::write(&address), "}"].concat()
}

/// What was done, and when it holds where.
fn report(batch: &Batch, number: u64, at: Timestamp, within: Span) -> String {
    let everywhere = (at + within).to_iso();
    let done = |operation: &Operation| {
        let done = match operation.mode {
            Mode::Hard => "not served again",
            Mode::Soft => "stale from now on",
        };
        operation.to_json(
            &[",\"done\":\"", done, "\",\"here\":\"now\",\"everywhere\":\"", &everywhere, "\""].concat(),
        )
    };
    let operations: Vec<String> = batch.operations.iter().map(done).collect();
    let number = number.to_string();
    let secs = within.as_secs_ceil().to_string();
    [
        "{\"id\":",
        &json::write(&batch.id),
        ",\"number\":",
        &number,
        ",\"at\":\"",
        &at.to_iso(),
        "\",\"everywhere_within_seconds\":",
        &secs,
        ",\"operations\":[",
        &operations.join(","),
        "]}",
    ]
    .concat()
}
