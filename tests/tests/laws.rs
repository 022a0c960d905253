//! The laws of the house that Cargo can hold, who may depend on whom; and that each promise has its test.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// All crates that `package` is built from, itself left out, the tools of its build left out.
fn built_from(package: &str) -> BTreeSet<String> {
    let arguments =
        ["tree", "--locked", "--edges", "normal,no-proc-macro", "--prefix", "none", "--package", package];
    let tree = Command::new(env!("CARGO")).args(arguments).arg("--format={p}").output().unwrap();
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let text = String::from_utf8(tree.stdout).unwrap();
    let names = text.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned);
    names.filter(|name| name != package).collect()
}

fn none_of(package: &str, forbidden: &[&str]) {
    let built_from = built_from(package);
    let found: Vec<_> =
        built_from.iter().filter(|name| forbidden.iter().any(|word| name.starts_with(word))).collect();
    assert!(found.is_empty(), "{package} must not be built from {found:?}");
}

#[test]
fn the_core_is_built_from_serde_and_thiserror_alone() {
    let allowed = ["serde", "serde_core", "thiserror"].map(str::to_owned);
    let more: Vec<_> =
        built_from("reelpool-core").into_iter().filter(|name| !allowed.contains(name)).collect();
    assert!(more.is_empty(), "reelpool-core must not be built from {more:?}");
}

#[test]
fn controller_and_worker_meet_in_the_protocol_only() {
    none_of("reelpool", &["reelpool-worker", "reelpool-media", "aws-sdk-s3"]);
    none_of("reelpool-worker", &["reelpool-core", "kube"]);
}

#[test]
fn nothing_that_touches_video_can_reach_the_network() {
    none_of("reelpool-media", &["aws-", "hyper", "axum", "rustls", "reqwest", "http", "reelpool-aws"]);
}

#[test]
fn outside_input_is_parsed_without_files_and_sockets() {
    none_of("reelpool-protocol", &["tokio", "rusqlite", "rustix", "aws-", "hyper"]);
}

#[test]
fn every_promise_has_a_test_named_after_it() {
    let root = reelpool_tests::repository();
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    let (_, promises) = readme.split_once("## Promises").unwrap();
    let (promises, _) = promises.split_once("\n## ").unwrap();
    let number = |line: &str| line.split_once(". **").and_then(|(number, _)| number.parse::<u32>().ok());
    let numbers: Vec<u32> = promises.lines().filter_map(number).collect();
    assert_eq!(numbers, (1..=9).collect::<Vec<_>>(), "the promises of the README");
    let sources: Vec<String> =
        rust_files(&root).iter().map(|file| std::fs::read_to_string(file).unwrap()).collect();
    for number in numbers {
        let name = format!("fn promise_{number}_");
        assert!(sources.iter().any(|source| source.contains(&name)), "no test is called {name}…");
    }
}

/// The sources of all tests.
fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            files.extend(rust_files(&path));
        } else if name.ends_with(".rs") && name != "laws.rs" {
            files.push(path);
        }
    }
    files
}
