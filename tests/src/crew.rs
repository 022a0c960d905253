//! Several workers, real processes, over one queue: without `reelpool` to start and stop them.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use reelpool_protocol::WorkerEvent;
use rustix::process::Signal;
use tempfile::TempDir;

use crate::process::Process;
use crate::worker;

const UP_WITHIN: Duration = Duration::from_secs(60);
const GONE_WITHIN: Duration = Duration::from_secs(60);

/// Running workers; they end when this is dropped.
#[derive(Debug)]
pub struct Crew {
    workers: Vec<Process>,
    // Dropped after them: it is theirs.
    scratch: TempDir,
}

/// What the transcodes of a crew have cost so far, by its workers' metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Spent {
    /// How many transcodes were begun, those that were cut short among them.
    pub transcodes: u32,
    /// How long they took, all together, in seconds.
    pub seconds: f64,
    /// How often a job was left alone because another worker was at it.
    pub left_alone: u32,
}

impl Crew {
    /// Starts `workers` of them and waits until each asks the queue. `set_up` gives each its queue, its places and
    /// whatever else `reelpool-worker run` takes; `ladder` is what they make.
    #[must_use]
    pub fn start(workers: usize, ladder: &str, set_up: impl Fn(&mut Command)) -> Self {
        let scratch = TempDir::new().unwrap();
        let start = |number: usize| {
            let mut command = worker::command_of(&format!("crew-{number}"), scratch.path(), ladder);
            set_up(&mut command);
            Process::spawn(command, Some(scratch.path()))
        };
        let mut crew = Self { workers: (0..workers).map(start).collect(), scratch };
        for worker in &mut crew.workers {
            worker.wait_until("it asks the queue", UP_WITHIN, |worker| {
                address(worker).is_some_and(|address| get(address, "/readyz").starts_with("HTTP/1.1 200"))
            });
        }
        crew
    }

    /// The workers.
    pub fn workers(&mut self) -> &mut [Process] {
        &mut self.workers
    }

    /// Where all of them have their scratch folders.
    #[must_use]
    pub fn scratch(&self) -> &Path {
        self.scratch.path()
    }

    /// What they have spent. Panics when one does not answer.
    #[must_use]
    pub fn spent(&self) -> Spent {
        let mut spent = Spent::default();
        for worker in &self.workers {
            let text = get(address(worker).expect("it listens"), "/metrics");
            let value = |name: &str| -> f64 {
                let line = text.lines().find_map(|line| line.strip_prefix(name));
                line.map_or(0.0, |value| value.trim().parse().unwrap())
            };
            let count = |name: &str| format!("{}", value(name)).parse::<u32>().unwrap();
            spent.transcodes += count(r#"reelpool_worker_stage_seconds_count{stage="transcode"}"#);
            spent.seconds += value(r#"reelpool_worker_stage_seconds_sum{stage="transcode"}"#);
            spent.left_alone += count(r#"reelpool_worker_jobs_total{outcome="claimed_elsewhere"}"#);
        }
        spent
    }

    /// Waits until `done`; panics when a worker ends first or `limit` passes.
    pub fn work_until(&mut self, what: &str, limit: Duration, mut done: impl FnMut() -> bool) {
        let start = std::time::Instant::now();
        while !done() {
            for worker in &mut self.workers {
                assert!(worker.runs(), "a worker ended before {what}: {}", worker.stderr());
            }
            let said = || self.workers.iter().map(Process::stderr).collect::<Vec<_>>().join("\n---\n");
            assert!(start.elapsed() < limit, "not within {limit:?}: {what}\n{}", said());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Asks all to go, and checks that they go well and leave no scratch.
    pub fn dismiss(self) {
        for worker in &self.workers {
            worker.signal(Signal::TERM);
        }
        for worker in self.workers {
            let _ = worker.wait(GONE_WITHIN).expect_code(0);
        }
        let left = crate::results::files(self.scratch.path());
        assert!(left.is_empty(), "scratch should be empty: {left:?}");
    }
}

/// Where a worker's status server listens, once it has said so.
fn address(worker: &Process) -> Option<SocketAddr> {
    worker::events(worker).into_iter().find_map(|event| match event {
        WorkerEvent::Listening { address } => Some(address),
        WorkerEvent::JobEnded { .. } => None,
    })
}

/// The whole answer to a GET, head and body; nothing when there is none.
fn get(address: SocketAddr, path: &str) -> String {
    let mut answer = String::new();
    let asked = TcpStream::connect(address).and_then(|mut stream| {
        stream.set_read_timeout(Some(UP_WITHIN))?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: worker\r\nConnection: close\r\n\r\n")?;
        stream.read_to_string(&mut answer)
    });
    asked.map(|_| answer).unwrap_or_default()
}
