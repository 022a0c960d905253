use serde_json::json;

use super::*;

fn deployment(replicas: &serde_json::Value, managers: &[&str]) -> Deployment {
    let fields = |manager: &&str| {
        json!({
            "manager": manager, "operation": "Update", "apiVersion": "apps/v1", "fieldsType": "FieldsV1",
            "fieldsV1": {"f:spec": {"f:replicas": {}}},
        })
    };
    let managed: Vec<_> = managers.iter().map(fields).collect();
    serde_json::from_value(json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {
            "name": "cats-workers", "uid": "u1", "resourceVersion": "41", "generation": 3,
            "managedFields": managed,
            "labels": {"reelpool.dev/pool": "cats", "cost-centre": "7"},
            "ownerReferences": [{"apiVersion": "reelpool.dev/v1alpha1", "kind": "WorkerPool", "name": "cats", "uid": "p1", "controller": true}],
        },
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"reelpool.dev/pool": "cats"}},
            "template": {"metadata": {"labels": {"reelpool.dev/pool": "cats"}}},
        },
        "status": {"observedGeneration": 3, "replicas": 4, "updatedReplicas": 4},
    }))
    .unwrap()
}

#[test]
fn what_is_read_survives_the_trim() {
    let whole = deployment(&json!(5), &["reelpool-scaler", "kubectl"]);
    let view = DeploymentView::from(&whole);
    let mut trimmed = whole;
    trim(&mut trimmed);
    assert_eq!(DeploymentView::from(&trimmed), view);
    assert_eq!((view.replicas, view.pods, view.selector.as_str()), (5, 4, "reelpool.dev/pool=cats"));
    assert_eq!(view.controller.as_deref(), Some("p1"));
    assert_eq!(view.other_writer.as_deref(), Some("kubectl"));
    assert!(!view.is_rolling_out());
    let labels = |value: &str| [("reelpool.dev/pool".to_owned(), value.to_owned())].into();
    assert!(view.has_labels(&labels("cats")) && !view.has_labels(&labels("dogs")));
}

#[test]
fn no_number_means_one_as_for_the_api_server() {
    assert_eq!(DeploymentView::from(&deployment(&json!(null), &[])).replicas, 1);
}

#[test]
fn the_number_is_handed_over_once() {
    let needs = |managers: &[&str]| DeploymentView::from(&deployment(&json!(0), managers)).needs_hand_over;
    assert!(needs(&[MANAGER]));
    assert!(!needs(&[MANAGER, SCALER]));
    assert!(!needs(&[SCALER]));
    assert!(!needs(&["kubectl"]));
}

#[test]
fn versions_are_compared_as_numbers() {
    let view = |version: &str| DeploymentView {
        resource_version: version.into(),
        ..DeploymentView::from(&deployment(&json!(1), &[]))
    };
    assert!(view("100").is_later_than(&view("99")));
    assert!(!view("99").is_later_than(&view("99")));
    assert!(!view("x").is_later_than(&view("99")));
}
