//! Identify: what a request shows for itself is looked up or verified, and nothing else is believed.

use std::cell::Cell;
use std::collections::HashMap;
use std::rc::Rc;

use crate::cache::directives::ResponseDirectives;
use crate::head::{Fields, Method, RequestHead};
use crate::identity::jwks::{Jwks, MAX_JWKS_BYTES};
use crate::identity::jwt::UnverifiedToken;
use crate::identity::{Credential, Identity, JwtConfig, KeySource, Rejected, Settled, api_key, credential};
use crate::ports::Ports;
use crate::time::{Span, Timestamp};

use super::gate::Gate;

/// How long a key's record is believed without looking again.
const KEY_FOR: Span = Span::from_secs(30);
/// How long a key set is believed without looking again, where it does not say a shorter time.
const JWKS_FOR: Span = Span::from_secs(300);
/// The shortest such time, and how long it is not asked for again when it lacked a key.
const JWKS_PAUSE: Span = Span::from_secs(30);
/// How long it is not asked for again when it could not be had; twice as long each time, up to [`JWKS_PAUSE`].
const JWKS_RETRY: Span = Span::from_secs(1);
/// How many keys are remembered.
const KEYS_MAX: usize = 4096;
/// How long to wait for a key's record or a key set.
const LOOKUP_BUDGET: Span = Span::from_millis(2000);

/// What was read lately.
#[derive(Debug, Default)]
pub struct Keyring {
    keys: HashMap<Box<str>, (Timestamp, Option<Rc<str>>)>,
    jwks: Option<KnownJwks>,
}

impl Keyring {
    /// Reads the record of a key anew when it is shown next.
    pub fn forget(&mut self, hash: &str) {
        self.keys.remove(hash);
    }
}

/// The key set, and when it was asked for last.
#[derive(Debug, Clone)]
struct KnownJwks {
    asked: Timestamp,
    /// How long its keys are believed from then on.
    lasts: Span,
    /// How long it is not asked for again from then on, whatever it lacks.
    pause: Span,
    /// How long it will not be when it can't be had next.
    retry: Span,
    set: Option<Rc<Jwks>>,
}

/// Who asks. Counts the subrequests that this takes.
pub async fn identify<P: Ports>(
    gate: &Gate<P>,
    ports: &P,
    request: &RequestHead,
    subrequests: &Cell<u32>,
) -> Settled {
    let config = &gate.site.identity;
    let checked = match credential::read(request, config) {
        Credential::None => return Settled::As(gate.anonymous.clone(), None),
        Credential::Invalid(why) => Err(why),
        Credential::ApiKey { hash } => by_key(gate, ports, &hash).await,
        Credential::Token(token) => match &config.jwt {
            Some(jwt) => by_token(gate, ports, (jwt, &token), subrequests).await,
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
    (jwt, token): (&JwtConfig, &UnverifiedToken),
    subrequests: &Cell<u32>,
) -> Result<Identity, Rejected> {
    let algorithm = jwt.algorithm.as_str();
    let (signed, signature) = (token.signing_input(), token.signature());
    let verified = match &jwt.key_source {
        KeySource::Secret(name) => ports.verify(algorithm, name, signed, signature).await,
        KeySource::Jwks(url) => {
            let has = |set: &Jwks| set.pick(token.key_id(), jwt.algorithm).is_some();
            let set = jwks(gate, ports, url, has, subrequests).await.ok_or(Rejected::Unavailable)?;
            let key = set.pick(token.key_id(), jwt.algorithm).ok_or(Rejected::UnknownKeyId)?;
            ports.verify(algorithm, key, signed, signature).await
        }
    };
    let claims = token.verified(verified.map_err(|_| Rejected::Unavailable)?)?;
    claims.check(jwt, &gate.site.identity, ports.now())
}

/// The key set at this URL: no older than it says, and anew for a key that it lacks, but not without a pause. An old set is
/// better than none while its server is away: keys change rarely.
async fn jwks<P: Ports>(
    gate: &Gate<P>,
    ports: &P,
    url: &str,
    has: impl Fn(&Jwks) -> bool,
    subrequests: &Cell<u32>,
) -> Option<Rc<Jwks>> {
    let now = ports.now();
    let known = gate.keyring.borrow().jwks.clone();
    let (set, retry) = known.as_ref().map_or((None, JWKS_RETRY), |known| (known.set.clone(), known.retry));
    let lacks = set.as_deref().map(|set| !has(set));
    if let Some(known) = &known
        && now.since(known.asked) < if lacks == Some(false) { known.lasts } else { known.pause }
    {
        return set;
    }
    if lacks != Some(true)
        && let Some(known) = &mut gate.keyring.borrow_mut().jwks
    {
        // Meanwhile the others go on with what there is.
        known.asked = now;
    }
    subrequests.set(subrequests.get() + 1);
    let known = match fetch_jwks(ports, url).await {
        Some((set, lasts)) => KnownJwks {
            asked: ports.now(),
            lasts,
            pause: JWKS_PAUSE,
            retry: JWKS_RETRY,
            set: Some(Rc::new(set)),
        },
        None => KnownJwks {
            asked: ports.now(),
            lasts: retry,
            pause: retry,
            retry: retry.saturating_add(retry).min(JWKS_PAUSE),
            set,
        },
    };
    let set = known.set.clone();
    gate.keyring.borrow_mut().jwks = Some(known);
    set
}

/// A key set, and how long it is believed.
async fn fetch_jwks<P: Ports>(ports: &P, url: &str) -> Option<(Jwks, Span)> {
    let mut request = RequestHead::new(Method::Get, url).ok()?;
    request.fields = Fields::from_pairs([("accept", "application/jwk-set+json, application/json")]);
    let answer = ports.fetch(&request, P::Body::default(), LOOKUP_BUDGET).await.ok()?;
    if answer.head.status != 200 {
        ports.discard(answer.body);
        return None;
    }
    let said = ResponseDirectives::of(&answer.head.fields).max_age;
    let lasts = said.map_or(JWKS_FOR, |said| said.span().clamp(JWKS_PAUSE, JWKS_FOR));
    let bytes = ports.collect(answer.body, MAX_JWKS_BYTES as u64).await.ok()?;
    Some((Jwks::parse(&ports.text(&bytes))?, lasts))
}
