use k8s_openapi::api::core::v1::Volume;
use serde_json::{Value, json};

use super::*;

fn base() -> Value {
    json!({
        "metadata": {"labels": {"reelpool.dev/pool": "cats"}, "annotations": {"karpenter.sh/do-not-disrupt": "true"}},
        "spec": {
            "terminationGracePeriodSeconds": 3600,
            "securityContext": {"runAsNonRoot": true, "runAsUser": 65532},
            "containers": [{
                "name": "worker",
                "image": "worker:1",
                "args": ["run"],
                "env": [{"name": "REELPOOL_LADDER", "value": "720p"}],
                "ports": [{"name": "status", "containerPort": 8080}],
                "readinessProbe": {"httpGet": {"path": "/readyz", "port": "status"}, "periodSeconds": 1},
                "resources": {"limits": {"cpu": "2", "memory": "2Gi"}},
                "volumeMounts": [{"name": "scratch", "mountPath": "/scratch"}],
            }],
            "volumes": [{"name": "scratch", "emptyDir": {"sizeLimit": "50Gi"}}],
        },
    })
}

/// What is at `pointer` after `over` was laid on the base.
fn at(over: Value, pointer: &str) -> Value {
    let mut template: PodTemplateSpec = serde_json::from_value(base()).unwrap();
    lay(&mut template, serde_json::from_value(over).unwrap());
    serde_json::to_value(template).unwrap().pointer(pointer).cloned().unwrap_or_default()
}

fn worker(part: Value) -> Value {
    let mut container = json!({"name": "worker"});
    container.merge_from(part);
    json!({"spec": {"containers": [container]}})
}

#[test]
fn nothing_changes_nothing() {
    assert_eq!(at(json!({}), ""), base());
    assert_eq!(at(json!({"metadata": {}, "spec": {"containers": []}}), ""), base());
}

#[test]
fn what_is_new_is_added_and_what_is_there_stays() {
    let cases = [
        (
            json!({"spec": {"containers": [{"name": "sidecar", "image": "s"}]}}),
            "/spec/containers/1",
            json!({"name": "sidecar", "image": "s"}),
        ),
        (
            worker(json!({"env": [{"name": "AWS_REGION", "value": "eu-west-1"}]})),
            "/spec/containers/0/env",
            json!([{"name": "REELPOOL_LADDER", "value": "720p"}, {"name": "AWS_REGION", "value": "eu-west-1"}]),
        ),
        (json!({"spec": {"nodeSelector": {"pool": "spot"}}}), "/spec/nodeSelector", json!({"pool": "spot"})),
        (
            json!({"spec": {"tolerations": [{"key": "spot", "operator": "Exists"}]}}),
            "/spec/tolerations",
            json!([{"key": "spot", "operator": "Exists"}]),
        ),
        (
            json!({"metadata": {"labels": {"team": "cats"}}}),
            "/metadata/labels",
            json!({"reelpool.dev/pool": "cats", "team": "cats"}),
        ),
        (
            worker(json!({"volumeMounts": [{"name": "cache", "mountPath": "/cache"}]})),
            "/spec/containers/0/volumeMounts",
            json!([{"name": "scratch", "mountPath": "/scratch"}, {"name": "cache", "mountPath": "/cache"}]),
        ),
        (
            worker(json!({"ports": [{"name": "more", "containerPort": 9000}]})),
            "/spec/containers/0/ports/0",
            json!({"name": "status", "containerPort": 8080}),
        ),
    ];
    for (over, pointer, expected) in cases {
        assert_eq!(at(over.clone(), pointer), expected, "{over}");
    }
}

#[test]
fn what_is_named_is_changed() {
    let cases = [
        (worker(json!({"imagePullPolicy": "Always"})), "/spec/containers/0/imagePullPolicy", json!("Always")),
        (worker(json!({"image": "mine:2"})), "/spec/containers/0/image", json!("mine:2")),
        (
            worker(json!({"resources": {"limits": {"cpu": 8}, "requests": {"cpu": "1"}}})),
            "/spec/containers/0/resources",
            json!({"limits": {"cpu": "8", "memory": "2Gi"}, "requests": {"cpu": "1"}}),
        ),
        (
            worker(json!({"readinessProbe": {"periodSeconds": 5}})),
            "/spec/containers/0/readinessProbe",
            json!({"httpGet": {"path": "/readyz", "port": "status"}, "periodSeconds": 5}),
        ),
        (
            json!({"spec": {"securityContext": {"runAsUser": 1000}}}),
            "/spec/securityContext",
            json!({"runAsNonRoot": true, "runAsUser": 1000}),
        ),
        (
            json!({"metadata": {"annotations": {"karpenter.sh/do-not-disrupt": "false"}}}),
            "/metadata/annotations",
            json!({"karpenter.sh/do-not-disrupt": "false"}),
        ),
    ];
    for (over, pointer, expected) in cases {
        assert_eq!(at(over.clone(), pointer), expected, "{over}");
    }
}

#[test]
fn a_volume_of_the_same_name_takes_the_place_of_ours() {
    let claim = json!({"volumeClaimTemplate": {"spec": {"storageClassName": "nvme"}}});
    let over = json!({"spec": {"volumes": [{"name": "scratch", "ephemeral": claim}, {"name": "more", "emptyDir": {}}]}});
    let volumes: Vec<Volume> = serde_json::from_value(at(over, "/spec/volumes")).unwrap();
    assert_eq!(volumes.len(), 2);
    assert!(volumes[0].empty_dir.is_none() && volumes[0].ephemeral.is_some());
}
