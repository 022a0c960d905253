//! Nothing is left behind: neither by a drop, nor by a test process that is killed.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use reelpool_cluster::{ControlPlane, Settings};
use reelpool_tests::Process;
use reelpool_tests::process::processes;
use rustix::process::Signal;

/// Set for a test process that another one starts: it holds a control plane until it is killed.
const TELL: &str = "REELPOOL_CLUSTER_TELL_FOLDER";
const LIMIT: Duration = Duration::from_secs(180);
const NAME: &str = "gone::a_killed_test_process_leaves_nothing_behind";

fn users_of(folder: &Path) -> Vec<String> {
    let all = processes();
    all.into_iter().filter(|one| !one.zombie && one.bears(folder)).map(|one| one.command_line).collect()
}

#[test]
fn a_drop_leaves_nothing_behind() {
    let plane = ControlPlane::start(Settings::default());
    let folder = plane.folder().to_path_buf();
    for program in ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"] {
        let users = users_of(&folder);
        assert!(users.iter().any(|line| line.contains(&format!("/{program} "))), "{program} of {users:?}");
    }
    drop(plane);
    assert_eq!(users_of(&folder), Vec::<String>::new());
    assert!(!folder.exists());
}

#[test]
fn a_killed_test_process_leaves_nothing_behind() {
    if let Some(tell) = std::env::var_os(TELL) {
        // This is the one that is killed. A thread that ends must not take the programs with it.
        let plane = std::thread::spawn(|| ControlPlane::start(Settings::default())).join().unwrap();
        let _ = plane.kubectl(&["get", "--raw=/readyz"]).ok();
        let written = PathBuf::from(&tell).with_extension("new");
        std::fs::write(&written, plane.folder().as_os_str().as_encoded_bytes()).unwrap();
        std::fs::rename(&written, tell).unwrap();
        std::thread::sleep(Duration::from_secs(600));
        return;
    }
    let told = tempfile::TempDir::new().unwrap();
    let tell = told.path().join("folder");
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", NAME, "--nocapture"]).env(TELL, &tell);
    let mut other = Process::spawn(command, None);
    other.wait_until("it has a control plane", LIMIT, |_| tell.exists());
    let folder = PathBuf::from(std::fs::read_to_string(&tell).unwrap());
    assert!(users_of(&folder).len() >= 4, "{:?}", users_of(&folder));

    other.signal(Signal::KILL);
    let _ = other.wait(LIMIT);
    until("its programs are gone", || users_of(&folder).is_empty());
    until("its folder is gone", || !folder.exists());
}

fn until(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < LIMIT, "not within {LIMIT:?}: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
