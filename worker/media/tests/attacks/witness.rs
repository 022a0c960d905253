//! Who saw what a child opened and whom it called: from outside, not by the child's own word.

use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};
use std::process::Command;

use rustix::fs::inotify;
use rustix::io::Errno;

use crate::forms::Ground;

/// What was seen of one try.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// Victims that were opened, says the kernel; and foreign files, says strace.
    pub opened: Vec<String>,
    /// Calls that the listener counted; and sockets, says strace.
    pub called: Vec<String>,
}

impl Seen {
    pub fn is_nothing(&self) -> bool {
        self.opened.is_empty() && self.called.is_empty()
    }
}

/// Watches the victims and the port from its making to [`Witness::testify`].
pub struct Witness<'a> {
    ground: &'a Ground,
    watch: OwnedFd,
    watched: Vec<(i32, PathBuf)>,
    calls: usize,
}

impl<'a> Witness<'a> {
    pub fn new(ground: &'a Ground) -> Self {
        for trace in traces(ground) {
            std::fs::remove_file(trace).unwrap();
        }
        let watch = inotify::init(inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC).unwrap();
        let flags = inotify::WatchFlags::OPEN | inotify::WatchFlags::ACCESS;
        let add = |path: PathBuf| (inotify::add_watch(&watch, &path, flags).unwrap(), path);
        let watched = ground.victims().map(add).into();
        Self { ground, watch, watched, calls: ground.calls() }
    }

    pub fn testify(self) -> Seen {
        let mut seen = Seen::default();
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut events = inotify::Reader::new(&self.watch, &mut buffer);
        loop {
            match events.next() {
                Ok(event) => {
                    let path = self.watched.iter().find(|(wd, _)| *wd == event.wd()).map(|(_, path)| path);
                    seen.opened.push(path.map_or("?".into(), |path| path.display().to_string()));
                }
                Err(Errno::WOULDBLOCK) => break,
                Err(error) => panic!("inotify: {error}"),
            }
        }
        for trace in traces(self.ground) {
            read_trace(&trace, self.ground.root(), &mut seen);
        }
        seen.called.extend((self.calls..self.ground.calls()).map(|_| "the listener".to_owned()));
        seen.opened.dedup();
        seen
    }
}

/// Whether strace is there and may trace.
pub fn strace_works() -> bool {
    let args = ["-f", "--seccomp-bpf", "-o", "/dev/null", "-e", "trace=openat", "/bin/true"];
    Command::new("strace").args(args).output().is_ok_and(|done| done.status.success())
}

fn traces(ground: &Ground) -> Vec<PathBuf> {
    let tools = std::fs::read_dir(ground.path("tools")).unwrap().flatten().map(|entry| entry.path());
    tools.filter(|path| path.file_stem().is_some_and(|name| name == "trace")).collect()
}

/// Where a program's own files are.
const SYSTEM: [&str; 10] = [
    "/usr/",
    "/lib/",
    "/lib64/",
    "/etc/ld.so.cache",
    "/dev/null",
    "/dev/urandom",
    // What libraries ask about the machine when they are loaded.
    "/sys/devices/system/",
    "/proc/filesystems",
    "/proc/self/",
    "/proc/sys/",
];

/// What is a try's own on its ground.
const OWN: [&str; 3] = ["in/master", "tools", "out"];

/// One thread's calls, one in a line: `openat(AT_FDCWD, "/etc/passwd", O_RDONLY) = 3`.
fn read_trace(trace: &Path, ground: &Path, seen: &mut Seen) {
    for line in std::fs::read_to_string(trace).unwrap().lines() {
        let Some((call, result)) = line.rsplit_once(" = ") else { continue };
        if result.starts_with('-') || call.contains("O_PATH") {
            continue;
        }
        if call.starts_with("open") {
            let path = call.split('"').nth(1).unwrap_or("?");
            // A relative path is one of the folder for the outputs.
            let path = ground.join("out").join(path);
            let up = path.components().any(|part| part == Component::ParentDir);
            let own = path.strip_prefix(ground).map(Path::to_owned);
            let own = !up && own.is_ok_and(|path| OWN.iter().any(|own| path.starts_with(own)));
            let path = path.to_string_lossy();
            let known = SYSTEM.iter().any(|known| path.starts_with(known));
            if !known && !own {
                seen.opened.push(path.into_owned());
            }
        } else if call.contains("AF_INET") || call.starts_with("connect") || call.starts_with("bind") {
            seen.called.push(call.to_owned());
        }
    }
}
