//! Identify: what a request shows for itself is looked up or verified, and nothing else is believed.

use std::collections::HashMap;
use std::rc::Rc;

use crate::head::{Fields, Method, RequestHead};
use crate::identity::jwks::{Jwks, MAX_JWKS_BYTES};
use crate::identity::jwt::UnverifiedToken;
use crate::identity::{Credential, Identity, JwtConfig, KeySource, Rejected, Settled, api_key, credential};
use crate::ports::Ports;
use crate::time::{Span, Timestamp};

use super::gate::Gate;

/// How long a key's record is believed without looking again.
const KEY_FOR: Span = Span::from_secs(30);
/// How long a key set is believed without looking again.
const JWKS_FOR: Span = Span::from_secs(300);
/// How many keys are remembered.
const KEYS_MAX: usize = 4096;
/// How long to wait for a key's record or a key set.
const LOOKUP_BUDGET: Span = Span::from_millis(2000);

/// What was read lately.
#[derive(Debug, Default)]
pub struct Keyring {
    keys: HashMap<Box<str>, (Timestamp, Option<Rc<str>>)>,
    jwks: Option<(Timestamp, Rc<Jwks>)>,
}

/// Who asks.
pub async fn identify<P: Ports>(gate: &Gate<P>, ports: &P, request: &RequestHead) -> Settled {
    let config = &gate.site.identity;
    let checked = match credential::read(request, config) {
        Credential::None => return Settled::As(gate.anonymous.clone(), None),
        Credential::Invalid(why) => Err(why),
        Credential::ApiKey { hash } => by_key(gate, ports, &hash).await,
        Credential::Token(token) => match &config.jwt {
            Some(jwt) => by_token(gate, ports, jwt, &token).await,
            None => Err(Rejected::MalformedToken),
        },
    };
    config.settle(checked)
}

async fn by_key<P: Ports>(gate: &Gate<P>, ports: &P, hash: &str) -> Result<Identity, Rejected> {
    let now = ports.now();
    let known = gate.keyring.borrow().keys.get(hash).filter(|(until, _)| *until > now).cloned();
    let record = match known {
        Some((_, record)) => record,
        None => {
            let read = ports.api_key(hash, LOOKUP_BUDGET).await.map_err(|_| Rejected::Unavailable)?;
            let record: Option<Rc<str>> = read.map(Into::into);
            let keys = &mut gate.keyring.borrow_mut().keys;
            if keys.len() >= KEYS_MAX {
                keys.clear();
            }
            keys.insert(hash.into(), (ports.now() + KEY_FOR, record.clone()));
            record
        }
    };
    api_key::check(record.as_deref(), hash, &gate.site.identity, ports.now())
}

async fn by_token<P: Ports>(
    gate: &Gate<P>,
    ports: &P,
    jwt: &JwtConfig,
    token: &UnverifiedToken,
) -> Result<Identity, Rejected> {
    let algorithm = jwt.algorithm.as_str();
    let (signed, signature) = (token.signing_input(), token.signature());
    let verified = match &jwt.key_source {
        KeySource::Secret(name) => ports.verify(algorithm, name, signed, signature).await,
        KeySource::Jwks(url) => {
            let set = jwks(gate, ports, url).await.ok_or(Rejected::Unavailable)?;
            let key = set.pick(token.key_id(), jwt.algorithm).ok_or(Rejected::UnknownKeyId)?;
            ports.verify(algorithm, key, signed, signature).await
        }
    };
    let claims = token.verified(verified.map_err(|_| Rejected::Unavailable)?)?;
    claims.check(jwt, &gate.site.identity, ports.now())
}

/// The key set at this URL, at most [`JWKS_FOR`] old.
async fn jwks<P: Ports>(gate: &Gate<P>, ports: &P, url: &str) -> Option<Rc<Jwks>> {
    let now = ports.now();
    let known = gate.keyring.borrow().jwks.clone();
    if let Some((until, set)) = &known
        && *until > now
    {
        return Some(set.clone());
    }
    let fetched = fetch_jwks(ports, url).await.map(Rc::new);
    match fetched {
        Some(set) => {
            gate.keyring.borrow_mut().jwks = Some((ports.now() + JWKS_FOR, set.clone()));
            Some(set)
        }
        // An old set is better than none while its server is away: keys change rarely.
        None => known.map(|(_, set)| set),
    }
}

async fn fetch_jwks<P: Ports>(ports: &P, url: &str) -> Option<Jwks> {
    let mut request = RequestHead::new(Method::Get, url).ok()?;
    request.fields = Fields::from_pairs([("accept", "application/jwk-set+json, application/json")]);
    let answer = ports.fetch(&request, P::Body::default(), LOOKUP_BUDGET).await.ok()?;
    if answer.head.status != 200 {
        ports.discard(answer.body);
        return None;
    }
    let bytes = ports.collect(answer.body, MAX_JWKS_BYTES as u64).await.ok()?;
    Jwks::parse(&ports.text(&bytes))
}
