//! Where the pinned programs are.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

/// The program of this name, such as `kubectl`, as `scripts/cluster-tools` built it.
///
/// `REELPOOL_CLUSTER_TOOLS` names another folder of programs. Panics when the program is not there.
#[must_use]
pub fn tool(name: &str) -> PathBuf {
    let program = folder().join(name);
    assert!(
        program.is_file(),
        "{} is not there: run scripts/cluster-tools, or name a folder that has it in REELPOOL_CLUSTER_TOOLS",
        program.display()
    );
    program
}

fn folder() -> &'static PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| match std::env::var_os("REELPOOL_CLUSTER_TOOLS") {
        Some(folder) => folder.into(),
        None => built(),
    })
}

/// The script decides where it keeps what it built: it is asked, so that this is said in one place.
fn built() -> PathBuf {
    let script = reelpool_tests::repository().join("scripts/cluster-tools");
    let output = Command::new(&script).arg("--print-dir").output();
    let output = output.unwrap_or_else(|error| panic!("could not run {}: {error}", script.display()));
    assert!(output.status.success(), "{}: {}", script.display(), String::from_utf8_lossy(&output.stderr));
    PathBuf::from(String::from_utf8(output.stdout).unwrap().trim_end())
}
