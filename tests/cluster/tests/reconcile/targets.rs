//! Deployments that somebody else wrote.

use std::time::Duration;

use kube::ResourceExt;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::place::Place;

impl Place<'_> {
    /// Somebody's Deployment whose pods take messages from the queue of this name.
    pub async fn theirs(&self, name: &str, queue: &str, token_hash: &str) {
        let variables = [
            json!({"name": "REELPOOL_QUEUE_URL", "value": self.sqs.create(queue)}),
            json!({"name": "REELPOOL_DRAIN_TOKEN_SHA256", "value": token_hash}),
        ];
        let deployment = json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": name},
            "spec": {
                "replicas": 0,
                "selector": {"matchLabels": {"app": name}},
                "template": {
                    "metadata": {"labels": {"app": name, "crowd": "yes"}},
                    "spec": {"containers": [{"name": "main", "image": "theirs:1", "env": variables}]},
                },
            },
        });
        let params = PatchParams::apply("somebody").force();
        self.deployments().patch(name, &params, &Patch::Apply(&deployment)).await.unwrap();
    }

    /// Waits until a Deployment that is not ours asks for so many.
    async fn theirs_reaches(&self, name: &str, replicas: i32) {
        let what = format!("{name} has {replicas} replicas");
        self.eventually(&what, async || self.asked(name).await == Some(replicas)).await;
    }
}

/// The usual times, and a target.
pub fn target(fields: &Value) -> Value {
    json!({"targetRef": fields})
}

/// A crowd that answers under every pod of these tests.
async fn place(name: &str) -> Place<'static> {
    Place::with(name, |behaviour| "crowd=yes".clone_into(&mut behaviour.selector)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_that_cannot_be_asked_go_only_when_nothing_is_in_flight() {
    let place = place("silent").await;
    let operator = place.lead();
    // The pool comes first: it says what is missing, and goes on when it is there.
    place.make("thumbs", target(&json!({"name": "thumbnailer"}))).await;
    let message = place.told("thumbs", "Ready", "False", "TargetNotFound").await;
    assert!(message.contains("no Deployment thumbnailer"), "{message}");
    place.theirs("thumbnailer", "thumbs", "").await;
    place.is_well("thumbs").await;

    place.send_held("thumbs", 4);
    place.theirs_reaches("thumbnailer", 4).await;
    place.busy(4).await;
    let theirs = place.deployments().get("thumbnailer").await.unwrap();
    assert!(theirs.owner_references().is_empty(), "it belongs to somebody else");
    let fields: Vec<_> =
        theirs.managed_fields().iter().filter_map(|entry| entry.manager.as_deref()).collect();
    assert!(!fields.contains(&"reelpool-operator"), "nothing but the replicas is Reelpool's: {fields:?}");

    // A fifth comes and is done; nobody knows by whom, so all five stay while a message is in flight.
    place.send("thumbs", 1);
    place.theirs_reaches("thumbnailer", 5).await;
    place.eventually("it is done", async || place.crowd.report().done == 1).await;
    place
        .for_all_of(Duration::from_secs(6), "five stay", async || place.asked("thumbnailer").await == Some(5))
        .await;
    place.crowd.release();
    place.theirs_reaches("thumbnailer", 0).await;
    assert_eq!(place.crowd.report().done, 5);
    place.nobody_was_interrupted();

    place.deployments().delete("thumbnailer", &DeleteParams::default()).await.unwrap();
    place.told("thumbs", "Ready", "False", "TargetNotFound").await;
    operator.assert_sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_that_can_be_asked_are_drained_before_they_go() {
    let place = place("asked").await;
    let operator = place.lead();
    place.make("thumbs", target(&json!({"name": "thumbnailer", "statusPort": 8080}))).await;
    // Before there is a Deployment its author must be able to read what its pods are to know.
    place.told("thumbs", "Ready", "False", "TargetNotFound").await;
    let hash = place.status("thumbs").await.drain_token_sha256.unwrap();
    place.theirs("thumbnailer", "thumbs", &hash).await;
    place.is_well("thumbs").await;

    // Two with a long job, four with none after a while: exactly those four go.
    let queue = place.sqs.create("thumbs");
    place.sqs.send(&queue, 2, "20");
    place.theirs_reaches("thumbnailer", 2).await;
    place.busy(2).await;
    place.sqs.send(&queue, 4, "0.1");
    place.theirs_reaches("thumbnailer", 6).await;
    place.theirs_reaches("thumbnailer", 2).await;
    assert_eq!(place.crowd.report().busy, 2);
    place.theirs_reaches("thumbnailer", 0).await;
    assert_eq!(place.crowd.report().done, 6);
    place.nobody_was_interrupted();
    operator.assert_sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_is_scaled_by_one_pool_only() {
    let place = place("claimed").await;
    let operator = place.lead();
    place.theirs("thumbnailer", "thumbs", "").await;
    place.make("thumbs", target(&json!({"name": "thumbnailer"}))).await;
    place.is_well("thumbs").await;
    // Creation times are whole seconds.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    place.make("second", target(&json!({"name": "thumbnailer"}))).await;
    let message = place.told("second", "Ready", "False", "TargetTaken").await;
    assert!(message.contains("thumbnailer is scaled by the WorkerPool thumbs"), "{message}");
    // Nor one that a pool has made.
    place.make("cats", json!({})).await;
    place.is_well("cats").await;
    place.make("third", target(&json!({"name": "cats-workers"}))).await;
    let message = place.told("third", "Ready", "False", "TargetTaken").await;
    assert!(message.contains("cats-workers is scaled by the WorkerPool cats"), "{message}");

    place.send_held("second", 3);
    place.send_held("third", 3);
    place.send_held("thumbs", 1);
    place.theirs_reaches("thumbnailer", 1).await;
    place
        .for_all_of(Duration::from_secs(5), "only its own pool counts", async || {
            place.asked("thumbnailer").await == Some(1) && place.asked("cats-workers").await == Some(0)
        })
        .await;

    // With the first one gone it is the second's turn.
    place.pools().delete("thumbs", &DeleteParams::default()).await.unwrap();
    place.theirs_reaches("thumbnailer", 3).await;
    place.is_well("second").await;
    operator.assert_sound();
}
