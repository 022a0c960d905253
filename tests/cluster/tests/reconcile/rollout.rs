//! A new template while workers are busy.

use std::collections::BTreeSet;
use std::time::Duration;

use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::ListParams;
use serde_json::json;

use crate::place::Place;

fn image(pod: &Pod) -> String {
    pod.spec.as_ref().unwrap().containers[0].image.clone().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollout_lets_busy_workers_finish_their_job() {
    let place = Place::with("rolled", |behaviour| {
        // Shorter than a pod takes to go here; a real one has its grace period, which is as long as a job.
        behaviour.job = Duration::from_millis(500)..=Duration::from_millis(1500);
    })
    .await;
    let operator = place.lead();
    let worker = |image: &str| json!({"worker": {"image": image}, "minWorkers": 8, "maxWorkers": 8});
    place.make("cats", worker("worker:1")).await;
    place.reaches("cats", 8).await;
    // Enough work for all of the rollout: whoever is told to go has a job in hand.
    place.send("cats", 100);
    place.busy(8).await;
    place.make("cats", worker("worker:2")).await;
    let replica_sets: Api<ReplicaSet> = Api::namespaced(place.client.clone(), &place.name);
    place
        .eventually("all eight are of the new image", async || {
            // A fleet at its maximum has no room for more, not even for a rollout.
            let sets = replica_sets.list(&ListParams::default()).await.unwrap();
            let asked: i32 = sets.iter().map(|set| set.spec.as_ref().unwrap().replicas.unwrap()).sum();
            assert!(asked <= 8, "the rollout asks for {asked}");
            let pods = place.living_pods().await;
            let images: BTreeSet<String> = pods.iter().map(image).collect();
            pods.len() == 8 && images == BTreeSet::from(["worker:2".to_owned()])
        })
        .await;
    place.eventually("all is done", async || place.crowd.report().done == 100).await;

    let report = place.crowd.report();
    let killed: Vec<_> = report.interrupted.iter().filter(|one| one.killed).collect();
    assert!(killed.is_empty(), "not let finish: {killed:#?}");
    assert!(!report.interrupted.is_empty(), "nobody was busy: the rollout was tested without work");
    let numbers = place.replicas.of("cats-workers").numbers();
    assert_eq!(numbers, [0, 8], "the number of replicas is none of a rollout's business");
    assert_eq!(place.condition("cats", "Ready").await.0, "True");
    println!(
        "{} workers were told to go with a job in hand, and all of them finished it",
        report.interrupted.len()
    );
    operator.assert_sound();
}
