//! The harness itself: what the cluster tests stand on does what it says, and leaves nothing behind.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod control_plane;
mod crowd;
mod gone;
mod pods;
