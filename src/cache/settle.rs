//! What an origin's answer means for the stored responses it was asked about (RFC 9111, sections 4.2.4 and 4.3.3 to
//! 4.3.5).

use super::key::StorageKey;
use super::policy::Policy;
use super::range::How;
use super::reuse::Revalidate;
use super::stored::{Exchange, Freshened, StoredHead};
use super::variants::VariantIndex;
use super::{date, validator};
use crate::head::{Fields, RequestHead, ResponseHead};
use crate::identity::Identity;

/// What to do with the origin's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settled {
    /// A stored response holds: serve it with its new head, and store that with the old body, where it may be
    /// stored. Its storage key is another than before where Vary had not selected it.
    Freshened {
        /// Which candidate.
        which: usize,
        /// Its new head.
        freshened: Box<Freshened>,
        /// How it answers the client's own preconditions.
        how: How,
    },
    /// A variant holds that is not among the candidates: read it, and settle again with it alone as candidate.
    Load(StorageKey),
    /// The answer is a response of its own: store it if [`super::storable()`] allows, and hand it on.
    Replaced {
        /// `NotModified` where tidegate's conditions stood in the place of the client's, and those say that the
        /// client has this response; else `Full`.
        how: How,
    },
    /// The origin failed, and the candidate may stand in for it.
    ServeStale {
        /// Which candidate.
        which: usize,
        /// Seconds for which it stays fresh; zero or less where it is stale.
        ttl: i64,
        /// How it answers the client's own preconditions.
        how: How,
    },
    /// The 304 fits none of the stored responses: ask again with the client's own conditions.
    Refetch,
    /// There was no answer, and nothing may stand in for it.
    Failed,
}

/// Decides. `response` is `None` where there was no answer; `candidates` and `index` are those that
/// [`super::reuse()`] got.
#[expect(clippy::too_many_arguments, reason = "a pure decision names all that it depends on")]
pub fn settle<S: AsRef<StoredHead>>(
    request: &RequestHead,
    asked: &Revalidate,
    candidates: &[S],
    index: Option<&VariantIndex>,
    response: Option<&ResponseHead>,
    policy: &Policy,
    identity: &Identity,
    exchange: Exchange,
) -> Settled {
    let candidate = |which: usize| candidates.get(which).map(AsRef::as_ref);
    match response {
        Some(answer) if answer.status == 304 && !asked.conditions.is_empty() => {
            let heads: Vec<&StoredHead> = candidates.iter().map(AsRef::as_ref).collect();
            let Some(which) = confirmed(&answer.fields, asked.which, &heads) else {
                return unloaded(&answer.fields, index).map_or(Settled::Refetch, Settled::Load);
            };
            let Some(head) = candidate(which) else { return Settled::Refetch };
            let freshened = head.freshen(request, answer, policy, identity, exchange);
            let how = freshened.head.answers(request);
            Settled::Freshened { which, freshened: Box::new(freshened), how }
        }
        Some(answer) if !is_error(answer.status) => {
            Settled::Replaced { how: as_asked(request, asked, answer, exchange) }
        }
        _ => {
            let allowed = asked.stale_until.is_some_and(|until| exchange.response_time < until);
            match asked.which.filter(|_| allowed).and_then(|which| Some((which, candidate(which)?))) {
                Some((which, head)) => Settled::ServeStale {
                    which,
                    ttl: head.ttl(exchange.response_time),
                    how: head.answers(request),
                },
                None if response.is_some() => Settled::Replaced { how: How::Full },
                None => Settled::Failed,
            }
        }
    }
}

/// The statuses that count as errors (RFC 5861, section 4).
const fn is_error(status: u16) -> bool {
    matches!(status, 500 | 502 | 503 | 504)
}

/// How a new response answers the conditions that were taken from the request on its way.
fn as_asked(request: &RequestHead, asked: &Revalidate, answer: &ResponseHead, exchange: Exchange) -> How {
    if asked.conditions.is_empty() {
        return How::Full;
    }
    // Its length is held back, since a body that passes through is not cut.
    How::new(request, answer.status, &answer.fields, None, exchange.response_time)
}

/// Which stored response a 304 confirms (RFC 9111, section 4.3.4): one with its entity tag; where either has none, one
/// with its Last-Modified; without both the one that was asked about, which comes first, since several may fit.
/// Tags are compared as the origin compared them, weakly.
fn confirmed(answer: &Fields, asked: Option<usize>, heads: &[&StoredHead]) -> Option<usize> {
    let fits = |at: &usize| {
        let Some(head) = heads.get(*at) else { return false };
        match (validator::etag(answer), validator::etag(&head.fields)) {
            (Some(one), Some(other)) => validator::same_weakly(one, other),
            _ => match date::field(answer, "last-modified") {
                Some(modified) => date::field(&head.fields, "last-modified") == Some(modified),
                None => asked == Some(*at),
            },
        }
    };
    asked.into_iter().chain(0..heads.len()).find(fits)
}

/// The variant that a 304 confirms and that only the index knows.
fn unloaded(answer: &Fields, index: Option<&VariantIndex>) -> Option<StorageKey> {
    let tag = validator::etag(answer)?;
    let has_tag = |known: &str| validator::same_weakly(known, tag);
    let mut variants = index?.variants.iter();
    variants.find(|variant| variant.etag.as_deref().is_some_and(has_tag)).map(|variant| variant.key)
}

/// What a response to HEAD says about the stored response to GET (RFC 9111, section 4.3.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeadEffect {
    /// It is the same one: store this head with the old body, where it may be stored.
    Freshen(Box<Freshened>),
    /// It is another one: remove the stored response.
    Invalidate,
    /// Nothing.
    None,
}

/// Decides for a stored response that the HEAD request would have selected.
pub fn after_head(
    request: &RequestHead,
    stored: &StoredHead,
    response: &ResponseHead,
    policy: &Policy,
    identity: &Identity,
    exchange: Exchange,
) -> HeadEffect {
    if response.status != 200 || request.method != crate::head::Method::Head {
        return HeadEffect::None;
    }
    let same = |name| response.fields.get(name).is_none_or(|value| stored.fields.get(name) == Some(value));
    let length =
        response.content_length().is_none_or(|bytes| stored.body_bytes.is_none_or(|known| known == bytes));
    if stored.status == 200 && same("etag") && same("last-modified") && length {
        HeadEffect::Freshen(Box::new(stored.freshen(request, response, policy, identity, exchange)))
    } else {
        HeadEffect::Invalidate
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::key::PrimaryKey;
    use crate::cache::testing::{anonymous, at, get, policy, request, response, secs, stored};
    use crate::cache::{Groups, Reuse, reuse};

    const STORED: [(&str, &str); 3] =
        [("cache-control", "max-age=60, stale-if-error=30"), ("etag", "\"a\""), ("vary", "foo")];

    fn held(foo: &str, tag: &str) -> StoredHead {
        let pairs = [STORED[0], ("etag", tag), STORED[2]];
        stored(&get(&[("foo", foo)]), &pairs, &policy("{}"), secs(0))
    }

    /// Asks for a stale response and settles what the origin answers.
    fn settled(
        request: &RequestHead,
        held: &[StoredHead],
        answer: Option<&ResponseHead>,
        after: u64,
    ) -> Settled {
        let policy = policy("{}");
        let Reuse::Revalidate(asked) =
            reuse(request, held, None, &Groups::default(), &policy, &anonymous(), secs(after))
        else {
            panic!("not asked")
        };
        settle(request, &asked, held, None, answer, &policy, &anonymous(), at(secs(after)))
    }

    fn which(settled: &Settled) -> Option<usize> {
        match settled {
            Settled::Freshened { which, .. } => Some(*which),
            _ => None,
        }
    }

    #[test]
    fn a_304_confirms_the_response_that_it_names_rfc9111_4_3_4() {
        let held = [held("1", "\"a\""), held("2", "W/\"b\""), held("3", "\"c\"")];
        for (foo, answer, expected) in [
            ("1", &[("etag", "\"a\"")][..], Some(0)),
            ("1", &[], Some(0)),
            ("2", &[("etag", "W/\"b\"")], Some(1)),
            ("2", &[("etag", "\"b\"")], Some(1)),
            ("1", &[("etag", "\"c\"")], Some(2)),
            ("4", &[("etag", "\"c\"")], Some(2)),
            ("4", &[], None),
            ("1", &[("etag", "\"z\"")], None),
        ] {
            let settled = settled(&get(&[("foo", foo)]), &held, Some(&response(304, answer)), 70);
            assert_eq!(which(&settled), expected, "{foo} {answer:?}");
            assert!(expected.is_some() || settled == Settled::Refetch);
        }
    }

    #[test]
    fn a_confirmed_variant_answers_the_next_request_like_this_one() {
        let (asked, held) = (get(&[("foo", "9")]), [held("1", "\"a\"")]);
        let answer = response(304, &[("etag", "\"a\"")]);
        let Settled::Freshened { freshened, .. } = settled(&asked, &held, Some(&answer), 70) else {
            panic!()
        };
        let again =
            reuse(&asked, &[freshened.head], None, &Groups::default(), &policy("{}"), &anonymous(), secs(71));
        assert!(matches!(again, Reuse::Serve(_)), "{again:?}");
    }

    #[test]
    fn a_variant_that_only_the_index_knows_is_loaded() {
        let (asked, policy) = (get(&[("foo", "9")]), policy("{}"));
        let primary = PrimaryKey::new(&asked.target, &asked.fields, &policy.key, &anonymous());
        let (head, mut index) = (held("1", "\"a\""), VariantIndex::default());
        index.put(&primary, &head, &policy.vary);
        let none: [StoredHead; 0] = [];
        let decision = reuse(&asked, &none, Some(&index), &Groups::default(), &policy, &anonymous(), secs(1));
        let Reuse::Revalidate(sent) = decision else { panic!("{decision:?}") };
        let answer = response(304, &[("etag", "\"a\"")]);
        let end = |held: &[StoredHead]| {
            settle(&asked, &sent, held, Some(&index), Some(&answer), &policy, &anonymous(), at(secs(1)))
        };
        assert_eq!(end(&none), Settled::Load(head.storage_key(&primary)));
        assert_eq!(which(&end(&[head])), Some(0));
    }

    #[test]
    fn the_clients_own_conditions_are_answered_in_the_end_rfc9111_4_3_3() {
        let held = [held("1", "\"a\"")];
        let (same, other) = (response(304, &[("etag", "\"a\"")]), response(200, &[("etag", "\"b\"")]));
        for (condition, answer, expected) in [
            ("\"a\"", &same, How::NotModified),
            ("\"b\"", &same, How::Full),
            ("\"b\"", &other, How::NotModified),
            ("\"a\"", &other, How::Full),
        ] {
            let request = get(&[("foo", "1"), ("if-none-match", condition)]);
            match settled(&request, &held, Some(answer), 70) {
                Settled::Freshened { how, .. } | Settled::Replaced { how } => assert_eq!(how, expected),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn an_error_is_hidden_while_a_stale_response_may_stand_in_rfc5861_4() {
        let (request, held) = (get(&[("foo", "1")]), [held("1", "\"a\"")]);
        let stale = |ttl| Settled::ServeStale { which: 0, ttl, how: How::Full };
        let passed = Settled::Replaced { how: How::Full };
        for (status, after, expected) in [
            (Some(503), 70, stale(-10)),
            (Some(500), 89, stale(-29)),
            (None, 89, stale(-29)),
            (None, 90, Settled::Failed),
            (Some(502), 90, passed.clone()),
            (Some(501), 70, passed.clone()),
            (Some(429), 70, passed.clone()),
            (Some(404), 70, passed),
        ] {
            let answer = status.map(|status| response(status, &[]));
            assert_eq!(settled(&request, &held, answer.as_ref(), after), expected, "{status:?} {after}");
        }
    }

    #[test]
    fn a_response_to_head_freshens_or_invalidates_rfc9111_4_3_5() {
        let pairs = [("cache-control", "max-age=60"), ("etag", "\"a\""), ("content-length", "10")];
        let old = stored(&get(&[]), &pairs, &policy("{}"), secs(0));
        let effect = |method, status, pairs: &[(&str, &str)]| {
            let (request, response) = (request(method, &[]), response(status, pairs));
            after_head(&request, &old, &response, &policy("{}"), &anonymous(), at(secs(70)))
        };
        for pairs in [&[("etag", "\"a\""), ("x-new", "1")][..], &[("content-length", "10")], &[]] {
            let HeadEffect::Freshen(new) = effect("HEAD", 200, pairs) else { panic!("{pairs:?}") };
            assert_eq!((new.head.ttl(secs(70)), new.head.body_bytes), (60, Some(10)));
        }
        for pairs in [("etag", "\"b\""), ("content-length", "11"), ("last-modified", "x")] {
            assert_eq!(effect("HEAD", 200, &[pairs]), HeadEffect::Invalidate, "{pairs:?}");
        }
        assert_eq!((effect("GET", 200, &[]), effect("HEAD", 404, &[])), (HeadEffect::None, HeadEffect::None));
    }
}
