//! The laws of the house that Cargo can hold: who may depend on whom.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;
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
