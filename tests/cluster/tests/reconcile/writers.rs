//! Somebody else writes the number of replicas: it is noticed, told, and not fought.

use std::time::{Duration, Instant};

use kube::api::{Patch, PatchParams};
use serde_json::json;

use crate::place::Place;

/// For how long the operator leaves the number alone after another's first write.
const HOLD: Duration = Duration::from_secs(60);
const POOLS: [&str; 3] = ["by-hand", "by-hpa", "by-gitops"];

impl Place<'_> {
    /// How often the operator has written the replicas of this pool's Deployment.
    fn scaled(&self, pool: &str) -> usize {
        let name = format!("{pool}-workers");
        self.writes("deployments/scale").iter().filter(|write| write.name == name).count()
    }

    async fn contested_by(&self, pool: &str, writer: &str, found: i32) {
        let message = self.told(pool, "ReplicasContested", "True", "OtherWriter").await;
        let words = format!("{writer} set the replicas to {found} where Reelpool had set 2");
        assert!(message.contains(&words), "{message}");
        assert_eq!(self.condition(pool, "Ready").await.1, "OtherWriter");
        assert!(self.event(pool, "OtherWriter").await.contains(&words));
        let event =
            self.events(pool).await.into_iter().find(|event| event.reason.as_deref() == Some("OtherWriter"));
        assert_eq!(event.unwrap().type_.as_deref(), Some("Warning"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_writer_of_the_replicas_is_named_and_not_fought() {
    let place = Place::new("contested").await;
    let operator = place.lead();
    for pool in POOLS {
        place.make(pool, json!({})).await;
        place.send_held(pool, 2);
    }
    for pool in POOLS {
        place.reaches(pool, 2).await;
    }
    place.busy(6).await;
    for pool in POOLS {
        place.is_well(pool).await;
    }
    place.make("to-zero", json!({"minWorkers": 2})).await;
    place.reaches("to-zero", 2).await;
    place.is_well("to-zero").await;

    let start = Instant::now();
    let _ =
        place.plane.kubectl(&["scale", "-n", "contested", "deployment/by-hand-workers", "--replicas=5"]).ok();
    let _ =
        place.plane.kubectl(&["scale", "-n", "contested", "deployment/to-zero-workers", "--replicas=0"]).ok();
    // Fewer than its minimum: it writes without any metrics.
    place.plane.apply(
        r"
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: hpa, namespace: contested}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: by-hpa-workers}
  minReplicas: 4
  maxReplicas: 8
  metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 50}}}]
",
    );
    let wanted = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "by-gitops-workers"}, "spec": {"replicas": 3},
    });
    let gitops = || async {
        let params = PatchParams::apply("argocd-controller").force();
        place.deployments().patch("by-gitops-workers", &params, &Patch::Apply(&wanted)).await.unwrap();
    };
    gitops().await;
    place.contested_by("by-hand", "kubectl", 5).await;
    place.contested_by("by-hpa", "kube-controller-manager", 4).await;
    place.contested_by("by-gitops", "argocd-controller", 3).await;
    // A write of zero leaves no name behind.
    place.contested_by("to-zero", "somebody", 0).await;

    // While it waits it writes nothing, whatever the queue says; others may.
    place.send_held("by-hand", 6);
    gitops().await;
    while start.elapsed() < HOLD.saturating_sub(Duration::from_secs(3)) {
        for pool in POOLS {
            assert_eq!(
                place.scaled(pool),
                1,
                "{pool}: it writes against another after {:?}",
                start.elapsed()
            );
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    // Then it takes its own number up again, once.
    place.reaches("by-hand", 8).await;
    assert_eq!(place.scaled("by-hand"), 2);
    // Who insists is given way for longer: the next hold begins with the HPA's second write. Before it those that were
    // too many may have gone in two steps.
    place
        .eventually("the HPA insists", async || {
            place.scaled("by-hpa") >= 2 && place.asked("by-hpa-workers").await == Some(4)
        })
        .await;
    let written = place.scaled("by-hpa");
    assert!(written <= 3, "{written}");
    place
        .for_all_of(Duration::from_secs(8), "the HPA is given way", async || {
            place.scaled("by-hpa") == written && place.asked("by-hpa-workers").await == Some(4)
        })
        .await;
    // Nobody who had a job in hand was told to go in all this.
    place.nobody_was_interrupted();
    assert_eq!(place.crowd.report().busy, 6 + 6, "those who came have the new messages in hand");
    operator.assert_sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_pool_is_scaled_by_hand_and_goes_on_when_it_is_not() {
    let place = Place::new("by-hand").await;
    let operator = place.lead();
    place.make("cats", json!({})).await;
    place.is_well("cats").await;
    place.change("cats", json!({"paused": true})).await;
    place.told("cats", "ScalingLimited", "True", "Paused").await;
    let scale = ["scale", "-n", "by-hand", "deployment/cats-workers", "--replicas=3"];
    let _ = place.plane.kubectl(&scale).ok();
    place
        .for_all_of(Duration::from_secs(5), "that is as it should be", async || {
            place.asked("cats-workers").await == Some(3)
                && place.condition("cats", "ReplicasContested").await.0 == "False"
        })
        .await;
    place.change("cats", json!({"paused": false})).await;
    let took = place.reaches("cats", 0).await;
    assert!(took < HOLD / 2, "nobody is given way to: {took:?}");
    operator.assert_sound();
}
