//! The Deployment that Reelpool runs for a pool.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::process::Command;
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use kube::ResourceExt;
use kube::api::{DeleteParams, Patch, PatchParams, PropagationPolicy};
use reelpool_cluster::Fault;
use reelpool_tests::binaries;
use serde_json::{Value, json};

use crate::place::Place;

async fn deployment(place: &Place<'_>, name: &str) -> Deployment {
    let mut found = None;
    place
        .eventually(&format!("there is a Deployment {name}"), async || {
            found = place.deployments().get_opt(name).await.unwrap();
            found.as_ref().is_some_and(|found| found.metadata.deletion_timestamp.is_none())
        })
        .await;
    found.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_becomes_a_deployment_that_follows_the_queue() {
    let place = Place::new("follows").await;
    let operator = place.lead();
    let pool = place.make("cats", json!({})).await;

    let made = deployment(&place, "cats-workers").await;
    let owner = &made.owner_references()[0];
    assert_eq!((owner.kind.as_str(), owner.name.as_str()), ("WorkerPool", "cats"));
    assert_eq!((Some(&owner.uid), owner.controller), (pool.metadata.uid.as_ref(), Some(true)));
    let labels = made.labels();
    assert_eq!(labels.get("app.kubernetes.io/managed-by").map(String::as_str), Some("reelpool"));
    assert_eq!(labels.get("reelpool.dev/pool").map(String::as_str), Some("cats"));
    let selector = made.spec.as_ref().unwrap().selector.match_labels.clone().unwrap();
    assert_eq!(selector, BTreeMap::from([("reelpool.dev/pool".to_owned(), "cats".to_owned())]));
    place.is_well("cats").await;
    assert_eq!(place.asked("cats-workers").await, Some(0), "nothing waits");

    place.send_held("cats", 3);
    place.reaches("cats", 3).await;
    place.busy(3).await;
    let status = place.status("cats").await;
    assert_eq!((status.desired_workers, status.observed_generation), (Some(3), pool.metadata.generation));
    assert_eq!(status.selector.as_deref(), Some("reelpool.dev/pool=cats"));
    let decision = status.last_decision.unwrap();
    assert_eq!((decision.reason.as_str(), decision.backlog), ("Backlog", Some(3)));
    for (kind, expected) in [
        ("Ready", "True"),
        ("QueueReachable", "True"),
        ("WorkersAvailable", "True"),
        ("ScalingLimited", "False"),
        ("ReplicasContested", "False"),
    ] {
        let found = status.conditions.iter().find(|condition| condition.type_ == kind).unwrap();
        assert_eq!(found.status, expected, "{found:?}");
        assert_eq!(found.observed_generation, pool.metadata.generation, "{found:?}");
    }
    let table = place.plane.kubectl(&["get", "workerpools", "-n", "follows"]).ok();
    let row: Vec<&str> = table.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(row[..5], ["cats", "3", "True", "3", "Backlog"], "{table}");

    place.crowd.release();
    place.reaches("cats", 0).await;
    let numbers = place.replicas.of("cats-workers").numbers();
    assert_eq!(numbers[..2], [0, 3], "one write for all three");
    assert!(numbers[1..].is_sorted_by(|one, next| one > next), "{numbers:?}");
    assert_eq!(place.crowd.report().done, 3);
    place.nobody_was_interrupted();
    place.event("cats", "ScaledIn").await;
    let notes = place.notes("cats").await;
    let reasons: Vec<&str> = notes.iter().map(|(reason, _)| reason.as_str()).collect();
    assert_eq!(reasons[..2], ["DeploymentCreated", "ScaledOut"], "{notes:#?}");
    assert!(reasons[2..].iter().all(|reason| *reason == "ScaledIn"), "{notes:#?}");
    assert!(notes[1].1.contains("0 to 3 workers: 3 = ceil((3 waiting + 0 in flight) / 1)"), "{notes:#?}");
    operator.assert_sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn promise_6_every_decision_explains_itself() {
    let place = Place::new("explains").await;
    let operator = place.lead();
    place.make("cats", json!({"maxWorkers": 3})).await;
    place.is_well("cats").await;
    // Out and to the limit, held without data, held by hand, and in.
    place.send_held("cats", 4);
    place.busy(3).await;
    place.proxy.spoil("cats", Fault::Fails);
    place.told("cats", "QueueReachable", "False", "QueueUnreachable").await;
    place.proxy.heal();
    place.change("cats", json!({"paused": true})).await;
    place.told("cats", "ScalingLimited", "True", "Paused").await;
    place.change("cats", json!({"paused": false})).await;
    place.crowd.release();
    place.reaches("cats", 0).await;
    operator.assert_sound();

    let recorded = operator.decisions(&place.name, "cats");
    let decisions: Vec<Value> = recorded
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["record"]["decision"].take())
        .collect();
    let reasons: BTreeSet<&str> =
        decisions.iter().map(|decision| decision["reason"].as_str().unwrap()).collect();
    assert!(reasons.len() >= 3, "{reasons:?}");
    let limited = decisions.iter().any(|decision| !decision["limits"].as_array().unwrap().is_empty());
    assert!(limited, "{decisions:#?}");
    // Each is made again from what it was made from, by the program that users have.
    let count = recorded.lines().count();
    let (all_is_well, said) = replay(&recorded);
    assert!(all_is_well, "{said}");
    assert_eq!(said, format!("{count} decisions, 0 differ\n"));
    // And one that is not what it was made from is found.
    let last = recorded.lines().last().unwrap();
    let mut forged: Value = serde_json::from_str(last).unwrap();
    forged["record"]["decision"]["target"] = json!(2);
    let (all_is_well, said) = replay(&recorded.replace(last, &forged.to_string()));
    assert!(!all_is_well && said.contains(&format!("{count} decisions, 1 differ")), "{said}");

    // People read the last of them in the pool itself, and each that changed the number in its events.
    let told = place.status("cats").await.last_decision.unwrap();
    assert!(reasons.contains(told.reason.as_str()) && told.message.contains('0'), "{told:?}");
    let notes = place.notes("cats").await;
    let out = notes.iter().find(|(reason, _)| reason == "ScaledOut").unwrap();
    assert!(out.1.contains("0 to 3 workers: ") && out.1.contains("ceil((4 waiting"), "{notes:#?}");
}

/// Whether what was recorded is decided again as it was, and what is said of it.
fn replay(decisions: &str) -> (bool, String) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(decisions.as_bytes()).unwrap();
    let replay = Command::new(binaries::reelpool()).arg("replay").arg(file.path()).output().unwrap();
    let said = String::from_utf8_lossy(&replay.stdout) + String::from_utf8_lossy(&replay.stderr);
    (replay.status.success(), said.into_owned())
}

/// A change by hand, and what it must be like again.
struct Change {
    what: &'static str,
    patch: Value,
    /// Where the value is that comes back.
    pointer: &'static str,
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_changed_by_hand_comes_back_and_what_others_add_stays() {
    let place = Place::new("changed").await;
    let operator = place.lead();
    place.make("cats", json!({"ladder": ["720p"]})).await;
    place.is_well("cats").await;
    let by_hand = |patch: Value| {
        let deployments = place.deployments();
        let params = PatchParams { field_manager: Some("somebody".into()), ..PatchParams::default() };
        async move { deployments.patch("cats-workers", &params, &Patch::Strategic(patch)).await.unwrap() }
    };
    let added = json!({
        "metadata": {"annotations": {"team": "media"}, "labels": {"cost-centre": "7"}},
        "spec": {"template": {
            "metadata": {"annotations": {"scraped": "yes"}},
            "spec": {"containers": [{"name": "worker", "env": [{"name": "HTTP_PROXY", "value": "p"}]}]},
        }},
    });
    by_hand(added.clone()).await;

    let container = |field: Value| json!({"spec": {"template": {"spec": {"containers": [field]}}}});
    let changes = [
        Change {
            what: "the image",
            patch: container(json!({"name": "worker", "image": "other:1"})),
            pointer: "/spec/template/spec/containers/0/image",
        },
        Change {
            what: "an environment variable's value",
            patch: container(json!({"name": "worker", "env": [{"name": "REELPOOL_LADDER", "value": "90p"}]})),
            pointer: "/spec/template/spec/containers/0/env",
        },
        Change {
            what: "an environment variable that was removed",
            patch: container(
                json!({"name": "worker", "env": [{"$patch": "delete", "name": "REELPOOL_LADDER"}]}),
            ),
            pointer: "/spec/template/spec/containers/0/env",
        },
        Change {
            what: "a label of the pods",
            patch: json!({"spec": {"template": {"metadata": {"labels": {"app.kubernetes.io/name": "x"}}}}}),
            pointer: "/spec/template/metadata/labels",
        },
        Change {
            what: "the strategy",
            patch: json!({"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}}),
            pointer: "/spec/strategy",
        },
        Change {
            what: "the grace period",
            patch: json!({"spec": {"template": {"spec": {"terminationGracePeriodSeconds": 1}}}}),
            pointer: "/spec/template/spec/terminationGracePeriodSeconds",
        },
        Change {
            what: "a label of the Deployment itself",
            patch: json!({"metadata": {"labels": {"app.kubernetes.io/managed-by": "somebody"}}}),
            pointer: "/metadata/labels",
        },
        Change {
            what: "a label of the Deployment that was removed",
            patch: json!({"metadata": {"labels": {"reelpool.dev/pool": null}}}),
            pointer: "/metadata/labels",
        },
    ];
    let now = async || {
        let deployment = place.deployments().get("cats-workers").await.unwrap();
        serde_json::to_value(deployment).unwrap()
    };
    for Change { what, patch, pointer } in changes {
        let good = now().await.pointer(pointer).cloned().unwrap();
        let spoilt = serde_json::to_value(by_hand(patch).await).unwrap();
        assert_ne!(spoilt.pointer(pointer), Some(&good), "the change is none: {what}");
        let took = place
            .eventually(&format!("{what} is back"), async || same(now().await.pointer(pointer), &good))
            .await;
        println!("{what} is back after {took:?}");
    }
    let end = now().await;
    for pointer in [
        "/metadata/annotations/team",
        "/metadata/labels/cost-centre",
        "/spec/template/metadata/annotations/scraped",
    ] {
        assert_eq!(end.pointer(pointer), added.pointer(pointer), "{pointer}");
    }
    let variables = &end["spec"]["template"]["spec"]["containers"][0]["env"];
    assert!(
        variables.as_array().unwrap().contains(&json!({"name": "HTTP_PROXY", "value": "p"})),
        "{variables}"
    );
    assert_eq!(place.condition("cats", "Ready").await.0, "True");
    place.event("cats", "DeploymentUpdated").await;
    operator.assert_sound();
}

/// Whether both hold the same; the order of a list's items is no part of it.
fn same(found: Option<&Value>, good: &Value) -> bool {
    match (found, good) {
        (Some(Value::Array(found)), Value::Array(good)) => {
            found.len() == good.len() && good.iter().all(|item| found.contains(item))
        }
        (found, good) => found == Some(good),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_that_was_deleted_by_hand_comes_back() {
    let place = Place::new("deleted").await;
    let operator = place.lead();
    place.make("cats", json!({})).await;
    let first = deployment(&place, "cats-workers").await;
    place.is_well("cats").await;
    place.deployments().delete("cats-workers", &DeleteParams::default()).await.unwrap();
    place
        .eventually("it is back", async || {
            let now = place.deployments().get_opt("cats-workers").await.unwrap();
            now.is_some_and(|now| now.uid() != first.uid())
        })
        .await;

    // Pods that were left behind on purpose still work: the new Deployment must not take them away.
    place.send_held("cats", 4);
    place.busy(4).await;
    let before = deployment(&place, "cats-workers").await;
    let orphan =
        DeleteParams { propagation_policy: Some(PropagationPolicy::Orphan), ..DeleteParams::default() };
    place.deployments().delete("cats-workers", &orphan).await.unwrap();
    place
        .eventually("it is back with its four workers", async || {
            let now = place.deployments().get_opt("cats-workers").await.unwrap();
            let now = now.filter(|now| now.uid() != before.uid());
            let status = now.and_then(|now| now.status).unwrap_or_default();
            status.replicas == Some(4) && status.ready_replicas == Some(4)
        })
        .await;
    let numbers = place.replicas.of("cats-workers").numbers();
    assert_eq!(numbers, [0, 4], "the new one asked for fewer for a moment");
    place.for_all_of(Duration::from_secs(3), "all four work", async || place.crowd.report().busy == 4).await;
    place.crowd.release();
    place.reaches("cats", 0).await;
    assert_eq!(place.crowd.report().done, 4);
    place.nobody_was_interrupted();
    operator.assert_sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_pool_holds_both_ways_and_a_deleted_one_takes_its_deployment_along() {
    let place = Place::new("paused").await;
    let operator = place.lead();
    place.make("cats", json!({})).await;
    place.send_held("cats", 2);
    place.busy(2).await;

    place.change("cats", json!({"paused": true})).await;
    let message = place.told("cats", "ScalingLimited", "True", "Paused").await;
    assert!(message.contains("spec.paused"), "{message}");
    place.send_held("cats", 3);
    let asked = place.proxy.requests("cats");
    place
        .eventually("the operator has looked four times", async || place.proxy.requests("cats") > asked + 4)
        .await;
    assert_eq!(place.asked("cats-workers").await, Some(2), "it grew");
    place.crowd.release();
    place.eventually("all is done", async || place.crowd.report().done == 5).await;
    // Longer than both times after which an idle worker goes.
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(place.asked("cats-workers").await, Some(2), "it shrank");
    place.change("cats", json!({"paused": false})).await;
    place.reaches("cats", 0).await;
    place.told("cats", "ScalingLimited", "False", "WithinLimits").await;

    // Another ladder is another template.
    place.change("cats", json!({"ladder": ["480p", "360p"]})).await;
    place
        .eventually("the workers are given the new ladder", async || {
            let deployment = place.deployments().get("cats-workers").await.unwrap();
            let containers = deployment.spec.unwrap().template.spec.unwrap().containers;
            let variables = containers.into_iter().flat_map(|container| container.env.unwrap());
            variables.into_iter().any(|variable| {
                variable.name == "REELPOOL_LADDER" && variable.value.as_deref() == Some("480p,360p")
            })
        })
        .await;

    place.send_held("cats", 1);
    place.eventually("a pod is there", async || !place.living_pods().await.is_empty()).await;
    let first = deployment(&place, "cats-workers").await;
    place.pools().delete("cats", &DeleteParams::default()).await.unwrap();
    place
        .eventually("the Deployment and its pods are gone", async || {
            let deployment = place.deployments().get_opt("cats-workers").await.unwrap();
            deployment.is_none() && place.living_pods().await.is_empty()
        })
        .await;
    // One of the same name begins anew.
    let pool = place.make("cats", json!({})).await;
    let second = deployment(&place, "cats-workers").await;
    assert_ne!(second.uid(), first.uid());
    assert_eq!(Some(&second.owner_references()[0].uid), pool.metadata.uid.as_ref());
    place.is_well("cats").await;
    operator.assert_sound();
}
