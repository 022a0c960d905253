//! Kubernetes takes other pods than those that were drained: that is counted and told, and those that stayed work again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kube::ResourceExt;
use kube::api::{Patch, PatchParams};
use reelpool_cluster::{ApiProxy, Deed, Operator};
use serde_json::json;

use crate::place::Place;

const COST: &str = "controller.kubernetes.io/pod-deletion-cost";
const LOWEST: &str = "-2147483648";

#[tokio::test(flavor = "multi_thread")]
async fn when_kubernetes_takes_other_pods_it_is_counted_and_told_and_those_that_stayed_work_again() {
    let place = Place::with("spared", |behaviour| behaviour.job = Duration::ZERO..=Duration::ZERO).await;
    let mut settings = place.operator("a");
    let proxy = ApiProxy::start(place.plane, settings.kubeconfig.as_ref().unwrap());
    settings.kubeconfig = Some(proxy.kubeconfig().to_owned());
    let operator = Operator::lead(place.plane, settings);
    place.make("cats", json!({"minWorkers": 4})).await;
    place.send_held("cats", 6);
    place.busy(6).await;
    place.is_well("cats").await;
    let taken = || operator.metrics().sum("reelpool_other_pods_taken_total", &[("pool", "cats")]);
    assert!(taken().abs() < 0.5, "nothing has happened yet");

    // On its way the number is late; meanwhile somebody gives the lowest cost to others.
    let on_its_way = Arc::new(AtomicBool::new(false));
    proxy.act({
        let on_its_way = Arc::clone(&on_its_way);
        move |call| {
            if call.is("patch", "deployments/scale") && !on_its_way.swap(true, Ordering::SeqCst) {
                return Deed::Late(Duration::from_secs(4));
            }
            Deed::Pass
        }
    });
    place.crowd.release();
    place.eventually("the number is on its way", async || on_its_way.load(Ordering::SeqCst)).await;
    let pods = place.living_pods().await;
    let (drained, others): (Vec<_>, Vec<_>) =
        pods.into_iter().partition(|pod| pod.annotations().get(COST).is_some_and(|cost| cost == LOWEST));
    assert_eq!((drained.len(), others.len()), (2, 4), "two were to go");
    let costs = drained.iter().map(|pod| (pod, json!(null)));
    for (pod, cost) in costs.chain(others[..2].iter().map(|pod| (pod, json!(LOWEST)))) {
        let patch = Patch::Merge(json!({"metadata": {"annotations": {COST: cost}}}));
        place.pods().patch(&pod.name_any(), &PatchParams::default(), &patch).await.unwrap();
    }
    place.eventually("four are left", async || place.living_pods().await.len() == 4).await;
    let names =
        async || -> Vec<String> { place.living_pods().await.iter().map(ResourceExt::name_any).collect() };
    let left = names().await;
    let stayed: Vec<String> = drained.iter().map(ResourceExt::name_any).collect();
    assert!(stayed.iter().all(|pod| left.contains(pod)), "{stayed:?} were taken, {left:?} are left");
    assert_eq!(place.sleeping().await.len(), 2, "they sleep as long as they may still be taken");

    let note = place.event("cats", "OtherPodsTaken").await;
    assert!(note.contains("(2 in all)") && stayed.iter().any(|pod| note.contains(pod)), "{note}");
    assert!((taken() - 2.0).abs() < 0.5, "counted: {}", taken());
    place.eventually("they are let back to work", async || place.sleeping().await.is_empty()).await;
    place.crowd.hold();
    place.send_held("cats", 4);
    place.busy(4).await;
    assert!(names().await.iter().all(|pod| left.contains(pod)), "all work that were left, and no new ones");
    place.nobody_was_interrupted();
    operator.assert_sound();
}
