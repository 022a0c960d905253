//! What the whole-system tests stand on: the programs as processes, an SQS and S3 emulator, clips, and ways to
//! look at the results with tools that are not ours.
//!
//! Everything here panics with a message that says what to do: it is only used by tests.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "tests"
)]

pub mod binaries;
pub mod browser;
pub mod clips;
pub mod crew;
pub mod emulator;
pub mod fleet_log;
pub mod machine;
pub mod media_server;
pub mod probe;
pub mod process;
pub mod results;
pub mod worker;

pub use crew::Crew;
pub use emulator::Emulator;
pub use machine::Machine;
pub use process::{Ended, Process};

use std::path::PathBuf;

/// The root of the repository.
#[must_use]
pub fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate is in the repository").to_path_buf()
}
