//! The promises, held against the real programs on real video.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod aws;
mod bad_input;
mod ctrl_c;
mod disk_full;
mod duplicates;
mod hostile;
mod kill_nine;
mod killed_midway;
mod killed_upload;
mod lost_hold;
mod lost_worker;
mod memory;
mod one_machine;
mod shared_media;

use std::time::Duration;

/// The longest any run of the programs may take here; far more than it does on a quiet machine.
const LONG: Duration = Duration::from_secs(180);
