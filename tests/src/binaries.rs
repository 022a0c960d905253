//! The programs under test: those that stand beside the running test.

use std::path::{Path, PathBuf};
use std::sync::Once;
use std::time::SystemTime;

/// The controller, `reelpool`.
#[must_use]
pub fn reelpool() -> PathBuf {
    find("reelpool")
}

/// The worker, `reelpool-worker`.
#[must_use]
pub fn reelpool_worker() -> PathBuf {
    find("reelpool-worker")
}

fn find(name: &str) -> PathBuf {
    // Tests and benchmarks are target/debug/deps/<test>, programs target/debug/<program>.
    let own = std::env::current_exe().expect("a program knows its own path");
    let folder =
        own.ancestors().skip(1).find(|folder| !folder.ends_with("deps")).expect("it is in target/<profile>");
    let binary = folder.join(name);
    assert!(
        binary.is_file(),
        "{} is not there: run `cargo build --workspace --bins` first (`make test` does)",
        binary.display()
    );
    warn_when_stale(&binary);
    binary
}

/// Cargo builds a package's programs for that package's own tests only: a test here may meet old ones.
fn warn_when_stale(binary: &Path) {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let built = modified(binary);
        let sources = ["controller/src", "controller/core/src", "worker/src", "worker/media/src"];
        let newest = sources.iter().filter_map(|dir| newest_source(&crate::repository().join(dir))).max();
        if newest > built {
            eprintln!(
                "warning: {} is older than its sources: run `cargo build --workspace --bins`",
                binary.display()
            );
        }
    });
}

fn newest_source(dir: &Path) -> Option<SystemTime> {
    let entries = std::fs::read_dir(dir).ok()?.flatten();
    entries
        .filter_map(|entry| {
            let path = entry.path();
            if path.is_dir() { newest_source(&path) } else { modified(&path) }
        })
        .max()
}

fn modified(path: &Path) -> Option<SystemTime> {
    path.metadata().and_then(|meta| meta.modified()).ok()
}
