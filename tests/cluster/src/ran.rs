//! A short command that was run to its end.

use std::ffi::OsStr;
use std::io::Write;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

/// Longer than any wait that a test asks kubectl or helm for: past it the command is killed.
const LIMIT_SECONDS: &str = "600";

/// What a command printed and how it ended.
#[derive(Debug)]
pub struct Ran {
    /// How it ended.
    pub status: ExitStatus,
    /// All of its standard output.
    pub stdout: String,
    /// All of its standard error.
    pub stderr: String,
    command: String,
}

impl Ran {
    /// Runs a program with `input` on its standard input.
    ///
    /// `home` is its home directory: it finds nobody's configuration, and leaves its caches there.
    pub(crate) fn run(program: &Path, args: &[impl AsRef<OsStr>], input: &str, home: &Path) -> Self {
        let mut command = Command::new("timeout");
        command
            .args(["--foreground", "--signal=KILL", LIMIT_SECONDS])
            .arg(program)
            .args(args)
            .env("HOME", home)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy();
            if ["KUBE", "HELM_", "XDG_"].iter().any(|prefix| name.starts_with(prefix)) {
                command.env_remove(&*name);
            }
        }
        let described = format!("{command:?}");
        let mut child = command.spawn().unwrap_or_else(|error| panic!("could not run {described}: {error}"));
        let mut stdin = child.stdin.take().unwrap();
        let output = std::thread::scope(|scope| {
            // A program that does not read its input closes the pipe: that is its right.
            scope.spawn(move || drop(stdin.write_all(input.as_bytes())));
            child.wait_with_output().unwrap()
        });
        Self {
            status: output.status,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            command: described,
        }
    }

    /// Its standard output; panics unless it succeeded.
    #[must_use]
    pub fn ok(self) -> String {
        assert!(self.status.success(), "{}\n{self}", self.status);
        self.stdout
    }

    /// Its standard error; panics unless it failed.
    #[must_use]
    pub fn refused(self) -> String {
        assert!(!self.status.success(), "it should have failed\n{self}");
        self.stderr
    }
}

impl std::fmt::Display for Ran {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "command: {}\n--- stdout ---\n{}\n--- stderr ---\n{}",
            self.command, self.stdout, self.stderr
        )
    }
}
