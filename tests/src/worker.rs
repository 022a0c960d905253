//! One worker by itself: its command line and what it tells on standard output.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use reelpool_protocol::WorkerEvent;
use reelpool_protocol::event::Outcome;

use crate::binaries;
use crate::process::Process;

/// `reelpool-worker run` with all but its queue and its places.
#[must_use]
pub fn command(scratch: &Path, ladder: &str) -> Command {
    command_of("alone", scratch, ladder)
}

/// The same for a worker of this name.
#[must_use]
pub fn command_of(name: &str, scratch: &Path, ladder: &str) -> Command {
    let mut command = Command::new(binaries::reelpool_worker());
    command.args(["run", "--events", "stdout", "--listen", "127.0.0.1:0", "--ladder", ladder]);
    command.args(["--worker-id", name, "--scratch"]).arg(scratch);
    command
}

/// What it has told so far.
#[must_use]
pub fn events(worker: &Process) -> Vec<WorkerEvent> {
    // The last line may be half written.
    let text = worker.stdout();
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    whole.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// For how long its first job was in hand, once that has ended; panics when it did not end well.
#[must_use]
pub fn held_for(worker: &Process) -> Option<Duration> {
    events(worker).into_iter().find_map(|event| match event {
        WorkerEvent::JobEnded { outcome: Outcome::Committed { .. }, held_for_ms, .. } => {
            Some(Duration::from_millis(held_for_ms))
        }
        WorkerEvent::JobEnded { outcome, .. } => panic!("{outcome:?}\n{}", worker.stderr()),
        WorkerEvent::Listening { .. } => None,
    })
}
