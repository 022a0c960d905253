//! A program that runs beside the test, and dies with it.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError, mpsc};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How much of a log a panic shows.
const TAIL_LINES: usize = 30;

/// A running program whose output goes to a log file. Dropping it kills it; so does the end of the test process,
/// even by SIGKILL.
#[derive(Debug)]
pub struct Daemon {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Daemon {
    /// Starts `command`; what it prints is added to the file `log`.
    #[must_use]
    pub fn spawn(name: &str, command: &Command, log: PathBuf) -> Self {
        let output = File::options().create(true).append(true).open(&log);
        let output = output.unwrap_or_else(|error| panic!("{}: {error}", log.display()));
        let mut wrapped = Command::new("setpriv");
        wrapped.args(["--pdeathsig", "KILL", "--"]).arg(command.get_program()).args(command.get_args());
        for (key, value) in command.get_envs() {
            match value {
                Some(value) => wrapped.env(key, value),
                None => wrapped.env_remove(key),
            };
        }
        if let Some(folder) = command.get_current_dir() {
            wrapped.current_dir(folder);
        }
        wrapped.stdin(Stdio::null()).stdout(output.try_clone().unwrap()).stderr(output);
        Self { name: name.to_owned(), child: spawn_for_good(wrapped), log }
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal)
            .unwrap_or_else(|error| panic!("could not signal {}: {error}", self.name));
    }

    /// Waits until it ends by itself, and says how; panics with the end of its log past `limit`.
    pub fn wait(&mut self, limit: Duration) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(start.elapsed() < limit, "it still runs after {limit:?}\n{}", self.report());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// SIGKILL; returns when the process is gone and its sockets with it.
    pub fn kill(&mut self) {
        if self.runs() {
            self.child.kill().unwrap();
            self.child.wait().unwrap();
        }
    }

    /// What it is, whether it runs, and the end of its log: for a panic's message.
    pub fn report(&mut self) -> String {
        let state = match self.child.try_wait().unwrap() {
            None => "it runs".to_owned(),
            Some(status) => format!("it ended: {status}"),
        };
        format!("--- {}: {state}; the end of its log ---\n{}", self.name, self.log_tail())
    }

    fn log_tail(&self) -> String {
        let log = String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Starts a program from a thread that lives as long as the test process.
///
/// The kernel sends the signal of `--pdeathsig` when the *thread* that started the program ends, and each test is a
/// thread of its own: a control plane that several tests share must not die with the first of them.
fn spawn_for_good(command: Command) -> Child {
    type Order = (Command, mpsc::Sender<std::io::Result<Child>>);
    static SPAWNER: OnceLock<Mutex<mpsc::Sender<Order>>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (orders, received) = mpsc::channel::<Order>();
        std::thread::spawn(move || {
            for (mut command, reply) in received {
                let _ = reply.send(command.spawn());
            }
        });
        Mutex::new(orders)
    });
    let described = format!("{command:?}");
    let (reply, child) = mpsc::channel();
    spawner.lock().unwrap_or_else(PoisonError::into_inner).send((command, reply)).unwrap();
    child.recv().unwrap().unwrap_or_else(|error| panic!("could not start {described}: {error}"))
}
