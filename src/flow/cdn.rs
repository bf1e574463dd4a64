//! Assets from another host than the app's own (`cdn_base`).

use crate::cache::stored::Exchange;
use crate::head::{Fields, Message, RequestHead};
use crate::origin::response;
use crate::ports::Ports;
use crate::route::asset;

use super::origin::Asked;
use super::visit::Visit;

/// What an asset's other host is told of a request: nothing that says who asks.
const CDN_FIELDS: [&str; 8] = [
    "accept",
    "accept-encoding",
    "accept-language",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "range",
    "user-agent",
];

/// Asks the host that the config moves this class of assets to. Where it fails or has no such file, the app's own origin
/// is asked.
pub async fn ask<P: Ports>(visit: &Visit<P>, request: &RequestHead) -> Option<Asked<P::Body>> {
    if !visit.route.assets {
        return None;
    }
    let url = asset::cdn_url(request, &visit.gate.site.assets)?;
    let mut head = RequestHead::new(request.method.clone(), &url).ok()?;
    head.fields = Fields::from_pairs(request.fields.iter().filter(|(name, _)| CDN_FIELDS.contains(name)));
    head.fields.append("cdn-loop", &visit.gate.site.server.id);
    let pool = visit.gate.site.pools.get(*visit.route.pools.first()?)?;
    if !visit.may_fetch() {
        return None;
    }
    let request_time = visit.gate.after_writes(visit.ports.now());
    let generation = visit.gate.fleet.generation();
    let sent = visit.ports.fetch(&head, P::Body::default(), pool.config.attempt_timeout).await;
    match sent {
        Ok(message) if message.head.status != 404 && message.head.status < 500 => {
            let response_time = visit.ports.now().max(request_time);
            let exchange = Exchange { generation, ..Exchange::new(request_time, response_time) };
            let clean = response::clean(message.head, &visit.gate.site.server.id);
            Some(Asked::Answered(Message::new(clean, message.body), exchange))
        }
        other => {
            if let Ok(message) = other {
                visit.ports.discard(message.body);
            }
            visit.notes.borrow_mut().failover = true;
            None
        }
    }
}
