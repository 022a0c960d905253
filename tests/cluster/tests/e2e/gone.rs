//! A node leaves nothing behind: neither when it is dropped, nor when its test process is killed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use reelpool_cluster::{ControlPlane, Node, Settings};
use reelpool_tests::process::processes;
use rustix::process::{Pid, Signal, kill_process};

/// Set for a test process that another one starts: it holds a node until it is killed.
const TELL: &str = "REELPOOL_CLUSTER_TELL_NODE";
const NAME: &str = "gone::a_killed_test_process_leaves_no_node_behind";
/// The settings of the kernel that a kubelet changes for the whole machine.
const SETTINGS: [&str; 6] = [
    "kernel/keys/root_maxbytes",
    "kernel/keys/root_maxkeys",
    "kernel/panic",
    "kernel/panic_on_oops",
    "vm/overcommit_memory",
    "vm/panic_on_oom",
];

/// The programs of a node.
const PROGRAMS: [&str; 5] = ["containerd", "containerd-shim-runc-v2", "kubelet", "kube-proxy", "coredns"];

/// All of this machine that a node could change, a line each.
fn look() -> BTreeSet<String> {
    let mut lines = BTreeSet::new();
    for path in children(Path::new("/sys/class/net")) {
        lines.insert(format!("link {}", path.display()));
    }
    for (what, file) in [("route", "/proc/net/route"), ("mount", "/proc/self/mounts")] {
        lines.extend(std::fs::read_to_string(file).unwrap().lines().map(|line| format!("{what} {line}")));
    }
    for name in SETTINGS {
        let value = std::fs::read_to_string(Path::new("/proc/sys").join(name)).unwrap();
        lines.insert(format!("setting {name} = {}", value.trim()));
    }
    for path in below(Path::new("/sys/fs/cgroup")).into_iter().chain(children(&std::env::temp_dir())) {
        if path.to_string_lossy().contains("reelpool-node-") {
            lines.insert(format!("folder {}", path.display()));
        }
    }
    let programs =
        processes().into_iter().filter(|one| !one.zombie && PROGRAMS.iter().any(|name| one.is(name)));
    lines.extend(programs.map(|one| format!("process {} {}", one.pid, one.command_line)));
    lines
}

/// Panics unless, before long, there is nothing that was not there `before`.
fn assert_nothing_new(before: &BTreeSet<String>) {
    let start = Instant::now();
    loop {
        let now = look();
        let left: Vec<&String> = now.difference(before).collect();
        if left.is_empty() {
            return;
        }
        assert!(start.elapsed() < Duration::from_secs(60), "left behind: {left:#?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_dropped_node_leaves_nothing_behind() {
    let _alone = crate::ALONE.blocking_lock();
    let before = look();
    let plane = ControlPlane::start(Settings::default());
    let node = Node::start(&plane, &[]);
    let during = look();
    let new: Vec<&str> =
        during.difference(&before).filter_map(|line| line.split_once(' ')).map(|(what, _)| what).collect();
    for expected in ["link", "route", "folder", "process"] {
        assert!(new.contains(&expected), "there should be a {expected}: {during:#?}");
    }
    assert!(!new.contains(&"mount") && !new.contains(&"setting"), "{during:#?}");
    drop(node);
    assert_nothing_new(&before);
}

#[test]
fn a_killed_test_process_leaves_no_node_behind() {
    if let Some(tell) = std::env::var_os(TELL) {
        // This is the one that is killed.
        let plane = ControlPlane::start(Settings::default());
        let _node = Node::start(&plane, &[]);
        std::fs::write(tell, []).unwrap();
        std::thread::sleep(Duration::from_secs(600));
        return;
    }
    let _alone = crate::ALONE.blocking_lock();
    let before = look();
    let mut other = another_test_process();
    assert_ne!(before, look());
    other.kill().unwrap();
    other.wait().unwrap();
    assert_nothing_new(&before);
}

#[test]
fn what_nobody_could_remove_the_next_node_does() {
    let _alone = crate::ALONE.blocking_lock();
    let before = look();
    let mut other = another_test_process();
    // The test process, and with it the one that would have removed the cgroups.
    let cleaners: Vec<_> = processes()
        .into_iter()
        .filter(|one| one.command_line.contains("tests/cluster/node/machine "))
        .collect();
    assert!(!cleaners.is_empty());
    for cleaner in cleaners {
        kill_process(Pid::from_raw(cleaner.pid).unwrap(), Signal::KILL).unwrap();
    }
    other.kill().unwrap();
    other.wait().unwrap();

    let plane = ControlPlane::start(Settings::default());
    drop(Node::start(&plane, &[]));
    assert_nothing_new(&before);
}

/// Another process of this program that has a node.
fn another_test_process() -> Child {
    let told = tempfile::TempDir::new().unwrap();
    let tell = told.path().join("ready");
    let mut other = Command::new(std::env::current_exe().unwrap());
    other.args(["--exact", NAME]).env(TELL, &tell).stdout(Stdio::null());
    let mut other = other.spawn().unwrap();
    let start = Instant::now();
    while !tell.exists() {
        assert!(other.try_wait().unwrap().is_none(), "it could not start a node");
        assert!(start.elapsed() < Duration::from_secs(300), "it has no node after five minutes");
        std::thread::sleep(Duration::from_millis(50));
    }
    other
}

fn children(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)
        .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
        .unwrap_or_default();
    paths.sort();
    paths
}

fn below(folder: &Path) -> Vec<PathBuf> {
    let folders: Vec<PathBuf> =
        children(folder).into_iter().filter(|path| path.is_dir() && !path.is_symlink()).collect();
    let deeper: Vec<PathBuf> = folders.iter().flat_map(|folder| below(folder)).collect();
    folders.into_iter().chain(deeper).collect()
}
