//! Bodies: bytes in hand, or a stream whose end comes later, or never.

use std::cell::{Cell, RefCell};
use std::ops::Range;
use std::rc::Rc;

use crate::time::{Span, Timestamp};

use super::clock::{Clock, Signal};

pub type Bytes = Rc<[u8]>;

/// What a body carries.
#[derive(Clone)]
pub struct Content {
    pub bytes: Bytes,
    /// When its last byte is here.
    pub ends_at: Timestamp,
    /// It breaks off instead of ending.
    pub breaks: bool,
}

/// Counts the streams that were neither read, nor handed on, nor discarded: on the platform each holds a connection.
type Leaks = Rc<Cell<u32>>;

/// A body that is poured together while somebody reads it.
#[derive(Default)]
pub struct Pipe {
    length: u64,
    bytes: RefCell<Vec<u8>>,
    /// Whether it came to its end.
    ended: Cell<Option<bool>>,
    /// Nobody reads it.
    unread: Cell<bool>,
    signal: Signal,
}

impl Pipe {
    /// # Errors
    /// Nobody reads it, or it is longer than it said.
    pub fn pour(&self, bytes: &[u8]) -> Result<(), ()> {
        self.bytes.borrow_mut().extend(bytes);
        let fits = self.bytes.borrow().len() as u64 <= self.length;
        if fits && !self.unread.get() && self.ended.get().is_none() { Ok(()) } else { Err(()) }
    }

    pub fn end(&self, whole: bool) {
        let whole = whole && self.bytes.borrow().len() as u64 == self.length;
        self.ended.set(self.ended.get().or(Some(whole)));
        self.signal.raise();
    }
}

#[derive(Default)]
pub struct Body {
    pipe: Option<Rc<Pipe>>,
    content: Option<Content>,
    leaks: Option<Leaks>,
    /// The platform is to encode it.
    pub encoded: bool,
}

impl Body {
    pub fn bytes(bytes: Bytes) -> Self {
        Self::content(Content { bytes, ends_at: Timestamp::default(), breaks: false })
    }

    pub fn content(content: Content) -> Self {
        Self { content: Some(content), leaks: None, encoded: false, pipe: None }
    }

    pub fn stream(content: Content, leaks: &Leaks) -> Self {
        Self { content: Some(content), leaks: Some(leaks.clone()), encoded: false, pipe: None }
    }

    pub fn pipe(length: u64) -> (Self, Rc<Pipe>) {
        let pipe = Rc::new(Pipe { length, ..Pipe::default() });
        (Self { content: None, leaks: None, encoded: false, pipe: Some(pipe.clone()) }, pipe)
    }

    /// What it carries; it is not leaked any more.
    pub fn take(mut self) -> Option<Content> {
        self.leaks = None;
        if let Some(pipe) = &self.pipe {
            pipe.unread.set(true);
        }
        self.content.take()
    }

    pub fn tee(mut self) -> (Self, Self) {
        assert!(self.pipe.is_none(), "nobody needs two of these");
        let leaks = self.leaks.take();
        let one =
            Self { content: self.content.clone(), leaks: leaks.clone(), encoded: self.encoded, pipe: None };
        (one, Self { content: self.content.take(), leaks, encoded: self.encoded, pipe: None })
    }

    pub fn exact(mut self, length: u64) -> Self {
        if let Some(content) = &mut self.content {
            content.breaks |= content.bytes.len() as u64 != length;
            content.bytes = content.bytes.iter().take(length as usize).copied().collect();
        }
        self
    }

    pub fn part(mut self, range: Range<u64>) -> Self {
        let leaks = self.leaks.take();
        let content = self.content.take().map(|content| {
            let bytes = slice(&content.bytes, range);
            Content { bytes, ..content }
        });
        Self { content, leaks, encoded: false, pipe: None }
    }

    /// Breaks off at this moment, where its end is not here by then.
    pub fn watched(mut self, until: Timestamp) -> Self {
        if let Some(content) = self.content.as_mut().filter(|content| content.ends_at > until) {
            let half = content.bytes.len() / 2;
            content.bytes = content.bytes[..half].into();
            (content.ends_at, content.breaks) = (until, true);
        }
        self
    }

    /// How long it is.
    pub fn len(&self) -> u64 {
        self.content.as_ref().map_or(0, |content| content.bytes.len() as u64)
    }

    /// When its last byte is here.
    pub fn ends_at(&self) -> Timestamp {
        self.content.as_ref().map_or(Timestamp::default(), |content| content.ends_at)
    }

    pub fn encoded(mut self) -> Self {
        self.encoded = true;
        self
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        if let (Some(leaks), Some(content)) = (&self.leaks, &self.content)
            && !content.bytes.is_empty()
        {
            leaks.set(leaks.get() + 1);
        }
    }
}

pub fn slice(bytes: &Bytes, range: Range<u64>) -> Bytes {
    let (start, end) = (range.start as usize, range.end as usize);
    bytes.get(start..end).unwrap_or_else(|| panic!("{range:?} of {} bytes", bytes.len())).into()
}

/// How long somebody reads a body that does not come to its end.
const READS_FOR: Span = Span::from_secs(600);

/// The whole of a body, once its end is here.
///
/// # Errors
/// What came, where it broke off.
pub async fn read(clock: &Rc<Clock>, body: Body) -> Result<Bytes, Bytes> {
    if let Some(pipe) = &body.pipe {
        // Whoever reads does so for so long.
        pipe.signal.raised(clock.sleep(READS_FOR)).await;
        let bytes = pipe.bytes.borrow().as_slice().into();
        return if pipe.ended.get() == Some(true) { Ok(bytes) } else { Err(bytes) };
    }
    let Some(content) = body.take() else { return Ok(Rc::new([])) };
    if content.ends_at > clock.now() {
        clock.until(content.ends_at).await;
    }
    if content.breaks { Err(content.bytes) } else { Ok(content.bytes) }
}
