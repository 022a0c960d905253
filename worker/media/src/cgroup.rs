//! The memory of the container: what the control group that this process is in may use, and whether the kernel's
//! out-of-memory killer was there. Both versions of control groups; nothing where there are none.

use std::fs;
use std::path::{Path, PathBuf};

/// Where control groups are mounted, and the file that holds a group's limit: version 2, version 1, and version 2
/// beside version 1.
const MOUNTS: [(&str, &str); 3] = [
    ("/sys/fs/cgroup", "memory.max"),
    ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
    ("/sys/fs/cgroup/unified", "memory.max"),
];
/// Version 1 writes "no limit" as the largest number of pages.
const NO_LIMIT: u64 = 1 << 60;

/// Memory that all processes of this container may use together, in bytes: the lowest limit of the group and those
/// above it, as far as they can be seen. `None` without a limit.
pub(crate) fn memory_limit() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    lowest_limit(&groups, &MOUNTS.map(|(mount, file)| (PathBuf::from(mount), file)))
}

fn lowest_limit(groups: &str, mounts: &[(PathBuf, &str)]) -> Option<u64> {
    let limit = |folder: PathBuf, file: &str| read(&folder.join(file))?.trim().parse().ok();
    let found = mounts.iter().flat_map(|(mount, file)| {
        let folders = folders(mount, group(groups, *file == "memory.max"));
        folders.into_iter().filter_map(|folder| limit(folder, file)).collect::<Vec<u64>>()
    });
    found.filter(|limit| *limit < NO_LIMIT).min()
}

/// Our group's path: of the hierarchy that has the number 0 (version 2), or of that which has `memory`.
fn group<'a>(groups: &'a str, unified: bool) -> &'a str {
    let path = |(number, rest): (&str, &'a str)| {
        let (controllers, path) = rest.split_once(':')?;
        let ours = if unified { number == "0" } else { controllers.split(',').any(|name| name == "memory") };
        ours.then_some(path)
    };
    groups.lines().filter_map(|line| line.split_once(':')).find_map(path).unwrap_or("/")
}

/// The group's folder and those above it. In a container the path may be the host's, of which only the end of the
/// walk, the mount itself, is there.
fn folders(mount: &Path, group: &str) -> Vec<PathBuf> {
    let inside = Path::new(group.trim_start_matches('/'));
    inside.ancestors().map(|path| mount.join(path)).filter(|folder| folder.is_dir()).collect()
}

fn read(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok()
}

/// How often this container's own memory limit had a process killed, up to now. `None` where nobody counts.
///
/// A kill for want of memory in the whole machine is not counted: that is not the master's doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kills {
    /// Processes of the group that were killed.
    killed: u64,
    /// Times that the group's limit was hit.
    hit: u64,
}

impl Kills {
    /// Reads the counters.
    pub fn now() -> Option<Self> {
        let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
        MOUNTS.iter().find_map(|(mount, file)| {
            let unified = *file == "memory.max";
            let mut folders = folders(Path::new(mount), group(&groups, unified)).into_iter();
            folders.find_map(|folder| if unified { Self::unified(&folder) } else { Self::first(&folder) })
        })
    }

    fn unified(folder: &Path) -> Option<Self> {
        let events = read(&folder.join("memory.events"))?;
        Some(Self { killed: counter(&events, "oom_kill")?, hit: counter(&events, "oom")? })
    }

    fn first(folder: &Path) -> Option<Self> {
        let control = read(&folder.join("memory.oom_control"))?;
        let hit = read(&folder.join("memory.failcnt"))?.trim().parse().ok()?;
        Some(Self { killed: counter(&control, "oom_kill")?, hit })
    }

    /// Whether the container's limit had a process killed since.
    pub fn rose_since(self, before: Self) -> bool {
        self.killed > before.killed && self.hit > before.hit
    }
}

/// Reads `oom_kill 3` out of several such lines.
fn counter(lines: &str, name: &str) -> Option<u64> {
    lines.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIXED: &str = "9:name=systemd:/\n8:pids:/x\n4:cpu,memory:/pods/one\n0::/unified/group\n";

    #[test]
    fn our_group_by_version() {
        assert_eq!((group(MIXED, false), group(MIXED, true)), ("/pods/one", "/unified/group"));
        assert_eq!((group("", false), group("no lines", true)), ("/", "/"));
    }

    #[test]
    fn the_lowest_limit_of_a_group_and_those_above() {
        let root = tempfile::tempdir().unwrap();
        let put = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let mounts =
            [(root.path().join("two"), "memory.max"), (root.path().join("one"), "memory.limit_in_bytes")];
        assert_eq!(lowest_limit(MIXED, &mounts), None, "nothing is there");
        put("two/unified/group/memory.max", "max\n");
        put("one/memory.limit_in_bytes", "9223372036854771712\n");
        assert_eq!(lowest_limit(MIXED, &mounts), None, "no limit");
        put("two/unified/memory.max", "700\n");
        assert_eq!(lowest_limit(MIXED, &mounts), Some(700));
        put("one/pods/one/memory.limit_in_bytes", "600\n");
        assert_eq!(lowest_limit(MIXED, &mounts), Some(600));
        // A container sees its own group at the mount, under whatever name the host has for it.
        put("one/memory.limit_in_bytes", "500\n");
        assert_eq!(lowest_limit("4:memory:/docker/1234\n", &mounts[1..]), Some(500));
    }

    #[test]
    fn counters_by_their_whole_name() {
        let events = "low 0\nhigh 0\nmax 12\noom 2\noom_kill 1\noom_group_kill 7\n";
        assert_eq!((counter(events, "oom"), counter(events, "oom_kill")), (Some(2), Some(1)));
        assert_eq!(counter("oom_kill_disable 0\nunder_oom 0\noom_kill 4", "oom_kill"), Some(4));
        let before = Kills { killed: 1, hit: 5 };
        assert!(Kills { killed: 2, hit: 6 }.rose_since(before));
        // The whole machine was short of memory, or the limit was hit and nobody had to go.
        assert!(
            !Kills { killed: 2, hit: 5 }.rose_since(before)
                && !Kills { killed: 1, hit: 6 }.rose_since(before)
        );
    }
}
