//! What is taken, and how it is stored.

use serde_json::{Value, json};

use crate::server::{apply_status, create, plane, pool, target_pool, would_create};

#[test]
fn defaults_are_explicit_in_what_is_stored() {
    let stored = create(&pool("defaults", &json!({"worker": {}}))).unwrap();
    assert_eq!(
        stored["spec"],
        json!({
            "queue": {"sqs": {"queueURL": "https://sqs.eu-west-1.amazonaws.com/123456789012/masters"}},
            "masters": {"url": "s3://cats/in"},
            "output": {"url": "s3://cats/out/"},
            "minWorkers": 0,
            "maxWorkers": 3,
            "paused": false,
            "scaling": {
                "target": {"backlogPerWorker": 1},
                "scaleOut": {},
                "scaleIn": {"zeroAfterSeconds": 60},
                "pollSeconds": 1,
            },
            "worker": {"gracePeriodSeconds": 3600, "visibilityTimeoutSeconds": 120, "maxAttempts": 20},
        })
    );
    assert_eq!(stored["metadata"]["generation"], 1);
}

#[test]
fn what_is_set_is_never_overridden_and_nothing_is_put_beside_it() {
    let scaling = |scaling: Value| create_dry(&json!({ "scaling": scaling }))["spec"]["scaling"].clone();
    let by_time = scaling(json!({"target": {"drainWithinSeconds": 600}}));
    assert_eq!(by_time["target"], json!({"drainWithinSeconds": 600}));
    assert_eq!(by_time["pollSeconds"], 1);
    let slow = scaling(json!({"pollSeconds": 30, "scaleIn": {"idleSeconds": 5}}));
    assert_eq!(slow["target"], json!({"backlogPerWorker": 1}));
    assert_eq!(slow["scaleIn"], json!({"zeroAfterSeconds": 60, "idleSeconds": 5}));
    // Nothing is the same as not there, where there is a default.
    assert_eq!(scaling(json!(null))["pollSeconds"], 1);
    let target = would_create(&target_pool("target", &json!({"name": "mine"}))).unwrap();
    assert_eq!(
        target["spec"]["targetRef"],
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "mine"})
    );
    assert_eq!(target["spec"].get("worker"), None);
}

fn create_dry(change: &Value) -> Value {
    would_create(&pool("dry", change)).unwrap_or_else(|said| panic!("{change}: {said}"))
}

#[test]
fn what_is_good_is_taken() {
    for change in [
        json!({"minWorkers": 3}),
        json!({"maxWorkers": 100_000}),
        json!({"paused": true}),
        json!({"ladder": ["4320p", "2160p", "1440p", "1080p", "720p", "480p", "360p", "100p", "98p", "16p"]}),
        json!({"masters": {"url": "s3://cats"}, "output": {"url": "s3://dogs"}}),
        json!({"masters": {"url": "s3://cats/in"}, "output": {"url": "s3://cats/in-out"}}),
        json!({"masters": {"url": "s3://cats/a b/ü"}}),
        json!({"queue": {"sqs": {"queueURL": "http://127.0.0.1:4566/000000000000/masters"}}}),
        json!({"queue": {"sqs": {"deadLetterQueueURL": "https://sqs.eu-west-1.amazonaws.com/123456789012/dead.fifo"}}}),
        json!({"scaling": {"target": {"drainWithinSeconds": 604_800}, "scaleOut": {"maxStep": 1}, "scaleIn": {"maxStep": 1, "zeroAfterSeconds": 0}}}),
        json!({"profile": {}}),
        json!({"profile": {"name": "av1"}, "worker": {}}),
        json!({"profile": {"name": "fast"}, "worker": {"preset": "ultrafast"}}),
        json!({"profile": {
            "video": {"codec": "av1", "preset": 13, "crf": 63, "maxKbps": {"2160p": 100_000, "90p": 50}},
            "audio": {"kbps": 32, "loudness": -70},
            "packaging": ["dash", "mp4"], "segmentSeconds": 30, "poster": false, "storyboard": false,
            "chunkSeconds": 30, "quality": "vmaf",
        }}),
        json!({"profile": {"video": {"codec": "av1", "preset": "0"}}}),
        json!({"profile": {"video": {"preset": "placebo", "crf": 51}}}),
        json!({"worker": {
            "image": "registry.example.com:5000/worker@sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            "imagePullSecrets": [{"name": "a"}, {"name": "b"}],
            "serviceAccountName": "video.workers",
            "preset": "veryfast",
            "resources": {"requests": {"cpu": 2, "memory": "1.5Gi"}, "limits": {"memory": "3e9", "nvidia.com/gpu": 1}},
            "scratchSizeLimit": "50Gi",
            "template": {
                "metadata": {"labels": {"a": "b"}, "annotations": {"c": "d"}},
                "spec": {"nodeSelector": {"a": "b"}, "containers": [{"name": "worker", "env": [{"name": "A", "value": "b"}]}]},
            },
        }}),
    ] {
        create_dry(&change);
    }
    for name in ["a", "9-lives", &"x".repeat(46)] {
        would_create(&pool(name, &json!({}))).unwrap_or_else(|said| panic!("{said}"));
    }
    let port = json!({"name": "mine", "statusPort": 65_535});
    would_create(&target_pool("target", &port)).unwrap();
}

#[test]
fn a_template_is_stored_as_it_was_written() {
    let template = json!({"spec": {"containers": [{"name": "worker", "resources": {"limits": {"cpu": 2}}}], "unknown": {"to": ["us"]}}});
    let stored = create_dry(&json!({"worker": {"template": template}}));
    assert_eq!(stored["spec"]["worker"]["template"], template);
}

#[test]
fn the_status_is_written_apart_and_its_conditions_one_by_one() {
    let condition = |kind: &str, status: &str| json!({"type": kind, "status": status, "reason": "AllGood", "message": "", "lastTransitionTime": "2026-11-21T10:00:00Z", "observedGeneration": 1});
    let mut with_status = pool("status", &json!({}));
    with_status["status"] = json!({"desiredWorkers": 7});
    let stored = create(&with_status).unwrap();
    assert_eq!(stored.get("status"), None, "the status is not the users' to write");
    let whole = json!({
        "observedGeneration": 1, "desiredWorkers": 12, "replicas": 11, "selector": "reelpool.dev/pool=status",
        "workers": {"starting": 1, "idle": 2, "busy": 3, "draining": 4, "unreachable": 5},
        "lastDecision": {"reason": "Backlog", "message": "12 = ceil(12 / 1)", "backlog": 10, "inFlight": 2, "time": "2026-11-21T10:00:00.123456Z"},
        "conditions": [condition("Ready", "True")],
    });
    let stored = apply_status("status", "one", &whole).unwrap();
    assert_eq!(stored["status"], whole);
    assert_eq!(stored["metadata"]["generation"], 1);
    let stored =
        apply_status("status", "two", &json!({"conditions": [condition("Other", "False")]})).unwrap();
    assert_eq!(stored["status"]["conditions"].as_array().unwrap().len(), 2);
    let error =
        apply_status("status", "one", &json!({"conditions": [condition("Ready", "Perhaps")]})).unwrap_err();
    assert!(error.contains("supported values: \"True\", \"False\", \"Unknown\""), "{error}");
}

#[test]
fn the_schema_is_structural_and_its_names_are_accepted() {
    let crd = plane().kubectl(&["get", "crd", "workerpools.reelpool.dev", "-o", "json"]).ok();
    let crd: Value = serde_json::from_str(&crd).unwrap();
    let conditions = crd["status"]["conditions"].as_array().unwrap();
    let told: Vec<_> =
        conditions.iter().map(|c| (c["type"].as_str().unwrap(), c["status"].as_str().unwrap())).collect();
    assert_eq!(told, [("NamesAccepted", "True"), ("Established", "True")]);
    assert_eq!(crd["spec"]["versions"][0]["subresources"], json!({"status": {}}));
}
