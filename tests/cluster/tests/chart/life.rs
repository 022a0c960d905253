//! Install, upgrade, uninstall, and back again, on a real API server.

use std::path::Path;

use reelpool_cluster::{ControlPlane, Settings};
use serde_json::Value;
use tempfile::TempDir;

use crate::helm::{NAMESPACE, RELEASE, chart, documents, eventually, install};

const CRD: &str = "workerpools.reelpool.dev";
const KEY: &str = "reelpool-drain-key";

#[test]
fn an_upgrade_brings_the_new_crd_and_an_uninstall_keeps_what_is_dear() {
    let plane = ControlPlane::start(Settings::default());
    let (_folder, previous) = previous_chart();
    let installed = plane.helm(&["install", RELEASE, &previous, "-n", NAMESPACE, "--create-namespace"]).ok();
    established(&plane);
    assert!(!has_field(&plane, "paused"), "the previous CRD has the field already");

    let manifest = manifest_in(&installed);
    make_namespace_of(&plane, &installed);
    plane.apply(&manifest);
    let uid = pool_uid(&plane);
    // As the operator does it.
    let key = r#"{"data":{"key":"c2VjcmV0"}}"#;
    let _ = plane.kubectl(&["patch", "secret", KEY, "-n", NAMESPACE, "--type=merge", "-p", key]).ok();
    let account = (NAMESPACE, "reelpool-operator");
    eventually("the operator's account is there", || {
        plane.kubectl(&["get", "serviceaccount", "-n", account.0, account.1]).status.success()
    });

    let _ = plane.helm(&["upgrade", RELEASE, &chart(), "-n", NAMESPACE]).ok();
    eventually("the upgraded CRD is served", || has_field(&plane, "paused"));
    let pause = r#"{"spec":{"paused":true}}"#;
    eventually("the new field is taken", || {
        let _ = plane
            .kubectl(&["patch", "workerpool", "cattube", "-n", "media", "--type=merge", "-p", pause])
            .ok();
        plane.kubectl(&["get", "workerpool", "cattube", "-n", "media", "-o", "jsonpath={.spec.paused}"]).ok()
            == "true"
    });
    assert_eq!(pool_uid(&plane), uid);
    assert_eq!(key_of(&plane), "c2VjcmV0");

    let said = plane.helm(&["uninstall", RELEASE, "-n", NAMESPACE]).ok();
    assert!(said.contains(CRD) && said.contains(KEY), "it does not say what was kept: {said}");
    assert_eq!(pool_uid(&plane), uid);
    assert_eq!(key_of(&plane), "c2VjcmV0");
    let left = plane
        .kubectl(&["get", EVERYTHING, "-A", "-o", "name", "-l", "app.kubernetes.io/part-of=reelpool"])
        .ok();
    let mut left: Vec<&str> = left.lines().collect();
    left.sort_unstable();
    assert_eq!(
        left,
        [format!("customresourcedefinition.apiextensions.k8s.io/{CRD}"), format!("secret/{KEY}")]
    );

    let _ = install(&plane, &[]);
    assert_eq!(pool_uid(&plane), uid);
    assert_eq!(key_of(&plane), "c2VjcmV0");
}

/// All kinds that the chart makes, but the monitors.
const EVERYTHING: &str = "crd,secrets,serviceaccounts,services,deployments,networkpolicies,poddisruptionbudgets,\
     roles,rolebindings,clusterroles,clusterrolebindings,configmaps,\
     validatingadmissionpolicies,validatingadmissionpolicybindings";

#[test]
fn a_crd_that_somebody_else_brought_is_taken_over_only_when_told_to() {
    let plane = ControlPlane::start(Settings::api_only());
    let file = format!("{}/files/crds/reelpool.dev_workerpools.yaml", chart());
    let _ = plane.kubectl(&["create", "-f", &file]).ok();
    let chart = chart();
    let plain = ["install", RELEASE, &chart, "-n", NAMESPACE, "--create-namespace"];
    let refused = plane.helm(&plain).refused();
    // The words that README.md explains.
    let words = format!("CustomResourceDefinition \"{CRD}\" in namespace \"\" exists and cannot be imported");
    assert!(refused.contains(&words), "{refused}");
    let _ = plane.helm(&[&plain[..], &["--take-ownership"]].concat()).ok();
    let policy = r"jsonpath={.metadata.annotations.helm\.sh/resource-policy}";
    assert_eq!(plane.kubectl(&["get", "crd", CRD, "-o", policy]).ok(), "keep");

    let second = ["install", "second", &chart, "-n", "elsewhere", "--create-namespace", "--set"];
    let refused = plane.helm(&[&second[..], &["crds.install=false"]].concat()).refused();
    let words = "ClusterRole \"reelpool-operator-pools\" in namespace \"\" exists and cannot be imported";
    assert!(refused.contains(words), "{refused}");
    let _ = plane.kubectl(&["create", "namespace", "media"]).ok();
    let own = "crds.install=false,rbac.aggregateToDefaultRoles=false,watchNamespace=media";
    let _ = plane.helm(&[&second[..], &[own]].concat()).ok();
}

#[test]
fn the_notes_name_things_that_are_there() {
    let plane = ControlPlane::start(Settings::api_only());
    let notes = install(&plane, &["--set", "aws.region=eu-central-1,workerServiceAccount.create=true"]);
    let deployment = notes
        .lines()
        .find_map(|line| line.trim().strip_prefix("kubectl --namespace reelpool-system rollout status "));
    let deployment = deployment.unwrap_or_else(|| panic!("no rollout in\n{notes}"));
    let _ = plane.kubectl(&["get", "-n", NAMESPACE, deployment]).ok();
    assert!(notes.contains("create-pod-identity-association"), "{notes}");
    established(&plane);

    let manifest = manifest_in(&notes);
    plane.apply(&manifest);
    let pool = &documents(&manifest)[0];
    assert_eq!(pool["metadata"]["namespace"], NAMESPACE);
    assert!(pool["spec"]["queue"]["sqs"]["queueURL"].as_str().unwrap().contains("eu-central-1"));
    let account = pool["spec"]["worker"]["serviceAccountName"].as_str().unwrap();
    let _ = plane.kubectl(&["get", "serviceaccount", "-n", NAMESPACE, account]).ok();

    let role = r"serviceAccount.annotations.eks\.amazonaws\.com/role-arn=arn:aws:iam::1:role/counts";
    let notes = plane.helm(&["upgrade", RELEASE, &chart(), "-n", NAMESPACE, "--set-string", role]).ok();
    assert!(notes.contains("arn:aws:iam::1:role/counts"), "{notes}");
    assert!(!notes.contains("create-pod-identity-association"), "{notes}");
    let endpoint = "aws.endpointURL=http://10.0.0.9:4566,crds.install=false";
    let notes = plane.helm(&["upgrade", RELEASE, &chart(), "-n", NAMESPACE, "--set", endpoint]).ok();
    assert!(notes.contains("extraEnvFrom") && notes.contains("http://10.0.0.9:4566/"), "{notes}");
    make_namespace_of(&plane, &notes);
    plane.apply(&manifest_in(&notes));
}

/// Makes the namespace that the notes tell the user to make, if they do.
fn make_namespace_of(plane: &ControlPlane, notes: &str) {
    let made = notes.lines().find_map(|line| line.trim().strip_prefix("kubectl create namespace "));
    if let Some(name) = made {
        plane.apply(&format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {name}}}}}"));
    }
}

/// The manifest that the notes tell the user to apply.
fn manifest_in(notes: &str) -> String {
    let (_, rest) =
        notes.split_once("kubectl apply -f - <<EOF\n").unwrap_or_else(|| panic!("no manifest in\n{notes}"));
    let indented = rest.lines().take_while(|line| line.trim() != "EOF");
    indented.map(|line| line.strip_prefix("     ").unwrap_or(line)).collect::<Vec<_>>().join("\n")
}

/// The chart as it was before the CRD had the field `paused`.
fn previous_chart() -> (TempDir, String) {
    let folder = TempDir::new().unwrap();
    let copy = folder.path().join("reelpool");
    copy_folder(Path::new(&chart()), &copy);
    let path = copy.join("files/crds/reelpool.dev_workerpools.yaml");
    let mut crd: Value = documents(&std::fs::read_to_string(&path).unwrap()).remove(0);
    let schema = &mut crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    let removed = schema["properties"]["spec"]["properties"].as_object_mut().unwrap().remove("paused");
    assert!(removed.is_some(), "the CRD has no field `paused` any more: take another");
    std::fs::write(&path, crd.to_string()).unwrap();
    (folder, copy.display().to_string())
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn established(plane: &ControlPlane) {
    let _ = plane.kubectl(&["wait", "--for=condition=Established", "--timeout=60s", "crd", CRD]).ok();
}

fn has_field(plane: &ControlPlane, field: &str) -> bool {
    let path = "jsonpath={.spec.versions[0].schema.openAPIV3Schema.properties.spec.properties}";
    let fields: Value = serde_json::from_str(&plane.kubectl(&["get", "crd", CRD, "-o", path]).ok()).unwrap();
    fields.get(field).is_some()
}

fn pool_uid(plane: &ControlPlane) -> String {
    let uid = plane
        .kubectl(&["get", "workerpool", "cattube", "-n", "media", "-o", "jsonpath={.metadata.uid}"])
        .ok();
    assert!(!uid.is_empty());
    uid
}

fn key_of(plane: &ControlPlane) -> String {
    plane.kubectl(&["get", "secret", KEY, "-n", NAMESPACE, "-o", "jsonpath={.data.key}"]).ok()
}
