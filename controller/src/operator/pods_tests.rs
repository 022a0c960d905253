use serde_json::{Value, json};

use super::*;

fn pod(changes: &[(&str, Value)]) -> Pod {
    let mut pod = json!({
        "metadata": {
            "name": "cats-workers-6d4f8c-x1", "namespace": "video", "uid": "u1",
            "creationTimestamp": "2026-11-21T10:00:00Z",
            "labels": {"reelpool.dev/pool": "cats", "pod-template-hash": "6d4f8c"},
            "annotations": {DELETION_COST: TO_GO.to_string(), "other": "x"},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "cats-workers-6d4f8c", "uid": "r1", "controller": true}],
        },
        "spec": {"nodeName": "n1", "containers": [{"name": "worker"}]},
        "status": {
            "phase": "Running", "podIP": "10.1.2.3",
            "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-11-21T10:00:09Z"}],
            "containerStatuses": [{"name": "worker", "ready": true, "restartCount": 0, "image": "w", "imageID": "w", "state": {"running": {}}}],
        },
    });
    for (path, value) in changes {
        *pod.pointer_mut(path).unwrap() = value.clone();
    }
    serde_json::from_value(pod).unwrap()
}

fn view(changes: &[(&str, Value)]) -> Option<PodView> {
    PodView::of(&pod(changes), "cats-workers")
}

#[test]
fn what_is_read_survives_the_trim() {
    let mut whole = pod(&[]);
    let seen = PodView::of(&whole, "cats-workers").unwrap();
    trim(&mut whole);
    assert_eq!(PodView::of(&whole, "cats-workers"), Some(seen.clone()));
    assert_eq!(seen.stage, PodStage::Ready);
    assert!(seen.is_marked);
    assert_eq!(seen.ready_since.unwrap().since(seen.created).get(), 9000);
    let port = StatusPort { number: 8080, names_are_known: true };
    let asked = seen.ask(port, Question::Status).unwrap();
    assert_eq!(asked.address, "10.1.2.3:8080".parse().unwrap());
    assert_eq!(asked.name.as_deref(), Some("cats-workers-6d4f8c-x1"));
    let theirs = StatusPort { names_are_known: false, ..port };
    assert_eq!(seen.ask(theirs, Question::Status).unwrap().name, None);
}

#[test]
fn pods_that_have_ended_or_are_going_or_are_others_do_not_count() {
    assert!(view(&[("/status/phase", json!("Failed"))]).is_none());
    assert!(view(&[("/status/phase", json!("Succeeded"))]).is_none());
    let mut going = pod(&[]);
    going.metadata.deletion_timestamp = going.metadata.creation_timestamp.clone();
    assert!(PodView::of(&going, "cats-workers").is_none());
    assert!(PodView::of(&pod(&[]), "cats").is_none(), "another Deployment's name may begin as this one's");
    assert!(PodView::of(&pod(&[]), "dogs").is_none());
    assert!(view(&[("/metadata/ownerReferences/0/kind", json!("Job"))]).is_none());
}

#[test]
fn how_far_a_pod_is() {
    let not_ready = ("/status/conditions/0/status", json!("False"));
    let state = |state: Value| ("/status/containerStatuses/0/state", state);
    let restarts = |count: i32| ("/status/containerStatuses/0/restartCount", json!(count));
    let waiting = || state(json!({"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}));
    let how_far = |changes: &[(&str, Value)]| view(changes).unwrap().stage;
    assert_eq!(how_far(&[not_ready.clone(), ("/spec/nodeName", json!(""))]), PodStage::Unscheduled);
    assert_eq!(how_far(&[not_ready.clone(), ("/status/containerStatuses", json!([]))]), PodStage::NotStarted);
    assert_eq!(how_far(&[not_ready.clone(), waiting()]), PodStage::CannotStart);
    let creating = state(json!({"waiting": {"reason": "ContainerCreating"}}));
    assert_eq!(how_far(&[not_ready.clone(), creating]), PodStage::NotStarted);
    // What is on its way for minutes may never come.
    let found = view(&[not_ready.clone(), ("/status/containerStatuses", json!([]))]).unwrap();
    let after = |seconds| found.stage_at(found.created.plus(Millis::from_secs(seconds)));
    assert_eq!((after(299), after(300)), (PodStage::NotStarted, PodStage::CannotStart));
    // One that waited for its node for long may start any moment: the time counts from there.
    let scheduled =
        json!({"type": "PodScheduled", "status": "True", "lastTransitionTime": "2026-11-21T10:10:00Z"});
    let late = [("/status/conditions/0", scheduled), ("/status/containerStatuses", json!([]))];
    let found = view(&late).unwrap();
    let after = |seconds| found.stage_at(found.created.plus(Millis::from_secs(seconds)));
    assert_eq!((after(899), after(900)), (PodStage::NotStarted, PodStage::CannotStart));
    assert_eq!(how_far(std::slice::from_ref(&not_ready)), PodStage::NotReady);
    assert_eq!(how_far(&[not_ready.clone(), waiting(), restarts(1)]), PodStage::NotReady);
    assert_eq!(how_far(&[not_ready.clone(), waiting(), restarts(5)]), PodStage::CrashLoop);
    let trouble = view(&[not_ready, waiting()]).unwrap().trouble;
    assert_eq!(trouble.as_deref(), Some("ImagePullBackOff: no such image"));
    assert_eq!(view(&[]).unwrap().trouble, None);
}

#[test]
fn a_container_beside_the_worker_says_nothing_about_the_worker() {
    let not_ready = ("/status/conditions/0/status", json!("False"));
    let container = |name: &str, restarts: i32, state: Value| json!({"name": name, "ready": false, "restartCount": restarts, "image": "w", "imageID": "w", "state": state});
    let crashes = || json!({"waiting": {"reason": "CrashLoopBackOff"}});
    let runs = || json!({"running": {}});
    let stage = |worker: Value, beside: Value, label: &str| {
        let containers = json!([beside, worker]);
        let mut pod = pod(&[not_ready.clone(), ("/status/containerStatuses", containers)]);
        let labels = pod.metadata.labels.as_mut().unwrap();
        labels.remove("reelpool.dev/pool");
        labels.insert(label.to_owned(), "cats".to_owned());
        PodView::of(&pod, "cats-workers").unwrap().stage
    };
    let (ours, theirs) = ("reelpool.dev/pool", "app");
    for label in [ours, theirs] {
        let found = stage(container("worker", 0, runs()), container("logs", 7, crashes()), label);
        assert_eq!(found, PodStage::NotReady, "somebody runs, {label}");
    }
    let dead = || container("worker", 7, crashes());
    assert_eq!(stage(dead(), container("logs", 0, runs()), ours), PodStage::CrashLoop);
    assert_eq!(stage(dead(), container("logs", 0, runs()), theirs), PodStage::NotReady, "which one works?");
}
