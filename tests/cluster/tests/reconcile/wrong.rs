//! What stands in a pool's way is told in words, and it goes on by itself when that is gone.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::{Api, ResourceExt};
use reelpool_cluster::Behaviour;
use serde_json::{Value, json};

use crate::place::{Place, SOON, World};

#[tokio::test(flavor = "multi_thread")]
async fn what_a_person_must_mend_is_told_with_its_place() {
    let place = Place::new("mended").await;
    let operator = place.lead();

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
    operator.assert_sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_that_are_refused_or_do_not_start_are_told() {
    let place = Place::new("refused").await;
    let operator = place.lead();
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
    operator.assert_sound();
}

impl Place<'_> {
    /// Changes the list of presets that the API server takes.
    fn change_presets(&self, operation: &Value) {
        let mut operation = operation.clone();
        let field = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/worker/properties/preset/enum";
        operation["path"] = json!(format!("{field}{}", operation["path"].as_str().unwrap()));
        let patch = json!([operation]).to_string();
        let _ = self
            .plane
            .kubectl(&["patch", "crd", "workerpools.reelpool.dev", "--type=json", "-p", &patch])
            .ok();
    }

    /// Whether the API server takes this preset for a pool.
    fn sets_preset(&self, pool: &str, preset: &str) -> bool {
        let patch = json!({"spec": {"worker": {"preset": preset}}}).to_string();
        let args = ["patch", "workerpool", "-n", &self.name, pool, "--type=merge", "-p", &patch];
        self.plane.kubectl(&args).status.success()
    }

    /// A pool as the API server has it, whether it can be read or not.
    fn raw(&self, pool: &str) -> Value {
        let json = self.plane.kubectl(&["get", "workerpool", "-n", &self.name, pool, "-o=json"]).ok();
        serde_json::from_str(&json).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_of_a_newer_version_is_told_that_it_cannot_be_read_once() {
    let start = Instant::now();
    let world = tokio::task::spawn_blocking(World::start).await.unwrap();
    let place = Place::on(&world, "newer", Behaviour::default(), start).await;
    let operator = place.lead();
    for pool in ["cats", "dogs"] {
        place.make(pool, json!({})).await;
        place.is_well(pool).await;
    }
    assert!(operator.stop(SOON).success());

    // A newer version came, was used, and went again.
    place.change_presets(&json!({"op": "add", "path": "/-", "value": "placebo"}));
    place.eventually("the preset is new", async || place.sets_preset("cats", "placebo")).await;
    place.change_presets(&json!({"op": "remove", "path": "/9"}));
    place.eventually("the preset is gone", async || !place.sets_preset("dogs", "placebo")).await;
    assert!(place.sets_preset("dogs", "fast"));
    let operator = place.lead_anew("b");
    let told = || {
        let pool = place.raw("cats");
        let conditions = pool["status"]["conditions"].as_array().unwrap().iter();
        let ready = conditions.clone().find(|condition| condition["type"] == "Ready").unwrap().clone();
        (ready, pool)
    };
    place.eventually("it is told", async || told().0["reason"] == "InvalidSpec").await;
    let (ready, pool) = told();
    let message = ready["message"].as_str().unwrap();
    assert!(message.contains("placebo") && message.contains("correct it"), "{message}");
    assert_eq!(
        (&ready["status"], &pool["status"]["desiredWorkers"]),
        (&json!("False"), &json!(0)),
        "{pool:#}"
    );
    assert_eq!(ready["observedGeneration"], pool["metadata"]["generation"]);
    // It is told once, and in nobody's way.
    place.send("dogs", 2);
    place.eventually("the others are looked after", async || place.crowd.report().done == 2).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(told().1["metadata"]["resourceVersion"], pool["metadata"]["resourceVersion"]);

    assert!(place.sets_preset("cats", "fast"));
    place.is_well("cats").await;
    // Nor does it stay told so by an operator that had told it otherwise before.
    place.change_presets(&json!({"op": "add", "path": "/-", "value": "placebo"}));
    place.eventually("the preset is new", async || place.sets_preset("cats", "placebo")).await;
    place.eventually("it is told", async || told().0["reason"] == "InvalidSpec").await;
    assert!(place.sets_preset("cats", "fast"));
    place.is_well("cats").await;
    place.send_held("cats", 1);
    place.reaches("cats", 1).await;
    operator.assert_sound();
}
