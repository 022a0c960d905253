//! The cage that ffmpeg runs in.
//!
//! A child is started as `<own program> sandbox --spec JSON -- ffmpeg …` with an empty environment, no standard
//! input and a process group of its own. Before it becomes ffmpeg it locks itself in: it dies with its parent,
//! gets no new privileges, has limits on memory, processor time and file size, and on Linux may read only the
//! system's libraries and the master, write only the job's folder (Landlock), and open no socket (seccomp).
//!
//! The layers need no privilege. Landlock needs Linux 5.13; an older kernel gives a warning and the other layers.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::{Deserialize, Serialize};

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
mod syscalls;

/// The first argument that makes a program call [`main`].
pub const COMMAND: &str = "sandbox";
/// How a line on standard error starts when a layer could not be set up.
pub(crate) const FAILED: &str = "reelpool sandbox failed: ";
/// How a line on standard error starts when the kernel lacks a layer.
pub(crate) const WARNED: &str = "reelpool sandbox warning: ";
/// The exit code when a layer could not be set up.
const EXIT_FAILED: u8 = 125;

/// How the children are started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sandbox {
    /// Through this program, which must call [`main`] when its first argument is [`COMMAND`]: normally
    /// `std::env::current_exe()`.
    Via(PathBuf),
    /// Directly: empty environment and own process group only. For tests and for people who know their masters.
    Off,
}

/// What a child may do; passed to it as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// The process that starts the child: when it is no longer the parent, the child ends.
    pub parent: u32,
    /// Files and folders that may be read, beside the system's libraries and the program itself.
    pub read: Vec<PathBuf>,
    /// Folders in which files may be made and written.
    pub write: Vec<PathBuf>,
    /// Size of each written file, in bytes.
    pub max_file_bytes: u64,
    /// Processor time, in seconds.
    pub cpu_seconds: u64,
    /// Writable memory, in bytes.
    pub memory_bytes: u64,
}

/// The hidden `sandbox` subcommand: `args` are the arguments after [`COMMAND`]. Returns only when it failed.
///
/// Call it before anything else in `main`, while the process has one thread.
#[must_use]
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let detail = match parse(args) {
        Ok((spec, program, rest)) => enter_and_exec(&spec, &program, &rest),
        Err(detail) => detail,
    };
    eprintln!("{FAILED}{detail}");
    ExitCode::from(EXIT_FAILED)
}

fn parse(args: impl IntoIterator<Item = OsString>) -> Result<(Spec, PathBuf, Vec<OsString>), String> {
    let mut args = args.into_iter();
    let usage = || format!("usage: {COMMAND} --spec JSON -- PROGRAM ARGUMENTS");
    if args.next().as_deref() != Some("--spec".as_ref()) {
        return Err(usage());
    }
    let spec = args.next().ok_or_else(usage)?;
    let spec = spec.to_str().ok_or("the spec is not UTF-8")?;
    let spec = serde_json::from_str(spec).map_err(|error| format!("the spec cannot be read: {error}"))?;
    if args.next().as_deref() != Some("--".as_ref()) {
        return Err(usage());
    }
    let program = args.next().ok_or_else(usage)?;
    Ok((spec, program.into(), args.collect()))
}

/// Locks this process in and replaces it by `program`. Returns only when that failed, with the reason.
fn enter_and_exec(spec: &Spec, program: &Path, args: &[OsString]) -> String {
    use std::os::unix::process::CommandExt as _;
    if let Err(detail) = limit(spec) {
        return detail;
    }
    #[cfg(target_os = "linux")]
    if let Err(detail) = linux::lock_in(spec, program) {
        return detail;
    }
    let error = std::process::Command::new(program).args(args).env_clear().exec();
    format!("cannot start {}: {error}", program.display())
}

/// The resource limits, which every Unix has.
fn limit(spec: &Spec) -> Result<(), String> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limits = [
        (Resource::Core, 0, "core files"),
        (Resource::Nofile, 256, "open files"),
        (Resource::Fsize, spec.max_file_bytes, "file size"),
        (Resource::Cpu, spec.cpu_seconds, "processor time"),
        (Resource::Data, spec.memory_bytes, "memory"),
        // Each thread's stack counts as memory, used or not: a quarter of what is usual is plenty.
        (Resource::Stack, 2 << 20, "stack"),
    ];
    for (resource, value, name) in limits {
        // A limit that the machine has set lower already stays.
        let value = getrlimit(resource).maximum.map_or(value, |hard| hard.min(value));
        let limit = Rlimit { current: Some(value), maximum: Some(value) };
        setrlimit(resource, limit).map_err(|error| format!("cannot limit {name} to {value}: {error}"))?;
    }
    Ok(())
}
