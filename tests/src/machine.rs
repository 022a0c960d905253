//! One machine: a data directory, masters in it, and `reelpool up` over it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use reelpool_spool::{Queue, QueueOptions};
use tempfile::TempDir;

use crate::binaries;
use crate::process::{Ended, Process, processes};
use crate::results;

/// A data directory of one test.
#[derive(Debug)]
pub struct Machine {
    root: TempDir,
}

impl Default for Machine {
    fn default() -> Self {
        Self::new()
    }
}

impl Machine {
    /// An empty data directory with an empty masters folder.
    #[must_use]
    pub fn new() -> Self {
        let machine = Self { root: TempDir::new().unwrap() };
        std::fs::create_dir_all(machine.masters()).unwrap();
        machine
    }

    /// Where everything of this machine is kept: it goes when the machine does.
    #[must_use]
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// The data directory.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.root.path().join("data")
    }

    /// The masters folder.
    #[must_use]
    pub fn masters(&self) -> PathBuf {
        self.data().join("masters")
    }

    /// The output folder.
    #[must_use]
    pub fn output(&self) -> PathBuf {
        self.data().join("renditions")
    }

    /// Puts a copy of `clip` into the masters folder as `name`, as an upload does: it appears whole.
    pub fn add(&self, clip: &Path, name: &str) {
        let part = self.masters().join(format!("{name}.part"));
        std::fs::copy(clip, &part).unwrap_or_else(|error| panic!("{}: {error}", clip.display()));
        std::fs::rename(&part, self.masters().join(name)).unwrap();
    }

    /// Puts a master there that has a ladder of its own, such as `180p,90p`.
    pub fn add_with_ladder(&self, clip: &Path, name: &str, ladder: &str) {
        std::fs::write(self.masters().join(format!("{name}.ladder")), ladder).unwrap();
        self.add(clip, name);
    }

    /// `reelpool up` over this data directory: quick to encode and to scale to zero unless `arguments` say otherwise.
    #[must_use]
    pub fn up_command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binaries::reelpool());
        command.arg("up").arg("--data").arg(self.data());
        if !arguments.iter().any(|argument| argument.starts_with("--worker=")) {
            command.arg("--worker").arg(binaries::reelpool_worker());
        }
        for (option, value) in [("--preset", "ultrafast"), ("--zero-after", "1")] {
            if !arguments.iter().any(|argument| argument.starts_with(option)) {
                command.args([option, value]);
            }
        }
        command.args(arguments);
        command
    }

    /// Starts it.
    #[must_use]
    pub fn up(&self, arguments: &[&str]) -> Process {
        Process::spawn(self.up_command(arguments), Some(self.root.path()))
    }

    /// Runs it with `--exit-when-done` until it ends.
    #[must_use]
    pub fn up_until_done(&self, arguments: &[&str], limit: Duration) -> Ended {
        let arguments = [&["--exit-when-done"], arguments].concat();
        self.up(&arguments).wait(limit)
    }

    /// The embedded queue. Nothing is received through it: it is for looking.
    #[must_use]
    pub fn queue(&self) -> Queue {
        Queue::open_existing(&self.data().join("queue"), QueueOptions::default()).unwrap()
    }

    /// Whether any job is being transcoded right now, by the process table.
    #[must_use]
    pub fn transcodes(&self) -> bool {
        processes().iter().any(|process| process.is("ffmpeg") && process.bears(self.root.path()))
    }

    /// Panics unless nothing is waiting, held, delayed or dead, and no process, scratch or temporary file is left.
    pub fn assert_idle(&self) {
        let counts = self.queue().counts().unwrap();
        let total = counts.waiting + counts.in_flight + counts.delayed + counts.dead;
        assert_eq!(
            total,
            0,
            "the queue should be empty: {counts:?}, dead: {:?}",
            self.queue().dead_letters(10)
        );
        self.assert_tidy();
    }

    /// Panics unless no process, scratch or temporary file is left, and SQLite is sound.
    pub fn assert_tidy(&self) {
        assert_eq!(self.queue().integrity_check().unwrap(), Vec::<String>::new());
        let scratch = results::files(&self.data().join("scratch"));
        assert!(scratch.is_empty(), "scratch should be empty: {scratch:?}");
        let left: Vec<String> = processes()
            .into_iter()
            .filter(|process| process.bears(self.root.path()) && !process.zombie)
            .map(|process| process.command_line)
            .collect();
        assert!(left.is_empty(), "processes are left: {left:?}");
    }
}
