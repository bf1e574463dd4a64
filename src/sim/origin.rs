//! Origins: what they were asked, and what they answer.

use std::rc::Rc;

use crate::head::{RequestHead, ResponseHead};
use crate::origin::FetchError;
use crate::time::{Span, Timestamp};

/// A request as an origin got it.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Its head.
    pub head: RequestHead,
    /// Its body.
    pub body: String,
    /// When it came.
    pub at: Timestamp,
    /// How many requests came before it.
    pub nth: usize,
}

impl Asked {
    /// GET, POST, ...
    pub fn method(&self) -> &str {
        self.head.method.as_str()
    }

    /// The host, which tells one origin from another.
    pub fn host(&self) -> &str {
        self.head.target.host()
    }

    /// The path and the query.
    pub fn path(&self) -> &str {
        self.head.target.path_and_query()
    }

    /// A field.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.head.fields.get(name)
    }
}

/// An origin's answer: 200 at once, unless more is said.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The head, or what comes instead of one.
    pub result: Result<ResponseHead, FetchError>,
    /// The body.
    pub body: Rc<str>,
    /// From the request to the head.
    pub after: Span,
    /// From the head to the last byte.
    pub takes: Span,
    /// The body breaks off before its end.
    pub breaks: bool,
    /// Whether it says how long it is.
    pub with_length: bool,
}

impl Reply {
    /// This status and body.
    pub fn new(status: u16, body: impl Into<Rc<str>>) -> Self {
        Self {
            result: Ok(ResponseHead::new(status)),
            body: body.into(),
            after: Span::ZERO,
            takes: Span::ZERO,
            breaks: false,
            with_length: true,
        }
    }

    /// 200 with this body.
    pub fn ok(body: impl Into<Rc<str>>) -> Self {
        Self::new(200, body)
    }

    /// 200 with this Cache-Control.
    pub fn cached(body: impl Into<Rc<str>>, cache_control: &str) -> Self {
        Self::ok(body).field("cache-control", cache_control)
    }

    /// No response.
    pub fn fails(error: FetchError) -> Self {
        Self { result: Err(error), ..Self::ok("") }
    }

    /// Adds a field.
    pub fn field(mut self, name: &str, value: &str) -> Self {
        if let Ok(head) = &mut self.result {
            head.fields.append(name, value);
        }
        self
    }

    /// The head comes after so long.
    pub fn after(self, after: Span) -> Self {
        Self { after, ..self }
    }

    /// The last byte comes so long after the head.
    pub fn takes(self, takes: Span) -> Self {
        Self { takes, ..self }
    }

    /// The body breaks off half way.
    pub fn breaks(self) -> Self {
        Self { breaks: true, ..self }
    }

    /// Without Content-Length.
    pub fn chunked(self) -> Self {
        Self { with_length: false, ..self }
    }
}

pub type Origin = Box<dyn FnMut(&Asked) -> Reply>;
