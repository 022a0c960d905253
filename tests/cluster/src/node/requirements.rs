//! What this machine must have to run a node.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The controllers of cgroup v1 that containers are limited by.
const CONTROLLERS: [&str; 7] = ["cpu", "cpuacct", "cpuset", "devices", "freezer", "memory", "pids"];
const PROGRAMS: [&str; 7] = ["containerd", "containerd-shim-runc-v2", "ctr", "runc", "ip", "nft", "unshare"];
/// Where Debian has them, and where everybody else has.
const PLUGINS: [&str; 2] = ["/usr/lib/cni", "/opt/cni/bin"];

/// What is missing and what to do, in one line; `None` when all is there.
pub(crate) fn missing() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("it takes root: run the tests as root".to_owned());
    }
    let mounted = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let mounted: Vec<&str> =
        mounted.lines().filter_map(|line| line.split(':').nth(1)).flat_map(|line| line.split(',')).collect();
    if let Some(controller) = CONTROLLERS.iter().find(|controller| !mounted.contains(controller)) {
        return Some(format!(
            "cgroup v1 has no controller '{controller}' here: boot with systemd.unified_cgroup_hierarchy=0, or \
             use a machine with cgroup v1"
        ));
    }
    let folders: Vec<PathBuf> = std::env::split_paths(&path()).collect();
    let absent = |program: &&&str| !folders.iter().any(|folder| folder.join(program).is_file());
    if let Some(program) = PROGRAMS.iter().find(absent) {
        return Some(format!("{program} was not found: run scripts/setup --node"));
    }
    if plugins().is_none() {
        return Some("the network plugins are not in /usr/lib/cni: run scripts/setup --node".to_owned());
    }
    None
}

/// The folder of the network plugins.
pub(crate) fn plugins() -> Option<&'static Path> {
    let complete = |folder: &&&str| {
        ["bridge", "host-local", "loopback"].iter().all(|plugin| Path::new(folder).join(plugin).is_file())
    };
    PLUGINS.iter().find(complete).map(Path::new)
}

/// The PATH of the node's programs: ours, and where those of the administrator are.
pub(crate) fn path() -> OsString {
    let mut path = std::env::var_os("PATH").unwrap_or_default();
    path.push(":/usr/sbin:/sbin");
    path
}
