//! Which header fields are for one hop only, and which a client may not say.
