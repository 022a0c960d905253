//! Helm without a cluster, and its YAML as values.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use reelpool_cluster::{ControlPlane, tool};
use serde::Deserialize as _;
use serde_json::Value;
use tempfile::TempDir;

/// The release's name and namespace in all tests: what the README uses.
pub const RELEASE: &str = "reelpool";
pub const NAMESPACE: &str = "reelpool-system";

/// The folder of the chart.
pub fn chart() -> String {
    reelpool_tests::repository().join("charts/reelpool").display().to_string()
}

/// A file of these tests.
pub fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/chart").join(name)
}

/// Runs helm; `Err` is what it complained of.
pub fn helm(args: &[&str]) -> Result<String, String> {
    let home = TempDir::new().unwrap();
    let mut command = Command::new(tool("helm"));
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if ["KUBE", "HELM_", "XDG_"].iter().any(|prefix| name.starts_with(prefix)) {
            command.env_remove(&*name);
        }
    }
    let output = command.args(args).env("HOME", home.path()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

/// What the chart renders with these arguments; `Err` is what helm complained of.
pub fn try_template(args: &[&str]) -> Result<String, String> {
    let chart = chart();
    let mut all = vec!["template", RELEASE, &chart, "--namespace", NAMESPACE];
    all.extend(args);
    helm(&all)
}

/// What the chart renders with these arguments.
pub fn template(args: &[&str]) -> String {
    try_template(args).unwrap_or_else(|error| panic!("{args:?}: {error}"))
}

/// The documents of a stream of YAML.
pub fn documents(yaml: &str) -> Vec<Value> {
    serde_yaml::Deserializer::from_str(yaml)
        .map(|document| Value::deserialize(document).unwrap())
        .filter(|document| !document.is_null())
        .collect()
}

/// The one object of this kind and name.
pub fn object<'a>(documents: &'a [Value], kind: &str, name: &str) -> &'a Value {
    let mut found =
        documents.iter().filter(|object| object["kind"] == kind && object["metadata"]["name"] == name);
    let object = found.next().unwrap_or_else(|| panic!("there is no {kind} {name}"));
    assert!(found.next().is_none(), "there are two of {kind} {name}");
    object
}

/// Installs the chart as the README says, with more arguments; returns what helm printed.
pub fn install(plane: &ControlPlane, args: &[&str]) -> String {
    let chart = chart();
    let mut all = vec!["install", RELEASE, &chart, "--namespace", NAMESPACE, "--create-namespace"];
    all.extend(args);
    plane.helm(&all).ok()
}

/// Waits until `condition` holds; panics when that takes far longer than it ever should.
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(120), "not within two minutes: {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}
