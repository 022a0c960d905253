//! What the children of an engine used: their peak memory and their processor time, by the kernel's own account.
#![allow(dead_code, reason = "each test file uses its part")]

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use reelpool_media::{Engine, Sandbox};

/// Takes a child's usage when it has ended; a wait for it by a safe function of std tells none.
const SCRIPT: &str = r#"#!/usr/bin/env python3
import json, os, resource, signal, sys
cage, log, args = "CAGE", "LOG", sys.argv[1:]
at = args.index("--spec") + 1
spec = json.loads(args[at])
spec["parent"] = os.getpid()
args[at] = json.dumps(spec)
# The whole group is asked to end; this one stays to tell of the other.
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = os.fork()
if child == 0:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.execv(cage, [cage] + args)
status = os.waitpid(child, 0)[1]
used = resource.getrusage(resource.RUSAGE_CHILDREN)
with open(log, "a") as file:
    print(args[at + 2], used.ru_maxrss * 1024, used.ru_utime + used.ru_stime, file=file)
if os.WIFSIGNALED(status):
    if os.WTERMSIG(status) != signal.SIGKILL:
        signal.signal(os.WTERMSIG(status), signal.SIG_DFL)
    os.kill(os.getpid(), os.WTERMSIG(status))
sys.exit(os.WEXITSTATUS(status))
"#;

/// A meter on an engine's children.
pub struct Meter {
    folder: tempfile::TempDir,
}

/// What one child used.
#[derive(Debug, Clone)]
pub struct Usage {
    /// `ffmpeg` or `ffprobe`.
    pub program: String,
    /// Peak resident memory, in bytes.
    pub peak_bytes: u64,
    /// User and system time, in seconds.
    pub cpu_seconds: f64,
}

impl Meter {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        std::fs::write(&log, "").unwrap();
        let script = SCRIPT.replace("CAGE", env!("CARGO_BIN_EXE_reelpool-media-cage"));
        let through = folder.path().join("through");
        std::fs::write(&through, script.replace("LOG", &log.display().to_string())).unwrap();
        std::fs::set_permissions(&through, std::fs::Permissions::from_mode(0o755)).unwrap();
        Self { folder }
    }

    /// The engine, metered.
    pub fn on(&self, engine: Engine) -> Engine {
        // An empty environment has no PATH to find python3 by.
        Engine { sandbox: Sandbox::Via(self.folder.path().join("through")), ..engine }
    }

    /// The children that ended since the last call; one that was killed with its group is not among them.
    pub fn read(&self) -> Vec<Usage> {
        let log: PathBuf = self.folder.path().join("log");
        let text = std::fs::read_to_string(&log).unwrap();
        std::fs::write(log, "").unwrap();
        let read = |line: &str| {
            let [program, bytes, seconds] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
            let program = Path::new(program).file_name().unwrap().to_string_lossy().into_owned();
            Usage { program, peak_bytes: bytes.parse().unwrap(), cpu_seconds: seconds.parse().unwrap() }
        };
        text.lines().map(read).collect()
    }
}
