//! Wait for a place at an origin that takes few requests at once, and keep it until the response has ended.

use crate::head::{Message, Method, ResponseHead};
use crate::limit::OnError;
use crate::limit::queue::{Answer, Call, PATIENCE, QueueConfig, STAY_EVERY, Ticket, read_answer};
use crate::origin::Stop;
use crate::ports::{PortError, Ports};
use crate::record::Incident;
use crate::time::Span;

use super::visit::Visit;

/// What a client is told of its queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Queued {
    /// How many were before it: when it came, or where it was turned away.
    pub position: u32,
    /// How long it waited; or where it was turned away, until its turn would have come.
    pub wait: Span,
}

/// A place, kept until the signal is raised.
pub struct Place<P: Ports>(P::Signal);

/// Waits for a place, where the route has a queue.
pub async fn enter<P: Ports>(visit: &Visit<P>) -> Result<Option<Place<P>>, Stop> {
    let Some((name, config)) = &visit.route.queue else { return Ok(None) };
    let Some(ticket) = Ticket::read(&visit.gate.request_id()) else { return Ok(None) };
    let object = ["queue:", name.as_str()].concat();
    let answer = wait(visit, &object, config, ticket).await;
    if let Ok(answer) = answer {
        let (Answer::Admitted { position, waited: wait }
        | Answer::Waiting { position, wait }
        | Answer::Full { position, wait }) = answer;
        visit.notes.borrow_mut().queued = Some(Queued { position, wait });
    }
    match answer {
        Ok(Answer::Admitted { .. }) => Ok(Some(keep(visit, object, config.budget, ticket))),
        Ok(Answer::Full { .. }) => Err(Stop::QueueFull),
        Ok(Answer::Waiting { .. }) | Err(PortError::Gone) => {
            let ports = visit.ports.clone();
            let budget = config.budget;
            visit.ports.defer(async move {
                // What is not taken back lapses with its lease.
                drop(ports.queue(&object, &Call::Leave(ticket).text(), Span::ZERO, budget, false).await);
            });
            Err(if answer.is_ok() { Stop::QueueSlow } else { Stop::Aborted })
        }
        Err(error) => {
            visit.incident(Incident::LimiterUnreachable, &["queue: ", &error.to_string()].concat());
            match config.on_error {
                OnError::Admit => Ok(None),
                OnError::Refuse => Err(Stop::QueueUnreachable),
            }
        }
    }
}

/// What the queue says at last: `Waiting` where the turn did not come in time.
async fn wait<P: Ports>(
    visit: &Visit<P>,
    object: &str,
    config: &QueueConfig,
    ticket: Ticket,
) -> Result<Answer, PortError> {
    let ports = &visit.ports;
    let rank = config.rank(&visit.identity.tier);
    let call = Call::Enter { ticket, rank, terms: config.terms() }.text();
    let until = ports.now() + config.max_wait;
    let mut patience = Span::ZERO;
    loop {
        let told = ports.queue(object, &call, patience, config.budget, visit.is_lone()).await?;
        let answer = read_answer(&told).ok_or(PortError::Failed("the answer can't be read".into()))?;
        patience = until.since(ports.now()).min(PATIENCE);
        if patience == Span::ZERO || !matches!(answer, Answer::Waiting { .. }) {
            return Ok(answer);
        }
    }
}

/// Says now and then that the place is still needed, until the signal is raised.
fn keep<P: Ports>(visit: &Visit<P>, object: String, budget: Span, ticket: Ticket) -> Place<P> {
    let signal = visit.ports.signal();
    let (ports, ended) = (visit.ports.clone(), signal.clone());
    visit.ports.defer(async move {
        while !ports.raised(&ended, STAY_EVERY).await {
            drop(ports.queue(&object, &Call::Stay(ticket).text(), Span::ZERO, budget, false).await);
        }
        // A place that can't be given back is free when its lease is over.
        drop(ports.queue(&object, &Call::Leave(ticket).text(), Span::ZERO, budget, false).await);
    });
    Place(signal)
}

impl<P: Ports> Place<P> {
    /// There is nothing more to wait for.
    pub fn leave(self, visit: &Visit<P>) {
        visit.ports.raise(&self.0);
    }

    /// The same response; the place is free when its body has ended. An upgrade gives it back at once: how long a
    /// connection lasts is not for a queue to wait for.
    pub fn leave_with(
        self,
        visit: &Visit<P>,
        message: Message<ResponseHead, P::Body>,
    ) -> Message<ResponseHead, P::Body> {
        let Message { head, body } = message;
        if visit.request.method == Method::Head || head.status == 101 || head.is_bodiless() {
            self.leave(visit);
            return Message::new(head, body);
        }
        let body = visit.ports.ending(body, &self.0, head.content_length(), visit.is_lone());
        Message::new(head, body)
    }
}

/// Tells the client about its queue.
pub fn tell<P: Ports>(visit: &Visit<P>, head: &mut ResponseHead) {
    if let Some(Queued { position, wait }) = visit.notes.borrow().queued {
        head.fields.insert("x-queue-position", &position.to_string());
        head.fields.insert("x-queue-wait", &wait.as_secs_ceil().to_string());
    }
}
