//! A node with a real kubelet that runs real pods, in namespaces of its own (`node/machine` says how): containerd,
//! runc, a bridge, kube-proxy, DNS, and nothing of this machine changed. What it needs is said by
//! [`requirements`]; the images come from `scripts/images`, because no registry is asked for anything.
//!
//! Pods reach services by name and by address, and servers of the test process through a [relay](Node::relay). They
//! reach nothing else, and names of the outside are refused.

mod files;
mod network;
mod relay;
mod requirements;

use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::control_plane::ControlPlane;
use crate::folder::Folder;
use crate::node::network::Network;
use crate::node::relay::Relay;
use crate::ran::Ran;
use crate::tools::tool;

/// Twenty times what a start takes on a busy machine.
const READY_WITHIN: Duration = Duration::from_secs(120);
/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(50);
/// How long an answer may take before it is asked for again.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);
/// How much of a log a panic shows.
const TAIL_LINES: usize = 20;

/// A node of a control plane. Dropping it ends its pods, its programs and its network; so does the end of the test
/// process, even by SIGKILL.
pub struct Node {
    network: Network,
    relays: Mutex<Vec<Relay>>,
    machine: Child,
    // Last: the programs are gone by the time it is removed.
    folder: Folder,
}

impl Node {
    /// Starts a node with these images (archives of `scripts/images`, see [`image`]), and returns when it is Ready and
    /// services are found by name.
    ///
    /// Panics when this machine cannot have a node, with one line that says what is missing.
    #[must_use]
    pub fn start(plane: &ControlPlane, images: &[&Path]) -> Self {
        if let Some(missing) = requirements::missing() {
            panic!("this machine cannot run a real node: {missing}");
        }
        let pause = image("reelpool-pause");
        let folder = Folder::new("reelpool-node-");
        let network = Network::take();
        files::write(folder.path(), plane, &network);
        files::make_services(plane, &network);
        let api_port = plane.port();
        let mut node = Self {
            machine: machine(&folder, &network, api_port),
            relays: Mutex::new(Vec::new()),
            network,
            folder,
        };
        // All programs in the box wait for this one.
        let _ = node.relay(api_port);
        node.wait("containerd listens", |node| node.socket().exists());
        for image in std::iter::once(pause.as_path()).chain(images.iter().copied()) {
            node.import(image);
        }
        let ready = "-o=jsonpath={.status.conditions[?(@.type=='Ready')].status}";
        node.wait("the node is Ready", |node| {
            plane.kubectl(&["get", "node", &node.name(), "--ignore-not-found", ready]).ok() == "True"
        });
        // CoreDNS has asked the API server through its service: so kube-proxy works as well.
        let dns = SocketAddr::new(node.network.node.into(), files::DNS_READY_PORT);
        node.wait("the DNS knows the services", |_| is_ready(dns));
        node
    }

    /// Its name in Kubernetes, which is its address: the API server then finds its kubelet without DNS.
    #[must_use]
    pub fn name(&self) -> String {
        self.network.node.to_string()
    }

    /// Lets pods reach the server that listens on this port of the loopback; returns the address that they reach it
    /// under. It is no address of the outside.
    #[must_use]
    pub fn relay(&self, port: u16) -> SocketAddr {
        let address = SocketAddr::new(self.network.host.into(), port);
        let mut relays = self.relays.lock().unwrap();
        if relays.iter().all(|relay| relay.address() != address) {
            // The address is there once the cable is.
            let start = Instant::now();
            let relay = loop {
                match Relay::start(address) {
                    Ok(relay) => break relay,
                    Err(error) => assert!(
                        start.elapsed() < READY_WITHIN,
                        "cannot listen on {address}: {error}\n{}",
                        self.report()
                    ),
                }
                std::thread::sleep(LOOK);
            };
            relays.push(relay);
        }
        address
    }

    /// The ends of the logs of its programs: for a panic's message.
    #[must_use]
    pub fn report(&self) -> String {
        let logs = ["machine", "containerd", "kubelet", "kube-proxy", "coredns"].map(|name| {
            let log = String::from_utf8_lossy(
                &std::fs::read(self.folder.path().join(format!("{name}.log"))).unwrap_or_default(),
            )
            .into_owned();
            let lines: Vec<&str> = log.lines().collect();
            format!(
                "--- {name}.log, the end ---\n{}",
                lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
            )
        });
        logs.join("\n")
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("containerd.sock")
    }

    fn import(&self, archive: &Path) {
        let socket = self.socket();
        let arguments = [
            "--address".as_ref(),
            socket.as_os_str(),
            "--namespace".as_ref(),
            "k8s.io".as_ref(),
            "images".as_ref(),
            "import".as_ref(),
            archive.as_os_str(),
        ];
        let _ = Ran::run(Path::new("ctr"), &arguments, "", self.folder.path()).ok();
    }

    fn wait(&mut self, what: &str, condition: impl Fn(&Self) -> bool) {
        let start = Instant::now();
        while !condition(self) {
            let ended = self.machine.try_wait().unwrap();
            assert!(
                ended.is_none() && start.elapsed() < READY_WITHIN,
                "not after {:?}: {what}; the machine in the box {}\n{}",
                start.elapsed(),
                ended.map_or_else(|| "runs".to_owned(), |status| format!("ended: {status}")),
                self.report()
            );
            std::thread::sleep(LOOK);
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // While their addresses are there.
        self.relays.get_mut().unwrap_or_else(PoisonError::into_inner).clear();
        drop(self.machine.stdin.take());
        let _ = self.machine.wait();
    }
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Node").field("name", &self.name()).finish_non_exhaustive()
    }
}

/// Whether `/ready` answers that it is so.
fn is_ready(address: SocketAddr) -> bool {
    let ask = || {
        let mut stream = TcpStream::connect_timeout(&address, ANSWER_WITHIN)?;
        stream.set_read_timeout(Some(ANSWER_WITHIN))?;
        stream.write_all(b"GET /ready HTTP/1.0\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok::<_, std::io::Error>(answer.starts_with("HTTP/1.0 200 "))
    };
    ask().unwrap_or(false)
}

/// The archive of an image, such as `reelpool-worker`, that `scripts/images` has put beside the programs under test.
///
/// Panics when it is not there.
#[must_use]
pub fn image(name: &str) -> PathBuf {
    // target/debug/deps/<test> → target/images.
    let test = std::env::current_exe().unwrap();
    let archive = test.ancestors().nth(3).unwrap().join(format!("images/{name}.tar"));
    let advice = "run scripts/images --profile dev (`make e2e` does)";
    assert!(archive.is_file(), "{} is not there: {advice}", archive.display());
    let program = match name {
        "reelpool-operator" => Some(reelpool_tests::binaries::reelpool()),
        "reelpool-worker" => Some(reelpool_tests::binaries::reelpool_worker()),
        _ => None,
    };
    let modified = |path: &Path| path.metadata().and_then(|meta| meta.modified()).unwrap();
    if program.is_some_and(|program| modified(&program) > modified(&archive)) {
        eprintln!("warning: {} is older than its program: {advice}", archive.display());
    }
    archive
}

/// The name that pods use for an image of `scripts/images`.
#[must_use]
pub fn image_name(name: &str) -> String {
    format!("{name}:{}", env!("CARGO_PKG_VERSION"))
}

fn machine(folder: &Folder, network: &Network, api_port: u16) -> Child {
    let script = reelpool_tests::repository().join("tests/cluster/node/machine");
    let log = File::create(folder.path().join("machine.log")).unwrap();
    let mut command = Command::new(&script);
    command
        .arg(folder.path())
        .arg(&network.link)
        .args([network.host.to_string(), network.node.to_string(), network.pods.clone()])
        .arg(api_port.to_string())
        .args(["kubelet", "kube-proxy", "coredns"].map(tool))
        .env_clear()
        .env("PATH", requirements::path())
        .stdin(Stdio::piped())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        // Ctrl-C goes to the group of the tests: the one who cleans up afterwards is not in it.
        .process_group(0);
    command.spawn().unwrap_or_else(|error| panic!("could not start {}: {error}", script.display()))
}
