//! A temporary folder that goes away even when the test process is killed.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Waits until the test process is gone (its end of the pipe is closed then, however it ended) and removes the
/// folder; again while a program that dies at the same moment still writes there.
const REMOVE_AFTERWARDS: &str = r#"
cat >/dev/null
i=0
while [ -e "$1" ] && [ $i -lt 100 ]; do
    rm -rf -- "$1" 2>/dev/null
    i=$((i + 1))
    [ ! -e "$1" ] || sleep 0.1
done"#;

/// A folder of its owner's alone; dropping it removes it, and so does the end of the test process, even by SIGKILL.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    remover: Child,
}

impl Folder {
    /// An empty folder whose name begins with `prefix`. The path is short: sockets may live in it.
    #[must_use]
    pub fn new(prefix: &str) -> Self {
        let path = tempfile::Builder::new().prefix(prefix).tempdir().unwrap().keep();
        let remover = Command::new("sh")
            .args(["-c", REMOVE_AFTERWARDS, "sh"])
            .arg(&path)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Ctrl-C goes to the group of the tests: the one who cleans up afterwards is not in it.
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("could not start sh: {error}"));
        Self { path, remover }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(self.remover.stdin.take());
        let _ = self.remover.wait();
    }
}
