//! What the workers of `reelpool up` say in their logs of who told them to stop, and with what in hand.
//!
//! `reelpool up` starts a small script that gives each worker a log and an endpoint of its own and becomes the worker:
//! its process id, and so every signal, is the worker's.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use k8s_openapi::jiff::Timestamp;
use reelpool_tests::binaries;

/// What begins a job in a worker's log.
const RECEIVED: &str = " received id=";
/// What ends a job in a worker's log.
const ENDS: [&str; 7] = [
    "committed",
    "was done already",
    "it will be tried again",
    "given up for good",
    "handed back",
    "the hold was lost",
    "another worker has the job",
];
/// A signal is sent a little before the log tells of it.
const CLOCK: Duration = Duration::from_millis(200);

/// The logs of all workers of one run.
#[derive(Debug)]
pub struct Witness {
    folder: PathBuf,
}

impl Witness {
    /// A witness that writes into `folder`.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        std::fs::create_dir_all(folder).unwrap();
        Self { folder: folder.to_path_buf() }
    }

    /// The program that `reelpool up` is to take for the worker. Each of its workers has an address of its own for
    /// `endpoint`, if there is one: `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn program(&self, endpoint: Option<&str>) -> PathBuf {
        let program = self.folder.join("worker.sh");
        let worker = binaries::reelpool_worker();
        let (worker, folder) = (worker.display(), self.folder.display());
        let shared = endpoint.unwrap_or("none");
        let port = shared.rsplit(':').next().unwrap_or_default();
        let script = format!(
            "#!/bin/sh\n\
             case \"$*\" in *--check*) exec {worker} \"$@\" ;; esac\n\
             own=127.$((100 + $$ / 65536 % 100)).$(($$ / 256 % 256)).$(($$ % 256))\n\
             for argument; do\n\
             \x20 shift\n\
             \x20 [ \"$argument\" = {shared} ] && argument=http://$own:{port}\n\
             \x20 set -- \"$@\" \"$argument\"\n\
             done\n\
             exec {worker} \"$@\" 2>> {folder}/$PPID-$$.log\n"
        );
        std::fs::write(&program, script).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        program
    }

    /// The process id of the worker that is known by this address, if it can be one.
    #[must_use]
    pub fn worker_at(address: Ipv4Addr) -> Option<i32> {
        let [_, first, second, third] = address.octets();
        let high = first.checked_sub(100)?;
        Some(i32::from(high) * 65536 + i32::from(second) * 256 + i32::from(third))
    }

    /// How many workers there were.
    #[must_use]
    pub fn workers(&self) -> usize {
        self.logs().len()
    }

    /// How many messages they say that they received: without any the logs are not understood.
    #[must_use]
    pub fn jobs(&self) -> usize {
        let received = |log: &String| log.lines().filter(|line| line.contains(RECEIVED)).count();
        self.logs().values().map(received).sum()
    }

    /// Those that were told to stop with a job in hand, in words; without those of `told`, who were told by somebody
    /// else, and those whose parent had been told to end, or had died, by then (`parents`: when, by process id).
    #[must_use]
    pub fn interrupted(&self, told: &BTreeSet<i32>, parents: &BTreeMap<i32, SystemTime>) -> Vec<String> {
        let mut found = Vec::new();
        for ((parent, worker), log) in self.logs() {
            for (at, job) in stopped_busy(&log) {
                let orphaned = parents.get(&parent).is_some_and(|end| at + CLOCK >= *end);
                if !told.contains(&worker) && !orphaned {
                    found.push(format!(
                        "worker {worker} of {parent} at {}: {job}",
                        Timestamp::try_from(at).unwrap()
                    ));
                }
            }
        }
        found
    }

    /// All logs, by the process ids of `reelpool up` and of the worker.
    fn logs(&self) -> BTreeMap<(i32, i32), String> {
        let mut logs = BTreeMap::new();
        for entry in std::fs::read_dir(&self.folder).unwrap().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let Some((parent, worker)) = name.strip_suffix(".log").and_then(|name| name.split_once('-'))
            else {
                continue;
            };
            let log = std::fs::read(entry.path()).unwrap();
            let log = String::from_utf8_lossy(&log).into_owned();
            logs.insert((parent.parse().unwrap(), worker.parse().unwrap()), log);
        }
        logs
    }
}

/// When this worker was told to stop with a job in hand, and which line had told of the job.
fn stopped_busy(log: &str) -> Vec<(SystemTime, String)> {
    let (mut job, mut found) = (None, Vec::new());
    for line in log.lines() {
        if line.contains(RECEIVED) {
            job = Some(line.to_owned());
        } else if line.contains("asked to stop again=false") {
            let at = line.split_whitespace().next().and_then(|at| at.parse::<Timestamp>().ok());
            if let (Some(job), Some(at)) = (&job, at) {
                found.push((SystemTime::from(at), job.clone()));
            }
        } else if ENDS.iter().any(|end| line.contains(end)) {
            job = None;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUSY: &str = "2026-11-21T20:00:01.5Z  INFO received id=\"m\" receives=1\n\
                        2026-11-21T20:00:02.5Z  INFO asked to stop again=false\n\
                        2026-11-21T20:00:03.5Z  INFO committed master=\"1.mp4\"\n";
    const IDLE: &str = "2026-11-21T20:00:01.5Z  INFO received id=\"m\" receives=1\n\
                        2026-11-21T20:00:03.5Z  INFO committed master=\"1.mp4\"\n\
                        2026-11-21T20:00:04.5Z  INFO asked to stop again=false\n";

    #[test]
    fn a_worker_is_known_by_its_address() {
        assert_eq!(Witness::worker_at(Ipv4Addr::new(127, 101, 2, 3)), Some(65536 + 2 * 256 + 3));
        assert_eq!(Witness::worker_at(Ipv4Addr::LOCALHOST), None);
    }

    #[test]
    fn a_worker_that_is_told_to_stop_with_a_job_in_hand_is_found_unless_somebody_else_told_it() {
        let folder = tempfile::tempdir().unwrap();
        let witness = Witness::new(folder.path());
        for (name, log) in
            [("10-11.log", BUSY), ("10-12.log", IDLE), ("20-21.log", BUSY), ("10-13.log", BUSY)]
        {
            std::fs::write(folder.path().join(name), log).unwrap();
        }
        let at = |text: &str| SystemTime::from(text.parse::<Timestamp>().unwrap());
        let parents = BTreeMap::from([(10, at("2026-11-21T20:00:03Z")), (20, at("2026-11-21T20:00:02Z"))]);
        let found = witness.interrupted(&BTreeSet::from([13]), &parents);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("worker 11 of 10"), "{found:?}");
        assert_eq!(witness.workers(), 4);
    }
}
