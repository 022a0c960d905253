//! What stands in a pool's way is told in words, and it goes on by itself when that is gone.

use std::time::Instant;

use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::json;

use crate::place::Place;

#[tokio::test(flavor = "multi_thread")]
async fn what_a_person_must_mend_is_told_with_its_place() {
    let place = Place::new("mended").await;
    let _operator = place.lead();

    // The Deployment's name is somebody else's.
    let theirs = r#"{"apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "cats-workers", "namespace": "mended"},
        "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "theirs"}}, "template": {
            "metadata": {"labels": {"app": "theirs"}}, "spec": {"containers": [{"name": "main", "image": "theirs"}]}}}}"#;
    place.plane.apply(theirs);
    let before = place.deployments().get("cats-workers").await.unwrap().metadata.generation;
    place.make("cats", json!({})).await;
    place.send_held("cats", 3);
    let message = place.told("cats", "Ready", "False", "NameTaken").await;
    assert!(message.contains("cats-workers") && message.contains("delete or rename it"), "{message}");
    let after = place.deployments().get("cats-workers").await.unwrap();
    assert_eq!((after.metadata.generation, after.owner_references().len()), (before, 0), "it was touched");

    // A field of the template that does not exist, and one that is Reelpool's own.
    let template = json!({"spec": {"nodeSelektor": {"disk": "ssd"}, "restartPolicy": "Never"}});
    place.make("dogs", json!({"worker": {"template": template}})).await;
    let message = place.told("dogs", "Ready", "False", "InvalidSpec").await;
    assert!(message.contains("spec.worker.template.spec.nodeSelektor"), "{message}");
    assert!(message.contains("spec.worker.template.spec.restartPolicy"), "{message}");
    assert_eq!(place.asked("dogs-workers").await, None);

    place.deployments().delete("cats-workers", &DeleteParams::default()).await.unwrap();
    let template = json!({"spec": {"nodeSelector": {"disk": "ssd"}}});
    place.make("dogs", json!({"worker": {"template": template}})).await;
    let start = Instant::now();
    place.is_well("dogs").await;
    assert_eq!(place.asked("dogs-workers").await, Some(0));
    place.is_well("cats").await;
    place.reaches("cats", 3).await;
    println!("both went on after {:?}", start.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_that_are_refused_or_do_not_start_are_told() {
    let place = Place::new("refused").await;
    let _operator = place.lead();
    let quota = r#"{"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "few", "namespace": "refused"},
        "spec": {"hard": {"pods": "2"}}}"#;
    place.plane.apply(quota);
    place.make("cats", json!({})).await;
    place.send_held("cats", 4);
    let message = place.told("cats", "WorkersAvailable", "False", "PodsRefused").await;
    assert!(message.contains("exceeded quota: few"), "{message}");
    assert_eq!(place.condition("cats", "Ready").await.1, "PodsRefused");
    place.busy(2).await;
    let _ = place.plane.kubectl(&["delete", "quota", "-n", "refused", "few"]).ok();
    place.busy(4).await;
    place.told("cats", "WorkersAvailable", "True", "PodsStart").await;
    place.is_well("cats").await;

    // Two pods that no node takes; of one the node then says that there is no such image.
    let nowhere = json!({"spec": {"nodeSelector": {"disk": "none"}}});
    place.make("dogs", json!({"worker": {"template": nowhere}})).await;
    place.send_held("dogs", 2);
    let message = place.told("dogs", "WorkersAvailable", "False", "PodsDoNotStart").await;
    assert!(message.contains("Unschedulable") && message.contains("and 1 more"), "{message}");
    place.make("birds", json!({"worker": {"template": nowhere, "image": "nothing:1"}})).await;
    place.send_held("birds", 1);
    let pods: Api<Pod> = place.pods();
    let mut name = String::new();
    place
        .eventually("its pod is there", async || {
            let pods = place.living_pods().await;
            let found =
                pods.iter().find(|pod| pod.labels().get("reelpool.dev/pool").is_some_and(|of| of == "birds"));
            name = found.map(ResourceExt::name_any).unwrap_or_default();
            !name.is_empty()
        })
        .await;
    let waiting = json!({"reason": "ImagePullBackOff", "message": "Back-off pulling image \"nothing:1\""});
    let container = json!({
        "name": "worker", "image": "nothing:1", "imageID": "", "ready": false, "restartCount": 0,
        "state": {"waiting": waiting},
    });
    let status = Patch::Merge(json!({"status": {"containerStatuses": [container]}}));
    pods.patch_status(&name, &PatchParams::default(), &status).await.unwrap();
    let message = place.told("birds", "WorkersAvailable", "False", "PodsDoNotStart").await;
    assert!(message.contains("ImagePullBackOff: Back-off pulling image \"nothing:1\""), "{message}");

    // Pods that do not start hold nobody up: the queue is emptied elsewhere, and they go.
    place.change("dogs", json!({"worker": {"template": null}})).await;
    place.busy(6).await;
    place.told("dogs", "WorkersAvailable", "True", "PodsStart").await;
    place.crowd.release();
    place.reaches("dogs", 0).await;
    place.nobody_was_interrupted();
    assert!(place.crowd.report().done >= 6);
}
