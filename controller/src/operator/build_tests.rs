use std::path::Path;

use reelpool_api::WorkerPool;
use serde_json::{Value, json};

use super::*;
use crate::args::LogFormat;
use crate::operator::validate::{Defaults, ValidFleet, validate};

/// Set to write the golden files anew.
const UPDATE: &str = "REELPOOL_UPDATE_GOLDEN";

fn built(pool: Value, endpoint_url: Option<&str>) -> Deployment {
    let pool: WorkerPool = serde_json::from_value(pool).unwrap();
    let defaults = Defaults {
        worker_image: "registry.example.com/reelpool-worker:0.1.0".to_owned(),
        endpoint_url: endpoint_url.map(str::to_owned),
        drain_token_sha256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad".to_owned(),
        log_format: LogFormat::Json,
    };
    let valid = validate(&pool, &defaults).unwrap();
    let ValidFleet::Owned(settings) = &valid.fleet else { panic!("somebody else's") };
    let owner = kube::Resource::controller_owner_ref(&pool, &()).unwrap();
    deployment(&valid, settings, &owner)
}

fn minimal() -> Value {
    json!({
        "apiVersion": "reelpool.dev/v1alpha1",
        "kind": "WorkerPool",
        "metadata": {"name": "cats", "namespace": "video", "uid": "0b5a4cf8-1b7e-4b63-a1d4-4c1f6f3f0a11", "generation": 1},
        "spec": {
            "queue": {"sqs": {"queueURL": "https://sqs.eu-west-1.amazonaws.com/123456789012/masters"}},
            "masters": {"url": "s3://cats-masters"},
            "output": {"url": "s3://cats-renditions/"},
            "maxWorkers": 1337,
        },
    })
}

fn full() -> Value {
    let mut pool = minimal();
    let dead = "https://sqs.eu-west-1.amazonaws.com/123456789012/masters-dead";
    pool["spec"]["queue"]["sqs"]["deadLetterQueueURL"] = json!(dead);
    pool["spec"]["ladder"] = json!(["360p", "1080p", "720p"]);
    pool["spec"]["profile"] = json!({"video": {"crf": 20, "maxKbps": {"1080p": 6000}}, "packaging": ["hls"]});
    pool["spec"]["worker"] = json!({
        "image": "registry.example.com/mine:2",
        "imagePullSecrets": [{"name": "registry"}],
        "serviceAccountName": "video-workers",
        "gracePeriodSeconds": 7200,
        "visibilityTimeoutSeconds": 60,
        "maxAttempts": 5,
        "preset": "veryfast",
        "resources": {"requests": {"cpu": 4, "memory": "2Gi"}, "limits": {"memory": "4Gi"}},
        "scratchSizeLimit": "50Gi",
        "template": {
            "metadata": {"labels": {"team": "cats"}, "annotations": {"example.com/cost-centre": "7"}},
            "spec": {
                "nodeSelector": {"node.kubernetes.io/instance-type": "c7g.2xlarge"},
                "tolerations": [{"key": "spot", "operator": "Exists"}],
                "topologySpreadConstraints": [{
                    "maxSkew": 1,
                    "topologyKey": "topology.kubernetes.io/zone",
                    "whenUnsatisfiable": "ScheduleAnyway",
                    "labelSelector": {"matchLabels": {"reelpool.dev/pool": "cats"}},
                }],
                "containers": [
                    {"name": "worker", "env": [{"name": "REELPOOL_THREADS", "value": "4"}], "imagePullPolicy": "Always"},
                    {"name": "logs", "image": "registry.example.com/logs:1"},
                ],
                "volumes": [{"name": "cache", "emptyDir": {}}],
            },
        },
    });
    pool
}

/// Compares with the golden file, or writes it.
fn golden(name: &str, deployment: &Deployment) {
    let mut value = serde_json::to_value(deployment).unwrap();
    value.sort_all_objects();
    let text = serde_saphyr::to_string(&value).unwrap();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("src/operator/golden/{name}.yaml"));
    if std::env::var_os(UPDATE).is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == text,
        "{} differs; if that is meant: {UPDATE}=1 cargo test -p reelpool golden\n{text}",
        path.display()
    );
}

#[test]
fn golden_minimal() {
    golden("minimal", &built(minimal(), None));
}

#[test]
fn golden_full() {
    golden("full", &built(full(), Some("http://10.0.0.9:4566")));
}

#[test]
fn the_number_of_replicas_is_left_to_its_writer() {
    assert_eq!(built(minimal(), None).spec.unwrap().replicas, None);
}

#[test]
fn the_selector_is_the_pools_name_alone_and_selects_the_pods() {
    let spec = built(full(), None).spec.unwrap();
    let selector = spec.selector.match_labels.unwrap();
    assert_eq!(selector, [("reelpool.dev/pool".to_owned(), "cats".to_owned())].into());
    let labels = spec.template.metadata.unwrap().labels.unwrap();
    assert_eq!(labels["reelpool.dev/pool"], "cats");
    assert_eq!(labels["team"], "cats");
}

#[test]
fn it_goes_with_its_pool() {
    let owner = built(minimal(), None).metadata.owner_references.unwrap().remove(0);
    assert_eq!((owner.kind.as_str(), owner.name.as_str()), ("WorkerPool", "cats"));
    assert_eq!((owner.controller, owner.block_owner_deletion), (Some(true), Some(true)));
}

#[test]
fn a_worker_gives_up_before_it_is_killed() {
    let pod = built(full(), None).spec.unwrap().template.spec.unwrap();
    let env = pod.containers[0].env.clone().unwrap();
    let grace = env.iter().find(|variable| variable.name == "REELPOOL_GRACE").unwrap();
    let grace: i64 = grace.value.as_ref().unwrap().parse().unwrap();
    assert!(grace < pod.termination_grace_period_seconds.unwrap(), "{grace}");
}

#[test]
fn nothing_changes_by_itself() {
    assert_eq!(built(full(), None), built(full(), None));
}
