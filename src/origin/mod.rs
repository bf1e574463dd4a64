//! TODO by its room's builder
