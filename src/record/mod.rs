//! One [`Event`] a request; everything else is a fold of events.
