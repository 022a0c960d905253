use k8s_openapi::api::apps::v1::Deployment;
use serde_json::json;

use super::*;

fn pool(name: &str, made: &str, target: &str) -> WorkerPool {
    serde_json::from_value(json!({
        "apiVersion": "reelpool.dev/v1alpha1", "kind": "WorkerPool",
        "metadata": {"name": name, "namespace": "media", "uid": name, "creationTimestamp": made},
        "spec": {
            "queue": {"sqs": {"queueURL": "https://h/1/q"}}, "maxWorkers": 1, "targetRef": {"name": target},
        },
    }))
    .unwrap()
}

fn deployment(name: &str, controller: Option<&str>) -> DeploymentView {
    let deployment = Deployment::default();
    DeploymentView {
        name: name.to_owned(),
        controller: controller.map(str::to_owned),
        ..DeploymentView::from(&deployment)
    }
}

const EARLY: &str = "2026-01-01T00:00:00Z";
const LATE: &str = "2026-01-01T00:00:01Z";

fn scalers(deployment: &DeploymentView, pools: &[WorkerPool]) -> Vec<Option<String>> {
    pools.iter().map(|pool| scaler(deployment, pool, pools.iter()).map(ResourceExt::name_any)).collect()
}

#[test]
fn the_oldest_of_those_that_name_a_deployment_scales_it() {
    let thumbs = deployment("thumbs", None);
    let pools = [pool("b", LATE, "thumbs"), pool("c", EARLY, "thumbs"), pool("a", LATE, "thumbs")];
    assert_eq!(scalers(&thumbs, &pools), [Some("c".into()), None, Some("c".into())]);
    // In the same second, the same one for everybody.
    let pools = [pool("b", LATE, "thumbs"), pool("a", LATE, "thumbs")];
    assert_eq!(scalers(&thumbs, &pools), [Some("a".into()), None]);
}

#[test]
fn others_do_not_count() {
    let thumbs = deployment("thumbs", None);
    let mut elsewhere = pool("a", EARLY, "thumbs");
    elsewhere.metadata.namespace = Some("other".to_owned());
    let mut going = pool("b", EARLY, "thumbs");
    going.metadata.deletion_timestamp = going.metadata.creation_timestamp.clone();
    let pools = [elsewhere, going, pool("c", EARLY, "posters"), pool("d", LATE, "thumbs")];
    assert_eq!(scalers(&thumbs, &pools)[3], None);
}

#[test]
fn the_pool_that_made_it_scales_it_whatever_its_age() {
    let workers = deployment("cats-workers", Some("cats"));
    let mut maker = pool("cats", LATE, "");
    maker.spec.target_ref = None;
    let pools = [pool("a", EARLY, "cats-workers"), pool("b", LATE, "cats-workers"), maker];
    assert_eq!(scalers(&workers, &pools)[..2], [Some("cats".into()), Some("cats".into())]);
}
