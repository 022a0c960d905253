//! Processes under test: their output kept in files, waits that end, and kills that miss nobody.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// How often a condition is looked at while a test waits for it.
const LOOK: Duration = Duration::from_millis(20);
/// How much of an output a panic shows.
const TAIL_LINES: usize = 40;

/// A running program.
#[derive(Debug)]
pub struct Process {
    child: Child,
    command: String,
    out: TempDir,
    /// What every process that belongs to this one names in its command line or stands in.
    mark: Option<PathBuf>,
}

/// A program that has ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit status.
    pub status: ExitStatus,
    /// All of its standard output.
    pub stdout: String,
    /// All of its standard error.
    pub stderr: String,
    /// For how long it was waited for.
    pub waited: Duration,
    command: String,
}

impl Process {
    /// Starts `command` in a process group of its own, as a shell would, with nothing on its standard input.
    ///
    /// `mark` is a path that only this program and its descendants use: [`Self::kill_all`] finds them by it even
    /// when their parent is gone.
    #[must_use]
    pub fn spawn(mut command: Command, mark: Option<&Path>) -> Self {
        let out = TempDir::new().unwrap();
        let described = format!("{command:?}");
        let child = command
            .stdin(Stdio::null())
            .stdout(File::create(out.path().join("stdout")).unwrap())
            .stderr(File::create(out.path().join("stderr")).unwrap())
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("could not start {described}: {error}"));
        Self { child, command: described, out, mark: mark.map(Path::to_path_buf) }
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Its standard output so far.
    #[must_use]
    pub fn stdout(&self) -> String {
        read(&self.out.path().join("stdout"))
    }

    /// Its standard error so far.
    #[must_use]
    pub fn stderr(&self) -> String {
        read(&self.out.path().join("stderr"))
    }

    /// The most memory that the program itself, without its children, has had resident so far, in KiB; `None` when
    /// it has ended.
    #[must_use]
    pub fn peak_memory_kib(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid().as_raw_nonzero())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        line.trim().strip_suffix("kB")?.trim().parse().ok()
    }

    /// Sends a signal to the program itself.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal)
            .unwrap_or_else(|error| panic!("could not signal {}: {error}", self.command));
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits until `condition` holds; panics when the program ends first or `limit` passes.
    pub fn wait_until(&mut self, what: &str, limit: Duration, mut condition: impl FnMut(&Self) -> bool) {
        let start = Instant::now();
        while !condition(self) {
            let met_or_runs = self.runs() || condition(self);
            assert!(met_or_runs, "the program ended before {what}\n{}", self.report());
            assert!(start.elapsed() < limit, "not within {limit:?}: {what}\n{}", self.report());
            std::thread::sleep(LOOK);
        }
    }

    /// Waits until the program ends; past `limit` it is killed and the test fails.
    #[must_use]
    pub fn wait(mut self, limit: Duration) -> Ended {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return Ended {
                    status,
                    stdout: self.stdout(),
                    stderr: self.stderr(),
                    waited: start.elapsed(),
                    command: self.command.clone(),
                };
            }
            assert!(start.elapsed() < limit, "still running after {limit:?}\n{}", self.report());
            std::thread::sleep(LOOK);
        }
    }

    /// SIGKILL for the program and everything that belongs to it, until nobody is left.
    pub fn kill_all(&mut self) {
        let own = self.pid().as_raw_nonzero().get();
        let deadline = Instant::now() + Duration::from_secs(10);
        let mut known = vec![own];
        loop {
            let table = processes();
            // The set grows to a fixed point: children of the known, and all that bear the mark.
            loop {
                let more: Vec<i32> = table
                    .iter()
                    .filter(|p| !known.contains(&p.pid))
                    .filter(|p| {
                        known.contains(&p.parent) || self.mark.as_deref().is_some_and(|mark| p.bears(mark))
                    })
                    .map(|p| p.pid)
                    .collect();
                if more.is_empty() {
                    break;
                }
                known.extend(more);
            }
            let alive: Vec<i32> =
                table.iter().filter(|p| known.contains(&p.pid) && !p.zombie).map(|p| p.pid).collect();
            if alive.is_empty() {
                break;
            }
            for pid in alive {
                if let Some(pid) = Pid::from_raw(pid) {
                    // It may have ended by itself since the look.
                    let _ = kill_process(pid, Signal::KILL);
                }
            }
            assert!(Instant::now() < deadline, "some processes outlive SIGKILL\n{}", self.report());
            std::thread::sleep(Duration::from_millis(2));
        }
        self.child.wait().unwrap();
    }

    fn report(&self) -> String {
        format!(
            "command: {}\n--- stdout, the end ---\n{}\n--- stderr, the end ---\n{}",
            self.command,
            tail(&self.stdout()),
            tail(&self.stderr())
        )
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.runs() {
            self.kill_all();
        }
    }
}

impl Ended {
    /// The exit code; panics when a signal ended the program.
    #[must_use]
    pub fn code(&self) -> i32 {
        self.status.code().unwrap_or_else(|| panic!("no exit code but {}\n{self}", self.status))
    }

    /// Panics unless the exit code is `code`.
    #[must_use]
    pub fn expect_code(self, code: i32) -> Self {
        assert_eq!(self.status.code(), Some(code), "exit status {}\n{self}", self.status);
        self
    }

    /// The one line on standard error that begins with `error:`; panics when there is none or more than one.
    #[must_use]
    pub fn error_line(&self) -> &str {
        let errors: Vec<&str> = self.stderr.lines().filter(|line| line.starts_with("error:")).collect();
        assert_eq!(errors.len(), 1, "there should be exactly one line `error: …`\n{self}");
        errors[0]
    }
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "command: {}\n--- stdout, the end ---\n{}\n--- stderr, the end ---\n{}",
            self.command,
            tail(&self.stdout),
            tail(&self.stderr)
        )
    }
}

/// One line of the process table.
#[derive(Debug)]
pub struct Listed {
    /// Its id.
    pub pid: i32,
    /// Its parent's id.
    pub parent: i32,
    /// Whether it has ended and only waits to be reaped.
    pub zombie: bool,
    /// Its arguments, joined by spaces.
    pub command_line: String,
    folder: Option<PathBuf>,
}

impl Listed {
    /// Whether its program has this name.
    #[must_use]
    pub fn is(&self, program: &str) -> bool {
        let path = self.command_line.split(' ').next().unwrap_or_default();
        path.rsplit('/').next() == Some(program)
    }

    /// Whether the process names `path` in its arguments or stands in it.
    #[must_use]
    pub fn bears(&self, path: &Path) -> bool {
        self.pid != std::process::id().cast_signed()
            && (self.command_line.contains(&*path.to_string_lossy())
                || self.folder.as_deref().is_some_and(|folder| folder.starts_with(path)))
    }
}

/// All processes of this machine that can be looked at.
#[must_use]
pub fn processes() -> Vec<Listed> {
    let entries = std::fs::read_dir("/proc").expect("/proc is there");
    entries.flatten().filter_map(|entry| listed(&entry.path())).collect()
}

fn listed(proc: &Path) -> Option<Listed> {
    let pid = proc.file_name()?.to_str()?.parse().ok()?;
    let stat = std::fs::read_to_string(proc.join("stat")).ok()?;
    // The name stands in parentheses and may contain anything: what follows the last one counts.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    let command_line = std::fs::read(proc.join("cmdline")).ok()?;
    Some(Listed {
        pid,
        parent,
        zombie: state == "Z",
        command_line: String::from_utf8_lossy(&command_line).replace('\0', " "),
        folder: std::fs::read_link(proc.join("cwd")).ok(),
    })
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned()
}

fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}
