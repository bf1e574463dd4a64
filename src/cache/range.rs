//! Which part of a stored response a client gets (RFC 9110, section 14).

/// First and last byte, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByteRange {
    /// Offset of the first byte.
    pub first: u64,
    /// Offset of the last byte.
    pub last: u64,
}

impl ByteRange {
    /// How many bytes that is.
    pub const fn bytes(self) -> u64 {
        self.last.saturating_sub(self.first).saturating_add(1)
    }
}

/// How a stored response answers a request, its preconditions and its Range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum How {
    /// As it is.
    Full,
    /// 304: the client has it.
    NotModified,
    /// 206 with one part.
    Partial(ByteRange),
    /// 206 with several parts (multipart/byteranges).
    Multipart(Vec<ByteRange>),
    /// 416: the range lies outside.
    Unsatisfiable,
}
