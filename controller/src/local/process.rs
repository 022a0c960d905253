//! One worker process: started in a process group of its own, listened to, told to stop, and reaped.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use reelpool_core::WorkerId;
use reelpool_protocol::{Profile, WorkerEvent};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::mpsc;

use super::error::UpError;

/// The longest event that is read, in bytes: one with twelve renditions has some four thousand.
const MAX_EVENT: u64 = 256 * 1024;
/// How long events of an ended process are waited for: something else may hold its end of the pipe.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// How much of a log's end is searched for the error that ended its worker.
const LOG_TAIL: u64 = 16 * 1024;

/// How workers are started.
#[derive(Debug, Clone)]
pub struct Program {
    /// The executable.
    pub path: PathBuf,
    /// The arguments that all workers share.
    pub arguments: Vec<OsString>,
    /// The token that drain requests must show.
    pub token: String,
    /// The folder of the workers' logs.
    pub logs: PathBuf,
}

impl Program {
    /// The log of this worker.
    #[must_use]
    pub fn log(&self, id: &WorkerId) -> PathBuf {
        self.logs.join(format!("{id}.log"))
    }
}

/// News of a worker process.
#[derive(Debug)]
pub enum News {
    /// It told an event.
    Said(WorkerEvent),
    /// It has ended and is reaped; nothing more will be heard of it.
    Ended(Ended),
}

/// How a worker process ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// Its exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// The last line of its log that begins with `error:`, without that word.
    pub error: Option<String>,
    /// Its log.
    pub log: PathBuf,
}

impl Ended {
    /// In words, such as `ended with exit code 1`.
    #[must_use]
    pub fn how(&self) -> String {
        match (self.code, self.signal) {
            (Some(code), _) => format!("ended with exit code {code}"),
            (None, Some(signal)) => format!("was ended by signal {signal}"),
            (None, None) => "ended".to_owned(),
        }
    }
}

/// A running worker process. Dropping it kills the worker.
#[derive(Debug)]
pub struct Process {
    commands: mpsc::UnboundedSender<Signal>,
}

impl Process {
    /// Sends the process a signal, unless it has ended: it is never sent to another one of the same id.
    pub fn signal(&self, signal: Signal) {
        let _ = self.commands.send(signal);
    }
}

/// Starts a worker; what is heard of it goes to `news`.
pub fn start(program: &Program, id: &WorkerId, news: mpsc::Sender<(WorkerId, News)>) -> io::Result<Process> {
    let log = program.log(id);
    let stderr = File::options().create(true).append(true).open(&log)?;
    let mut child = Command::new(&program.path)
        .args(&program.arguments)
        .args([OsStr::new("--worker-id"), OsStr::new(id.as_str())])
        .env("REELPOOL_DRAIN_TOKEN", &program.token)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(stderr)
        // Ctrl-C reaches the whole foreground group: the workers are told by us, not by the terminal.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()?;
    let stdout = child.stdout.take();
    let (commands, orders) = mpsc::unbounded_channel();
    tokio::spawn(supervise(child, stdout, orders, id.clone(), log, news));
    Ok(Process { commands })
}

/// Asks the worker's program whether it finds all it needs: ffmpeg, the queue, masters, and a place to write to.
pub async fn check(program: &Program) -> Result<(), UpError> {
    let mut command = Command::new(&program.path);
    command.args(&program.arguments).arg("--check").stdin(Stdio::null()).process_group(0).kill_on_drop(true);
    let answer = command.output().await;
    let answer = answer.map_err(|source| UpError::WorkerProgram { path: program.path.clone(), source })?;
    if answer.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&answer.stderr);
    Err(match error_in(&said) {
        Some(error) => UpError::WorkerSaid(error),
        None => UpError::WorkerUnfit { path: program.path.clone(), how: answer.status.to_string() },
    })
}

/// Has the worker's program read what `--profile` says: profiles are the workers' business, but jobs are told apart by
/// them here too.
pub async fn profile(program: &Path, said: &str) -> Result<Profile, UpError> {
    let mut command = Command::new(program);
    command.args(["profile", "--", said]).stdin(Stdio::null()).process_group(0).kill_on_drop(true);
    let answer = command.output().await;
    let answer = answer.map_err(|source| UpError::WorkerProgram { path: program.to_path_buf(), source })?;
    let unfit = |how: String| UpError::WorkerUnfit { path: program.to_path_buf(), how };
    if !answer.status.success() {
        let said = error_in(&String::from_utf8_lossy(&answer.stderr));
        return Err(said.map_or_else(|| unfit(answer.status.to_string()), UpError::WorkerSaid));
    }
    Profile::from_json(&String::from_utf8_lossy(&answer.stdout)).map_err(|error| unfit(error.to_string()))
}

async fn supervise(
    mut child: Child,
    stdout: Option<ChildStdout>,
    mut orders: mpsc::UnboundedReceiver<Signal>,
    id: WorkerId,
    log: PathBuf,
    news: mpsc::Sender<(WorkerId, News)>,
) {
    let mut listening = tokio::spawn(listen(stdout, id.clone(), news.clone()));
    let status = loop {
        tokio::select! {
            status = child.wait() => break status.ok(),
            order = orders.recv() => {
                let Some(signal) = order else {
                    // Nobody wants this worker any more.
                    let _ = child.start_kill();
                    break child.wait().await.ok();
                };
                send(&child, signal);
            }
        }
    };
    if tokio::time::timeout(LAST_WORDS, &mut listening).await.is_err() {
        listening.abort();
    }
    let ended = Ended {
        code: status.and_then(|status: ExitStatus| status.code()),
        signal: status.and_then(|status| status.signal()),
        error: last_error(&log),
        log,
    };
    let _ = news.send((id, News::Ended(ended))).await;
}

fn send(child: &Child, signal: Signal) {
    // Tokio forgets the id when it reaps, which only `wait` above does: the id is this child's.
    let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    if let Some(pid) = pid
        && let Err(error) = kill_process(pid, signal)
    {
        tracing::debug!(%error, "a worker could not be signalled");
    }
}

async fn listen(stdout: Option<ChildStdout>, id: WorkerId, news: mpsc::Sender<(WorkerId, News)>) {
    let Some(stdout) = stdout else { return };
    let mut reader = BufReader::new(stdout);
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut reader).take(MAX_EVENT).read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        match serde_json::from_slice(&line) {
            Ok(event) => {
                if news.send((id.clone(), News::Said(event))).await.is_err() {
                    return;
                }
            }
            Err(error) => tracing::debug!(worker = %id, %error, "a line of a worker is no event"),
        }
    }
}

/// The last error that the log tells.
fn last_error(log: &Path) -> Option<String> {
    let mut file = File::open(log).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LOG_TAIL))).ok()?;
    let mut tail = Vec::new();
    file.take(LOG_TAIL).read_to_end(&mut tail).ok()?;
    error_in(&String::from_utf8_lossy(&tail))
}

/// The last line that begins with `error:`, without that word.
fn error_in(text: &str) -> Option<String> {
    text.lines().rev().find_map(|line| line.strip_prefix("error:")).map(|error| error.trim().to_owned())
}

/// Removes the oldest logs, so that `keep` are left.
pub fn prune_logs(folder: &Path, keep: usize) -> io::Result<()> {
    let mut logs = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|end| end == "log")
            && let Ok(written) = fs::metadata(&path).and_then(|about| about.modified())
        {
            logs.push((written, path));
        }
    }
    logs.sort();
    for (_, path) in logs.iter().take(logs.len().saturating_sub(keep)) {
        fs::remove_file(path)?;
    }
    Ok(())
}

#[cfg(test)]
#[path = "process_tests.rs"]
mod tests;
