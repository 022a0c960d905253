//! The admission policies hold the operator, with a token of its own, to what RBAC cannot say.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::api::PatchParams;
use reelpool_cluster::{ControlPlane, Settings};
use serde_json::{Value, json};

use crate::helm::{eventually, install};
use crate::operator::{MEDIA, Operator, deployment, pool};

const COST: &str = "controller.kubernetes.io/pod-deletion-cost";

#[test]
fn a_stolen_token_can_write_deployments_of_pools_and_deletion_costs_only() {
    let plane = ControlPlane::start(Settings::default());
    let _ = install(&plane, &[]);
    let pool = pool(&plane);
    let world = World { operator: Operator::of(&plane), plane: &plane };
    world.deployments(&pool);
    world.pods();
}

struct World<'a> {
    plane: &'a ControlPlane,
    operator: Operator<'a>,
}

impl World<'_> {
    fn deployments(&self, pool: &Value) {
        // The policies take a moment to be in force; until then foreign ones would be taken, too.
        eventually("the policies are in force", || {
            self.operator
                .kubectl(&["create", "--dry-run=server", "-f", "-"], &deployment("probe", None))
                .stderr
                .contains(ONLY_OWNED)
        });
        let own = deployment("cattube-workers", Some(pool));
        let _ = self.operator.apply(&own).ok();
        let mut changed = own.clone();
        changed["spec"]["template"]["metadata"]["annotations"] = json!({"a": "b"});
        let _ = self.operator.apply(&changed).ok();

        let refused = self.operator.kubectl(&["create", "-f", "-"], &deployment("foreign", None)).refused();
        assert!(refused.contains(ONLY_OWNED), "{refused}");
        // An owner of another kind does not help, nor does a reference that does not control.
        let owners = [
            json!({"apiVersion": "v1", "kind": "ConfigMap", "controller": true}),
            json!({"apiVersion": "example.com/v1", "kind": "WorkerPool", "controller": true}),
            json!({"apiVersion": pool["apiVersion"], "kind": "WorkerPool", "controller": false}),
        ];
        for mut owner in owners {
            owner["name"] = pool["metadata"]["name"].clone();
            owner["uid"] = pool["metadata"]["uid"].clone();
            let mut other = deployment("other", None);
            other["metadata"]["ownerReferences"] = json!([owner]);
            let refused = self.operator.kubectl(&["create", "--dry-run=server", "-f", "-"], &other).refused();
            assert!(refused.contains(ONLY_OWNED), "{owner}: {refused}");
        }

        // Somebody else's: it may be scaled, which is what a targetRef is for, and nothing else.
        self.plane.apply(&deployment("foreign", None).to_string());
        assert_eq!(self.operator.scale("foreign", 3), 3);
        let patch = |name: &str, patch: Value| {
            self.operator.patch::<Deployment>(name, &patch, &PatchParams::default()).unwrap_err()
        };
        let refused = patch("foreign", json!({"spec": {"minReadySeconds": 5}}));
        assert!(refused.contains(ONLY_OWNED), "{refused}");
        // Nor may its own be given away, and be anybody's from then on.
        let refused = patch("cattube-workers", json!({"metadata": {"ownerReferences": null}}));
        assert!(refused.contains(ONLY_OWNED), "{refused}");
    }

    fn pods(&self) {
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "worker", "namespace": MEDIA, "labels": {"a": "b"}, "annotations": {"x": "y"}},
            "spec": {"containers": [{"name": "worker", "image": "worker"}]},
        });
        self.plane.apply(&pod.to_string());
        let patch = |patch: &Value, params: PatchParams| self.operator.patch::<Pod>("worker", patch, &params);
        let label = json!({"metadata": {"labels": {"d": "e"}}});
        eventually("the policy of pods is in force", || {
            patch(&label, PatchParams::default().dry_run()).is_err_and(|said| said.contains(ONLY_COST))
        });
        for cost in [json!("-100"), json!("5"), Value::Null] {
            patch(&json!({"metadata": {"annotations": {COST: cost}}}), PatchParams::default()).unwrap();
        }
        let forbidden = [
            json!({"spec": {"containers": [{"name": "worker", "image": "evil"}]}}),
            json!({"spec": {"activeDeadlineSeconds": 1}}),
            json!({"metadata": {"labels": {"a": "c"}}}),
            json!({"metadata": {"labels": {"d": "e"}}}),
            json!({"metadata": {"labels": null}}),
            json!({"metadata": {"annotations": {"x": "z"}}}),
            json!({"metadata": {"annotations": {"x": null}}}),
            json!({"metadata": {"annotations": {"w": "z", COST: "1"}}}),
            json!({"metadata": {"finalizers": ["example.com/stay"]}}),
        ];
        for wrong in forbidden {
            let refused = patch(&wrong, PatchParams::default()).unwrap_err();
            assert!(refused.contains(ONLY_COST), "{wrong}: {refused}");
        }
        // Nobody else is held to it.
        let label = ["label", "pod", "worker", "-n", MEDIA, "d=e"];
        let _ = self.plane.kubectl(&label).ok();
    }
}

const ONLY_OWNED: &str = "may only write Deployments that a WorkerPool owns";
const ONLY_COST: &str = "may only write the annotation controller.kubernetes.io/pod-deletion-cost of a pod";
