//! What may change later, and what may not.

use serde_json::json;

use crate::server::{change, create, pool, target_pool};

#[test]
fn a_pool_follows_one_queue_for_ever() {
    create(&pool("one-queue", &json!({}))).unwrap();
    let said =
        change("one-queue", &json!({"queue": {"sqs": {"queueURL": "https://h/1/other"}}})).unwrap_err();
    assert!(said.contains("spec.queue.sqs.queueURL: Invalid value"), "{said}");
    assert!(said.contains("queueURL is immutable: make a new WorkerPool for another queue"), "{said}");
    let said = change("one-queue", &json!({"queue": {"sqs": null}})).unwrap_err();
    assert!(said.contains("the kind of queue is immutable"), "{said}");
    // The other queue may come, change and go.
    for dead_letters in [json!("https://h/1/dead"), json!("https://h/1/other"), json!(null)] {
        change("one-queue", &json!({"queue": {"sqs": {"deadLetterQueueURL": dead_letters}}})).unwrap();
    }
}

#[test]
fn a_pool_keeps_its_kind_of_fleet_and_its_target() {
    create(&pool("own", &json!({}))).unwrap();
    create(&target_pool("theirs", &json!({"name": "mine"}))).unwrap();
    let moved = "targetRef can neither be added nor removed later: make a new WorkerPool";
    let to_theirs = json!({"masters": null, "output": null, "targetRef": {"name": "mine"}});
    assert!(change("own", &to_theirs).unwrap_err().contains(moved));
    let to_own =
        json!({"masters": {"url": "s3://cats/in"}, "output": {"url": "s3://cats/out"}, "targetRef": null});
    assert!(change("theirs", &to_own).unwrap_err().contains(moved));
    let said = change("theirs", &json!({"targetRef": {"name": "other"}})).unwrap_err();
    assert!(said.contains("spec.targetRef.name: Invalid value"), "{said}");
    assert!(said.contains("what targetRef names is immutable: make a new WorkerPool"), "{said}");
    // That the pods begin to speak the status protocol is no other Deployment.
    for port in [json!(8080), json!(9090), json!(null)] {
        change("theirs", &json!({"targetRef": {"statusPort": port}})).unwrap();
    }
}

#[test]
fn everything_else_may_change() {
    create(&pool("changing", &json!({}))).unwrap();
    for (generation, spec) in (2..).zip([
        json!({"minWorkers": 1, "maxWorkers": 9, "paused": true}),
        json!({"masters": {"url": "s3://dogs/in"}, "output": {"url": "s3://dogs/out"}}),
        json!({"ladder": ["720p"]}),
        json!({"ladder": null}),
        json!({"worker": {"image": "w:2", "template": {"spec": {"nodeSelector": {"a": "b"}}}}}),
        json!({"worker": null}),
        json!({"scaling": {"target": {"backlogPerWorker": null, "drainWithinSeconds": 60}}}),
        json!({"scaling": {"pollSeconds": 5, "scaleIn": {"idleSeconds": 9}}}),
    ]) {
        let stored = change("changing", &spec).unwrap_or_else(|said| panic!("{spec}: {said}"));
        assert_eq!(stored["metadata"]["generation"], generation, "{spec}");
    }
    // One target is taken for the other, never added to it.
    let said = change("changing", &json!({"scaling": {"target": {"backlogPerWorker": 1}}})).unwrap_err();
    assert!(said.contains("target must have exactly one"), "{said}");
}
