//! One child process: started in the sandbox, read to its end, and never left behind.

use std::ffi::OsString;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};
use tokio::time::{Instant, timeout_at};

use crate::cgroup;
use crate::engine::Engine;
use crate::error::MediaError;
use crate::log::{Finding, Lines, Log};
use crate::sandbox::{self, Sandbox, Spec};
use crate::spawner;
use crate::transcode::Job;

/// How long a child may take to end after it was asked to.
const TIME_TO_END: Duration = Duration::from_secs(5);

/// What a container's memory limit leaves to its other processes, our own among them: a sixteenth, and at least
/// this.
const OTHERS_MEMORY: u64 = 64 << 20;

/// How much is read from a pipe at a time.
pub(crate) const PIPE_BYTES: usize = 8192;

/// What a child may do in the folder it works in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Nothing.
    None,
    /// Read what lies there.
    Read,
    /// Make files, and read them.
    Write,
}

/// What is to be run.
pub(crate) struct Run<'a> {
    /// `ffmpeg` or `ffprobe`.
    pub name: &'static str,
    /// Its path.
    pub program: &'a Path,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// The folder it works in.
    pub folder: &'a Path,
    /// What it may do there.
    pub access: Access,
    /// The one file that it may read elsewhere.
    pub input: &'a Path,
    /// Size of each written file, in bytes.
    pub max_file_bytes: u64,
    /// Its own memory, in bytes; where the container has less, that.
    pub memory_bytes: u64,
    /// Its wall time; its processor time follows from it and `threads`.
    pub deadline: Duration,
    /// Threads that may run at the same time.
    pub threads: u32,
}

/// A child that runs. Dropping it kills its whole process group.
pub(crate) struct Running {
    name: &'static str,
    child: Child,
    group: Option<Pid>,
    /// The container's count of kills when it began.
    kills: Option<cgroup::Kills>,
    /// Its standard output.
    pub stdout: ChildStdout,
    /// Its standard error.
    pub stderr: ChildStderr,
}

impl<'a> Run<'a> {
    /// An ffmpeg that decodes what the job decodes and makes no files, until a moment.
    pub fn measuring(
        engine: &'a Engine,
        job: &Job<'a>,
        (args, access): (Vec<OsString>, Access),
        until: Instant,
    ) -> Self {
        Self {
            name: "ffmpeg",
            program: &engine.tools.ffmpeg,
            args,
            folder: job.out_dir,
            access,
            input: job.input,
            max_file_bytes: 0,
            memory_bytes: engine.limits.memory.unwrap_or_else(|| job.plan.memory_bytes(job.source)),
            deadline: until.saturating_duration_since(Instant::now()),
            threads: job.plan.threads,
        }
    }

    /// Starts it.
    pub async fn start(self, sandbox: &Sandbox) -> Result<Running, MediaError> {
        let mut command = self.command(sandbox)?;
        command.env_clear().current_dir(self.folder).process_group(0).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let kills = cgroup::Kills::now();
        let mut child = spawner::spawn(command).await.map_err(|error| match sandbox {
            Sandbox::Via(path) => {
                MediaError::SandboxFailed { detail: format!("{}: {error}", path.display()) }
            }
            Sandbox::Off => MediaError::io("start", self.program, error),
        })?;
        let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        match (child.stdout.take(), child.stderr.take()) {
            (Some(stdout), Some(stderr)) => {
                Ok(Running { name: self.name, child, group, kills, stdout, stderr })
            }
            _ => Err(MediaError::SandboxFailed { detail: "the child has no pipes".into() }),
        }
    }

    fn command(&self, sandbox: &Sandbox) -> Result<Command, MediaError> {
        let Sandbox::Via(through) = sandbox else {
            let mut command = Command::new(self.program);
            command.args(&self.args);
            return Ok(command);
        };
        let folder = self.folder.to_owned();
        let (mut read, mut write) = (vec![self.input.to_owned()], Vec::new());
        match self.access {
            Access::None => {}
            Access::Read => read.push(folder),
            Access::Write => write.push(folder),
        }
        let spec = Spec {
            parent: std::process::id(),
            read,
            write,
            max_file_bytes: self.max_file_bytes,
            cpu_seconds: self
                .deadline
                .as_secs()
                .saturating_add(10)
                .saturating_mul(u64::from(self.threads) + 2),
            memory_bytes: self.memory_bytes.min(room().unwrap_or(u64::MAX)),
        };
        let spec = serde_json::to_string(&spec).map_err(|error| MediaError::SandboxFailed {
            detail: format!("the spec cannot be written: {error}"),
        })?;
        let mut command = Command::new(through);
        command.args([sandbox::COMMAND, "--spec", &spec, "--"]).arg(self.program).args(&self.args);
        Ok(command)
    }

    /// Runs it to its end, handing on each piece of its standard output. For children that write no files.
    pub async fn finish(
        self,
        sandbox: &Sandbox,
        what: &'static str,
        mut piece: impl FnMut(&[u8]),
    ) -> Result<Log, MediaError> {
        let (name, after) = (self.name, self.deadline);
        let end = Instant::now() + after;
        let mut running = self.start(sandbox).await?;
        let mut log = Log::default();
        let read = async {
            let mut lines = Lines::default();
            let (mut out, mut err) = (vec![0; PIPE_BYTES], vec![0; PIPE_BYTES]);
            let (mut out_open, mut err_open) = (true, true);
            while out_open || err_open {
                tokio::select! {
                    n = some(&mut running.stdout, &mut out), if out_open => match n {
                        0 => out_open = false,
                        n => piece(&out[..n]),
                    },
                    n = some(&mut running.stderr, &mut err), if err_open => match n {
                        0 => err_open = false,
                        n => lines.push(&err[..n], |line| log.line(line)),
                    },
                }
            }
            lines.finish(|line| log.line(line));
        };
        // A child may close its pipes and still not end.
        let read = timeout_at(end, read).await;
        let (Ok(()), Ok(status)) = (read, timeout_at(end, running.wait()).await) else {
            running.kill();
            return Err(MediaError::Deadline { what, after, tail: log.tail() });
        };
        log.after(name, status?)
    }
}

/// How much of the container's memory one child may have, in bytes; `None` without a limit. One that comes to it is
/// told so and says it; one that comes to the container's limit is killed, and the worker perhaps with it.
pub(crate) fn room() -> Option<u64> {
    cgroup::memory_limit().map(|limit| limit.saturating_sub(OTHERS_MEMORY.max(limit / 16)).max(limit / 2))
}

/// How a child ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ended {
    status: ExitStatus,
    /// The kernel killed it because the container came to its memory limit.
    out_of_memory: bool,
}

impl Ended {
    /// The signal that ended it.
    pub fn signal(self) -> Option<i32> {
        std::os::unix::process::ExitStatusExt::signal(&self.status)
    }
}

/// Reads some bytes; 0 at the end and on errors, which for a pipe are the end too.
pub(crate) async fn some(pipe: &mut (impl AsyncRead + Unpin), buffer: &mut [u8]) -> usize {
    pipe.read(buffer).await.unwrap_or(0)
}

impl Running {
    /// Waits for its end.
    pub async fn wait(&mut self) -> Result<Ended, MediaError> {
        let status = self.child.wait().await;
        self.group = None;
        let status = status.map_err(|error| MediaError::io("wait for", Path::new(self.name), error))?;
        let mut ended = Ended { status, out_of_memory: false };
        if ended.signal() == Some(Signal::KILL.as_raw()) {
            let counted = self.kills.zip(cgroup::Kills::now());
            ended.out_of_memory = counted.is_some_and(|(before, now)| now.rose_since(before));
        }
        Ok(ended)
    }

    /// Kills it at once.
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
    }

    /// Asks it to end, and kills it if it does not.
    pub async fn stop(&mut self) {
        self.signal(Signal::TERM);
        if tokio::time::timeout(TIME_TO_END, self.child.wait()).await.is_err() {
            self.kill();
            let _ = self.child.wait().await;
        }
        self.group = None;
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.group {
            // It may have ended by itself.
            let _ = kill_process_group(group, signal);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Log {
    /// The log of a child that ended well, or the error that its end means.
    pub fn after(self, program: &'static str, ended: Ended) -> Result<Self, MediaError> {
        if let Some(detail) = &self.sandbox_warning {
            static ONCE: std::sync::Once = std::sync::Once::new();
            ONCE.call_once(|| tracing::warn!("sandbox: {detail}"));
        }
        if let Some(detail) = self.sandbox_failed {
            return Err(MediaError::SandboxFailed { detail });
        }
        let tail = self.tail();
        // A full disk first: ffmpeg may go on, or fail in another way, after it.
        if self.has(Finding::NoSpace) {
            return Err(MediaError::DiskFull { tail });
        }
        if ended.out_of_memory {
            return Err(MediaError::ResourceLimit { detail: "memory of the container".into(), tail });
        }
        if let Some(signal) = ended.signal() {
            return Err(by_signal(program, signal, tail));
        }
        if ended.status.success() {
            return Ok(self);
        }
        if self.has(Finding::FileTooLarge) {
            return Err(MediaError::ResourceLimit { detail: "size of one output file".into(), tail });
        }
        // Encoders that lack memory for their threads do not say so; the ones that dislike their parameters do, and
        // then this is not the first complaint.
        let not_opened =
            self.first_error.as_ref().is_some_and(|line| line.contains("Error while opening encoder"));
        if self.has(Finding::NoMemory) || not_opened {
            return Err(MediaError::ResourceLimit { detail: "memory".into(), tail });
        }
        if self.has(Finding::OtherFormat) {
            let detail = "its first bytes and the rest are of different containers".into();
            return Err(MediaError::UnsupportedFormat { detail });
        }
        if let Some((width, height, max)) = self.frame_size {
            return Err(MediaError::TooManyPixels { width, height, max });
        }
        let reason =
            self.first_error.unwrap_or_else(|| tail.lines().last().unwrap_or("it said nothing").to_owned());
        Err(MediaError::FfmpegFailed { program, code: ended.status.code().unwrap_or(-1), reason, tail })
    }
}

/// What it means that a child was ended by a signal that we did not send.
fn by_signal(program: &'static str, signal: i32, tail: String) -> MediaError {
    let is = |known: Signal| known.as_raw() == signal;
    if is(Signal::XCPU) {
        MediaError::ResourceLimit { detail: "processor time".into(), tail }
    } else if is(Signal::XFSZ) {
        MediaError::ResourceLimit { detail: "size of one output file".into(), tail }
    } else if [Signal::KILL, Signal::TERM, Signal::INT, Signal::HUP].into_iter().any(is) {
        MediaError::Killed { program, signal, tail }
    } else {
        MediaError::Crashed { program, signal, tail }
    }
}
