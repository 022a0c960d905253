//! Everything that the chart renders, before the real API server: known fields only, and no pod that Pod Security
//! `restricted` would refuse.

use reelpool_cluster::{ControlPlane, Settings};
use serde_json::{Value, json};

use crate::helm::{NAMESPACE, chart, documents, eventually, file, template};

#[test]
fn the_api_server_takes_what_the_chart_renders() {
    let plane = ControlPlane::start(Settings::api_only());
    for namespace in [NAMESPACE, "media", "archive"] {
        plane.apply(&restricted(namespace));
        // Without a controller-manager nobody makes the account that pods have by default.
        let _ = plane.kubectl(&["create", "serviceaccount", "default", "-n", namespace]).ok();
    }
    plane.apply(&std::fs::read_to_string(file("monitoring-crds.yaml")).unwrap());
    eventually("the monitors' kinds are served", || {
        plane.kubectl(&["get", "servicemonitors,podmonitors"]).status.success()
    });

    for values in ["everything", "one-namespace"] {
        let rendered = template(&["--values", &file(&format!("values/{values}.yaml")).display().to_string()]);
        check(&plane, values, &rendered);
    }
    let rendered = template(&[]);
    check(&plane, "defaults", &rendered);

    // The test must be able to see what it looks for.
    let loose = rendered.replace("allowPrivilegeEscalation: false", "allowPrivilegeEscalation: true");
    assert!(dry_run(&plane, &loose).is_err(), "a pod that may escalate was taken");
    let unknown = rendered.replace("revisionHistoryLimit", "revisionHistoryLimits");
    assert!(dry_run(&plane, &unknown).is_err(), "an unknown field was taken");
}

/// A namespace in which pods must be restricted, and Deployments of others are warned of.
fn restricted(namespace: &str) -> String {
    let labels =
        ["enforce", "warn"].map(|mode| (format!("pod-security.kubernetes.io/{mode}"), "restricted".into()));
    let labels: serde_json::Map<String, Value> = labels.into_iter().collect();
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": labels}})
        .to_string()
}

fn check(plane: &ControlPlane, what: &str, rendered: &str) {
    if let Err(said) = dry_run(plane, rendered) {
        panic!("{what}: {said}");
    }
}

/// Asks the API server to take all objects, and the pods of the Deployments, without keeping any.
fn dry_run(plane: &ControlPlane, rendered: &str) -> Result<(), String> {
    let objects = documents(rendered);
    assert!(objects.len() > 5, "only {} objects were rendered", objects.len());
    let pods = objects.iter().filter(|object| object["kind"] == "Deployment").map(pod_of);
    // Nobody makes the account here; the pod's own rules are what is asked for.
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects.iter().cloned().chain(pods).collect::<Vec<_>>()});
    let args = ["apply", "--dry-run=server", "--server-side", "--validate=strict", "-f", "-"];
    let ran = plane.kubectl_with(&args, &list.to_string());
    if ran.status.success() && !ran.stderr.contains("Warning") { Ok(()) } else { Err(ran.to_string()) }
}

/// The pod that a Deployment would start.
fn pod_of(deployment: &Value) -> Value {
    let mut pod = deployment["spec"]["template"].clone();
    pod["apiVersion"] = json!("v1");
    pod["kind"] = json!("Pod");
    pod["metadata"]["name"] = json!("of-the-deployment");
    pod["metadata"]["namespace"] = deployment["metadata"]["namespace"].clone();
    // Accounts and priority classes are made by others, and not within a dry run.
    pod["spec"]
        .as_object_mut()
        .unwrap()
        .retain(|field, _| field != "serviceAccountName" && field != "priorityClassName");
    pod
}

/// Whatever is not for a cluster as a whole stands in a namespace that it names.
#[test]
fn every_object_says_where_it_belongs() {
    let cluster_wide = [
        "ClusterRole",
        "ClusterRoleBinding",
        "CustomResourceDefinition",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
    ];
    let everything = file("values/everything.yaml").display().to_string();
    let mut seen = 0;
    for object in documents(&template(&["--values", &everything])) {
        let kind = object["kind"].as_str().unwrap();
        let named = object["metadata"]["namespace"].is_string();
        assert_eq!(named, !cluster_wide.contains(&kind), "{kind} {}", object["metadata"]["name"]);
        assert_eq!(object["metadata"]["labels"]["app.kubernetes.io/part-of"], "reelpool", "{kind}");
        seen += 1;
    }
    assert!(seen > 20, "only {seen} objects of {}", chart());
}
