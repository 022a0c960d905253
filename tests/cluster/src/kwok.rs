//! Fake nodes whose pods run nothing and are Ready at once: kwok.

use std::fmt::Write;
use std::net::{Ipv4Addr, TcpListener};
use std::process::Command;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Node;
use kube::Api;
use kube::api::ListParams;
use serde_json::json;

use crate::control_plane::ControlPlane;
use crate::daemon::Daemon;
use crate::tools::tool;
use crate::wait::on_a_runtime;

/// How nodes and pods go through their lives.
const STAGES: &str = include_str!("kwok.yaml");
/// Our nodes bear this label; kwok leaves all others alone.
const OURS: &str = "reelpool.dev/node=kwok";
/// Pods' addresses are 127.64.0.0 to 127.127.255.255. All of 127.0.0.0/8 is this machine: a server of the test on
/// 0.0.0.0 is reached under every pod's address. Nothing else uses this part of it, and each kwok has a 64th of it to
/// itself, so that servers of two tests may listen under their pods' addresses at the same time.
const RANGES: std::ops::RangeInclusive<u8> = 64..=127;
/// Who listens on it under the last address of a range has the range.
const RANGE_PORT: u16 = 10_250;
const READY_WITHIN: Duration = Duration::from_secs(60);

/// How many nodes, and how their pods behave.
#[derive(Debug, Clone)]
pub struct KwokSettings {
    /// How many nodes.
    pub nodes: u32,
    /// How many pods fit on one of them.
    pub pods_per_node: u32,
    /// How long a pod takes from being bound to a node to being Ready.
    pub starting: Duration,
    /// How long a pod takes to go once it is told to. A real one takes up to its grace period.
    pub stopping: Duration,
}

impl Default for KwokSettings {
    /// Ten nodes for 200 pods each, which start and stop at once.
    fn default() -> Self {
        Self { nodes: 10, pods_per_node: 200, starting: Duration::ZERO, stopping: Duration::ZERO }
    }
}

/// Fake nodes on a control plane; they stop when this is dropped, and their leases run out
/// 40 seconds later.
///
/// Services over such pods stay empty: Kubernetes takes no endpoint with an address of the loopback.
#[derive(Debug)]
pub struct Kwok {
    _daemon: Daemon,
    _range: TcpListener,
}

impl Kwok {
    /// Starts kwok, makes the nodes, and returns when they are Ready.
    #[must_use]
    pub fn start(plane: &ControlPlane, settings: &KwokSettings) -> Self {
        let (range, cidr) = reserve_range();
        let config = plane.folder().join("kwok.yaml");
        std::fs::write(&config, stages(settings)).unwrap();
        let mut command = Command::new(tool("kwok"));
        command
            .arg(format!("--config={}", config.display()))
            .arg(format!("--kubeconfig={}", plane.admin_kubeconfig().display()))
            .arg(format!("--manage-nodes-with-label-selector={OURS}"))
            .arg(format!("--cidr={cidr}"))
            .arg("--node-ip=127.0.0.1")
            // Without leases of their own the nodes are taken for dead now and then.
            .arg("--node-lease-duration-seconds=40")
            .env("HOME", plane.folder().join("home"))
            .current_dir(plane.folder());
        let mut daemon = Daemon::spawn("kwok", &command, plane.log_of("kwok"));
        plane.apply(&nodes(settings));
        let start = Instant::now();
        while ready_nodes(plane) < settings.nodes as usize {
            let late = start.elapsed() > READY_WITHIN || !daemon.runs();
            assert!(!late, "kwok's nodes are not Ready after {:?}\n{}", start.elapsed(), daemon.report());
            std::thread::sleep(Duration::from_millis(50));
        }
        Self { _daemon: daemon, _range: range }
    }
}

/// Addresses that no other kwok of this machine gives to its pods, for as long as the listener is there.
fn reserve_range() -> (TcpListener, String) {
    let mut ranges = RANGES.filter_map(|range| {
        let holder = TcpListener::bind((Ipv4Addr::new(127, range, 255, 254), RANGE_PORT)).ok()?;
        Some((holder, format!("127.{range}.0.0/16")))
    });
    ranges.next().expect("fewer than 64 kwoks run on this machine")
}

fn stages(settings: &KwokSettings) -> String {
    STAGES
        .replace("$STARTING", &settings.starting.as_millis().to_string())
        .replace("$STOPPING", &settings.stopping.as_millis().to_string())
}

/// The nodes' manifests. Their size stands in the status, which a node may bring with it.
fn nodes(settings: &KwokSettings) -> String {
    let (label, value) = OURS.split_once('=').unwrap();
    let room = json!({"cpu": "1k", "memory": "1Ti", "pods": settings.pods_per_node.to_string()});
    let mut manifests = String::new();
    for number in 0..settings.nodes {
        let name = format!("kwok-{number}");
        let node = json!({
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": name, "labels": {label: value, "kubernetes.io/hostname": name}},
            "status": {"capacity": room, "allocatable": room},
        });
        writeln!(manifests, "---\n{node}").unwrap();
    }
    manifests
}

fn ready_nodes(plane: &ControlPlane) -> usize {
    on_a_runtime(async {
        let nodes: Api<Node> = Api::all(plane.client().await);
        let nodes = nodes.list(&ListParams::default().labels(OURS)).await.unwrap();
        nodes.items.iter().filter(|node| is_ready(node)).count()
    })
}

fn is_ready(node: &Node) -> bool {
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.is_some_and(|all| all.iter().any(|one| one.type_ == "Ready" && one.status == "True"))
}
