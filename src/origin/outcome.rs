//! What came of one attempt, and why a pool gave up.

use std::fmt;

use super::pool::Pool;
use super::status::ProxyStatus;
use crate::head::ResponseHead;
use crate::time::{DeltaSeconds, Span, Timestamp};

/// Why an attempt has no response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FetchError {
    /// There was no connection, so nothing of the request reached the endpoint. Only where that is certain.
    Connect,
    /// The head of the response was not there in time.
    Timeout,
    /// The connection broke, or what came was not HTTP.
    ConnectionLost,
    /// What came is a failure, whatever its status says (`fail_when`).
    Lied,
    /// It was not made: the request has made as many subrequests as the platform allows one.
    OverCap,
    /// The client is gone, so nobody waits for an answer. Says nothing about the endpoint.
    Aborted,
}

impl FetchError {
    /// The error type of RFC 9209, section 2.3.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connection_refused",
            Self::Timeout => "http_response_timeout",
            Self::ConnectionLost | Self::Aborted => "connection_terminated",
            Self::Lied => "destination_unavailable",
            Self::OverCap => "connection_limit_reached",
        }
    }
}

/// What came of one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// The status of the response, or why there is none.
    pub result: Result<u16, FetchError>,
    /// From sending the request to the head of the response or the failure.
    pub latency: Span,
    /// How long the response asks to be left alone (Retry-After).
    pub retry_after: Option<Span>,
}

impl Outcome {
    /// The head of a response came. Retry-After is read in both its forms (RFC 9110, section 10.2.3).
    pub fn response(head: &ResponseHead, latency: Span, now: Timestamp) -> Self {
        let retry_after = head.fields.get("retry-after").map(str::trim).and_then(|text| {
            let seconds = DeltaSeconds::parse(text).map(DeltaSeconds::span);
            seconds.or_else(|| Timestamp::from_http_date(text).map(|moment| moment.since(now)))
        });
        Self { result: Ok(head.status), latency, retry_after }
    }

    /// No response came.
    pub fn failed(error: FetchError, latency: Span) -> Self {
        Self { result: Err(error), latency, retry_after: None }
    }
}

/// What the last attempt came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// A response that another attempt could have bettered. The caller holds it and may still hand it on.
    Status(u16),
    /// No response.
    Fetch(FetchError),
    /// No response either, and what is stored may not be used before the origin confirms it.
    Unconfirmed(FetchError),
    /// There was no attempt: no endpoint could be asked.
    NoEndpoint,
}

impl From<Result<u16, FetchError>> for Cause {
    fn from(result: Result<u16, FetchError>) -> Self {
        result.map_or_else(Self::Fetch, Self::Status)
    }
}

/// Why there is no further attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stop {
    /// The client is gone.
    Aborted,
    /// The request has made as many subrequests as the platform allows one.
    OverCap,
    /// The method may not be sent twice, and the first may have arrived.
    NotIdempotent,
    /// The config says that such a failure is not tried again.
    NotRetried,
    /// The body is not there any more.
    BodyGone,
    /// `attempts_max` attempts were made.
    AttemptsSpent,
    /// The total time-out leaves no room for another attempt, or for the wait before it.
    DeadlineSpent,
    /// The pool's retry budget is spent.
    BudgetSpent,
    /// The endpoints that are left asked for a longer wait than this request makes.
    RetryAfter,
    /// The origin's own quota is spent, or what is left of it is for others.
    QuotaSpent,
    /// The deployment lacks the secret that the pool shows its endpoints.
    NoSecret,
    /// Every endpoint has as many requests as it may have at once.
    Full,
    /// Every endpoint's breaker is open.
    BreakerOpen,
    /// Too many wait before it for a place.
    QueueFull,
    /// Its turn did not come in time.
    QueueSlow,
    /// The queue can't be reached, and its config says to refuse then.
    QueueUnreachable,
}

impl Stop {
    /// Whether the origin has enough to do.
    pub fn is_capacity(self) -> bool {
        matches!(self, Self::Full | Self::QueueFull | Self::QueueSlow)
    }

    /// In words, for Proxy-Status and the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Aborted => "client gone",
            Self::OverCap => "subrequests spent",
            Self::NotIdempotent => "not idempotent",
            Self::NotRetried => "not to be retried",
            Self::BodyGone => "body not replayable",
            Self::AttemptsSpent => "attempts spent",
            Self::DeadlineSpent => "deadline spent",
            Self::BudgetSpent => "budget spent",
            Self::RetryAfter => "asked to wait",
            Self::QuotaSpent => "the origin's quota is spent",
            Self::NoSecret => "no secret",
            Self::Full => "all busy",
            Self::BreakerOpen => "breaker open",
            Self::QueueFull => "queue full",
            Self::QueueSlow => "no turn in time",
            Self::QueueUnreachable => "queue unreachable",
        }
    }
}

/// A pool gave up: what happened last, and why nothing follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failure {
    /// What the last attempt came to.
    pub cause: Cause,
    /// Why it was the last.
    pub stop: Stop,
    /// How many attempts were made.
    pub tries: u32,
    /// The endpoint of the last attempt, as an index into the pool's endpoints.
    pub endpoint: Option<usize>,
}

impl Failure {
    /// The status that tidegate answers with, where it has nothing better (RFC 9209, section 2.3): 502, 503 or
    /// 504; the origin's own where it was a response. What nobody waits for any more is counted as 499.
    pub fn status(&self) -> u16 {
        match self.cause {
            _ if self.stop == Stop::Aborted => 499,
            Cause::Status(status) => status,
            // RFC 9111, section 5.2.2.2.
            Cause::Fetch(FetchError::Timeout) | Cause::Unconfirmed(_) => 504,
            Cause::Fetch(FetchError::OverCap) => 503,
            Cause::Fetch(_) => 502,
            Cause::NoEndpoint if self.stop == Stop::NoSecret => 500,
            Cause::NoEndpoint => 503,
        }
    }

    /// The same, where what is stored is not to be used before the origin has confirmed it.
    pub fn unconfirmed(self) -> Self {
        let cause = match self.cause {
            Cause::Fetch(error) if error != FetchError::OverCap => Cause::Unconfirmed(error),
            cause => cause,
        };
        Self { cause, ..self }
    }

    /// Whether the same request may go to another pool.
    pub fn may_fall_back(&self) -> bool {
        !matches!(self.stop, Stop::Aborted | Stop::OverCap | Stop::NotIdempotent | Stop::BodyGone)
    }

    /// What Proxy-Status says of it. `id` names this tidegate.
    pub fn proxy_status<'a>(&self, id: &'a str, pool: &'a Pool) -> ProxyStatus<'a> {
        let (error, received_status) = match self.cause {
            Cause::Status(status) => (None, Some(status)),
            Cause::Fetch(error) | Cause::Unconfirmed(error) => (Some(error.as_str()), None),
            Cause::NoEndpoint if self.stop.is_capacity() => (Some("connection_limit_reached"), None),
            Cause::NoEndpoint if self.stop == Stop::NoSecret => (Some("proxy_configuration_error"), None),
            Cause::NoEndpoint if self.stop == Stop::QuotaSpent => (Some("http_request_denied"), None),
            Cause::NoEndpoint => (Some("destination_unavailable"), None),
        };
        let next_hop = self.endpoint.and_then(|at| pool.endpoint(at)).map(|endpoint| &*endpoint.name);
        ProxyStatus { id, error, received_status, next_hop, details: Some(self.to_string()) }
    }
}

/// `2 tries, budget spent`, or `breaker open` where there was no attempt.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.tries {
            0 => {}
            1 => f.write_str("1 try, ")?,
            n => write!(f, "{n} tries, ")?,
        }
        f.write_str(self.stop.as_str())
    }
}
