//! The operator under test: the real program, as a process beside a control plane.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use reelpool_tests::{Emulator, binaries};
use rustix::process::Signal;

use crate::control_plane::ControlPlane;
use crate::daemon::Daemon;
use crate::samples::Samples;

/// Who an operator is to the API server that no service account was made for.
pub const OPERATOR_USER: &str = "reelpool-operator";
/// Ten times what a start takes on a busy machine.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// The longest an answer of its HTTP server may take.
const ANSWERS_WITHIN: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(20);

/// How the operator is started.
#[derive(Debug, Clone)]
pub struct OperatorSettings {
    /// Its name among those that want to lead, and of its log.
    pub identity: String,
    /// Whom it speaks to the API server as; `None`: as [`OPERATOR_USER`], who has every right.
    pub kubeconfig: Option<PathBuf>,
    /// Its own namespace: [`install`] must have made it.
    pub namespace: String,
    /// The namespace whose pools it looks after; `None`: all.
    pub watch_namespace: Option<String>,
    /// Where SQS is asked.
    pub endpoint_url: String,
    /// More arguments.
    pub arguments: Vec<String>,
    /// The program; `None`: the one built beside the test.
    pub program: Option<PathBuf>,
}

impl OperatorSettings {
    /// One operator for all namespaces, in the namespace `reelpool-system`, with every right.
    #[must_use]
    pub fn at(endpoint_url: &str) -> Self {
        Self {
            identity: "operator-1".to_owned(),
            kubeconfig: None,
            namespace: "reelpool-system".to_owned(),
            watch_namespace: None,
            endpoint_url: endpoint_url.to_owned(),
            arguments: Vec::new(),
            program: None,
        }
    }
}

/// Applies what the chart would: the resource's definition, the operator's namespace, and an empty Secret for its key.
pub fn install(plane: &ControlPlane, namespace: &str) {
    let definition = reelpool_tests::repository().join("crds/reelpool.dev_workerpools.yaml");
    let file = definition.display().to_string();
    let _ = plane.kubectl(&["apply", "--server-side", "--force-conflicts", "-f", &file]).ok();
    plane.apply(&format!(
        "{{apiVersion: v1, kind: Namespace, metadata: {{name: {namespace}}}}}\n---\n\
         {{apiVersion: v1, kind: Secret, metadata: {{name: reelpool-drain-key, namespace: {namespace}}}}}"
    ));
    let crd = "crd/workerpools.reelpool.dev";
    let _ = plane.kubectl(&["wait", "--for=condition=Established", "--timeout=60s", crd]).ok();
}

/// A running operator. Dropping it kills it.
#[derive(Debug)]
pub struct Operator {
    daemon: Daemon,
    address: SocketAddr,
    identity: String,
}

/// What an HTTP server answered.
#[derive(Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The body.
    pub body: String,
}

impl Answer {
    /// What the HTTP server at `address` answers to a GET of `path`.
    pub fn of(address: SocketAddr, path: &str) -> std::io::Result<Self> {
        let mut connection = TcpStream::connect_timeout(&address, ANSWERS_WITHIN)?;
        connection.set_read_timeout(Some(ANSWERS_WITHIN))?;
        // HTTP/1.0: the answer ends with the connection.
        write!(connection, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n")?;
        let mut bytes = Vec::new();
        connection.read_to_end(&mut bytes)?;
        let text = String::from_utf8_lossy(&bytes);
        let unreadable = || std::io::Error::other(format!("no HTTP: {text}"));
        let (head, body) = text.split_once("\r\n\r\n").ok_or_else(unreadable)?;
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or_else(unreadable)?;
        Ok(Self { status, body: body.to_owned() })
    }
}

impl Operator {
    /// Starts the operator and waits for nothing.
    #[must_use]
    pub fn start(plane: &ControlPlane, settings: OperatorSettings) -> Self {
        let address = free_address();
        let kubeconfig =
            settings.kubeconfig.unwrap_or_else(|| plane.kubeconfig_of(OPERATOR_USER, "system:masters"));
        let mut command = Command::new(settings.program.unwrap_or_else(binaries::reelpool));
        Emulator::give_credentials(&mut command);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("REELPOOL_") {
                command.env_remove(name);
            }
        }
        command
            .arg("operator")
            .args(["--worker-image", "reelpool-worker:test"])
            .args(["--namespace", &settings.namespace])
            .args(["--identity", &settings.identity])
            .args(["--listen", &address.to_string()])
            .args(["--endpoint-url", &settings.endpoint_url])
            .args(settings.watch_namespace.map(|namespace| format!("--watch-namespace={namespace}")))
            .args(settings.arguments)
            .env("KUBECONFIG", kubeconfig)
            .current_dir(plane.folder());
        let log = plane.log_of(&settings.identity);
        Self {
            daemon: Daemon::spawn(&settings.identity, &command, log),
            address,
            identity: settings.identity,
        }
    }

    /// Starts the operator and waits until it leads.
    #[must_use]
    pub fn lead(plane: &ControlPlane, settings: OperatorSettings) -> Self {
        let mut operator = Self::start(plane, settings);
        operator.wait_until("it leads", READY_WITHIN, Self::leads);
        operator
    }

    /// Its name.
    #[must_use]
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// The process: for signals, and for whether it runs.
    pub fn daemon(&mut self) -> &mut Daemon {
        &mut self.daemon
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        self.daemon.signal(signal);
    }

    /// SIGTERM; returns how it ended. Panics when it does not end within `limit`.
    #[must_use]
    pub fn stop(mut self, limit: Duration) -> ExitStatus {
        self.signal(Signal::TERM);
        self.daemon.wait(limit)
    }

    /// GET; `None` when there is no answer.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<Answer> {
        Answer::of(self.address, path).ok()
    }

    /// Its metrics; none at all when there is no answer.
    #[must_use]
    pub fn metrics(&self) -> Samples {
        self.get("/metrics").map(|answer| Samples::parse(&answer.body)).unwrap_or_default()
    }

    /// Panics unless it answers, decides, and none of its decisions broke a rule.
    pub fn assert_sound(&self) {
        self.metrics().assert_sound();
    }

    /// The last decisions on a pool, oldest first, each a line of JSON.
    #[must_use]
    pub fn decisions(&self, namespace: &str, pool: &str) -> String {
        let answer = self.get(&format!("/v1/pools/{namespace}/{pool}/decisions")).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.body
    }

    /// Whether it says that it is ready: as the leader, or standing by.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.get("/readyz").is_some_and(|answer| answer.status == 200)
    }

    /// Whether it leads and is ready.
    #[must_use]
    pub fn leads(&self) -> bool {
        self.is_ready() && self.metrics().sum("reelpool_leader", &[]) > 0.0
    }

    /// Waits until `condition` holds; panics with the end of its log when it ends first or `limit` passes.
    pub fn wait_until(&mut self, what: &str, limit: Duration, condition: impl Fn(&Self) -> bool) {
        let start = Instant::now();
        while !condition(self) {
            let late = start.elapsed() > limit || !self.daemon.runs();
            assert!(!late, "not after {:?}: {what}\n{}", start.elapsed(), self.daemon.report());
            std::thread::sleep(LOOK);
        }
    }

    /// The processor time that it has used so far.
    #[must_use]
    pub fn cpu(&self) -> Duration {
        let stat = self.proc("stat");
        // The name before may hold anything; after it come the state and then numbers, of which the 12th and 13th
        // are the ticks.
        let fields: Vec<&str> =
            stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace().collect()).unwrap_or_default();
        let ticks: u64 = fields[11..13].iter().map(|field| field.parse::<u64>().unwrap()).sum();
        Duration::from_millis(ticks * 1000 / rustix::param::clock_ticks_per_second())
    }

    /// What it has resident: now and at most, in KiB.
    #[must_use]
    pub fn memory_kib(&self) -> (u64, u64) {
        let status = self.proc("status");
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.trim().trim_end_matches("kB").trim().parse().unwrap()
        };
        (field("VmRSS:"), field("VmHWM:"))
    }

    fn proc(&self, name: &str) -> String {
        let file = format!("/proc/{}/{name}", self.daemon.pid().as_raw_nonzero());
        std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{file}: {error}"))
    }
}

/// An address of the loopback whose port nobody uses. Another could take it before the operator does: then the
/// operator ends, and says so.
fn free_address() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}
