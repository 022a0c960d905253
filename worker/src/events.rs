//! Tells the parent process what happened, one JSON document a line on standard output.

use std::io::Write;

use reelpool_protocol::WorkerEvent;

/// Where events go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Events {
    /// Nowhere; the log tells the same.
    #[default]
    None,
    /// Standard output.
    Stdout,
}

impl Events {
    /// Tells one event. A parent that no longer listens is no reason to stop.
    pub fn tell(self, event: &WorkerEvent) {
        if self == Self::None {
            return;
        }
        let Ok(mut line) = serde_json::to_vec(event) else {
            return;
        };
        line.push(b'\n');
        let mut out = std::io::stdout().lock();
        let _ = out.write_all(&line).and_then(|()| out.flush());
    }
}
