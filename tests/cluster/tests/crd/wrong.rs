//! Wrong manifests as people write them, and what `kubectl apply` says to each: it must say what to do.

use std::path::PathBuf;

use crate::server::plane;

/// The first line of each manifest: what must be said.
const SAYS: &str = "# Says: ";

#[test]
fn each_wrong_manifest_is_refused_with_words_that_help() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/crd/wrong");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert_eq!(files.len(), 11);
    // Nobody else's pools have these names here.
    let _ = plane().kubectl(&["create", "namespace", "mistakes"]).ok();
    for path in files {
        let manifest = std::fs::read_to_string(&path).unwrap();
        let says = manifest.lines().next().unwrap().strip_prefix(SAYS).unwrap();
        let said = plane().kubectl_with(&["apply", "-n", "mistakes", "-f", "-"], &manifest).refused();
        println!("$ kubectl apply -f {}\n{said}", path.file_name().unwrap().display());
        assert!(said.contains(says), "{}\n  said:     {said}  expected: {says}", path.display());
    }
}
