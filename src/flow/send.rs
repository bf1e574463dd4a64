//! One request to one endpoint, as that endpoint is asked, and whether its answer is believed.

use crate::cache::device;
use crate::head::{Message, Method, ResponseHead};
use crate::origin::forward::{Hop, Rewrite, forward};
use crate::origin::lies::{LIE_BYTES_MAX, is_lie, needs_body};
use crate::origin::rewrite::Secret;
use crate::origin::{FetchError, Pool, Try, deadline};
use crate::ports::Ports;

use super::hedge::Sent;
use super::origin::Way;

impl<P: Ports> Way<'_, P> {
    /// Sends the request to an endpoint. `awaited`: it ends when the future is dropped, or the client goes away.
    pub async fn send(&self, pool: &Pool, step: Try, body: P::Body, awaited: bool) -> Sent<P::Body> {
        let (visit, ports) = (self.visit, &self.visit.ports);
        let server = &visit.gate.site.server;
        let Some(endpoint) = pool.endpoint(step.endpoint) else { return Ok(Err(FetchError::Aborted)) };
        if !visit.may_fetch() {
            return Ok(Err(FetchError::OverCap));
        }
        let rewrite = Rewrite { secret: self.secret(pool), ..visit.rewrite(pool) };
        let hop = Hop {
            id: &server.id,
            loops_max: server.loops_max,
            request_id: &visit.id,
            traceparent: &self.traceparent,
        };
        let mut head = forward(self.request, endpoint, rewrite, &hop)?;
        if visit.route.cache.key.device {
            head.fields.insert(device::FIELD, device::class(&visit.request.fields));
        }
        if let Some(name) = &pool.config.deadline_header {
            let name = name.to_ascii_lowercase();
            let now = ports.now();
            let until = now + step.timeout;
            let asked = self.request.fields.get(&name).filter(|_| visit.is_lone());
            let asked = asked.and_then(|text| deadline::read(&name, text, visit.arrived));
            let until = asked.map_or(until, |asked| asked.min(until));
            head.fields.insert(&name, &deadline::write(&name, until, now));
        }
        {
            let mut notes = visit.notes.borrow_mut();
            notes.attempts = notes.attempts.saturating_add(1);
            notes.endpoint = Some((*endpoint.name).into());
        }
        let sent = if awaited {
            ports.fetch_awaited(&head, body, step.timeout).await
        } else {
            ports.fetch(&head, body, step.timeout).await
        };
        match sent {
            Ok(message) if !pool.config.fail_when.is_empty() => Ok(self.believe(pool, message).await),
            sent => Ok(sent),
        }
    }

    /// What the pool shows its endpoints. It is in nothing but the request to them.
    pub fn secret<'a>(&'a self, pool: &'a Pool) -> Option<(&'a Secret, &'a str)> {
        let secret = pool.config.secret.as_ref()?;
        let value = self.visit.gate.vars.all.get(&secret.name)?.trim();
        (!value.is_empty()).then_some((secret, value))
    }

    /// A response, where the pool's rules do not call it a failure.
    async fn believe(
        &self,
        pool: &Pool,
        message: Message<ResponseHead, P::Body>,
    ) -> Result<Message<ResponseHead, P::Body>, FetchError> {
        let (rules, ports) = (&pool.config.fail_when, &self.visit.ports);
        let Message { head, mut body } = message;
        let mut lies = is_lie(rules, &head, None);
        if !lies && self.request.method != Method::Head && needs_body(rules, &head) {
            let bytes = ports.collect(body, LIE_BYTES_MAX).await.map_err(|_| FetchError::ConnectionLost)?;
            lies = is_lie(rules, &head, Some(&ports.text(&bytes)));
            body = ports.body(&bytes);
        }
        if lies {
            ports.discard(body);
            return Err(FetchError::Lied);
        }
        Ok(Message::new(head, body))
    }
}
