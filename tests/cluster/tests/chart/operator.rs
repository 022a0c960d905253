//! Somebody who has the operator's token and nothing else.

use std::fmt::Debug;
use std::path::PathBuf;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::Deployment;
use kube::Resource;
use kube::api::{Api, Patch, PatchParams};
use reelpool_cluster::{ControlPlane, Ran, on_a_runtime};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::helm::{NAMESPACE, eventually};

/// Where pools are in these tests.
pub const MEDIA: &str = "media";

/// Speaks with the operator's token.
pub struct Operator<'a> {
    plane: &'a ControlPlane,
    kubeconfig: PathBuf,
}

impl<'a> Operator<'a> {
    /// The operator that the chart installed.
    pub fn of(plane: &'a ControlPlane) -> Self {
        Self { plane, kubeconfig: plane.kubeconfig_for((NAMESPACE, "reelpool-operator")) }
    }

    pub fn kubectl(&self, args: &[&str], input: &Value) -> Ran {
        let kubeconfig = format!("--kubeconfig={}", self.kubeconfig.display());
        let args = [&[kubeconfig.as_str()], args].concat();
        self.plane.kubectl_with(&args, &input.to_string())
    }

    pub fn apply(&self, object: &Value) -> Ran {
        let args = ["apply", "--server-side", "--force-conflicts", "--field-manager=reelpool", "-f", "-"];
        self.kubectl(&args, object)
    }

    /// Patches as the operator does: kubectl would get the object first, which the operator may not. What the API
    /// server says when it refuses.
    pub fn patch<K>(&self, name: &str, patch: &Value, params: &PatchParams) -> Result<(), String>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
    {
        on_a_runtime(async {
            let api: Api<K> = Api::namespaced(self.plane.client_of(&self.kubeconfig).await, MEDIA);
            let patched = api.patch(name, params, &Patch::Strategic(patch)).await;
            patched.map(|_| ()).map_err(|error| error.to_string())
        })
    }

    /// Writes the number of replicas as the operator does.
    pub fn scale(&self, deployment: &str, replicas: i32) -> i32 {
        on_a_runtime(async {
            let client = self.plane.client_of(&self.kubeconfig).await;
            let api: Api<Deployment> = Api::namespaced(client, MEDIA);
            let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
            let scale = api.patch_scale(deployment, &PatchParams::default(), &patch).await.unwrap();
            scale.spec.unwrap().replicas.unwrap()
        })
    }
}

/// Makes a namespace and a pool in it: the example's.
pub fn pool(plane: &ControlPlane) -> Value {
    plane.apply(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": MEDIA}}).to_string());
    eventually("the namespace has its account", || {
        plane.kubectl(&["get", "serviceaccount", "-n", MEDIA, "default"]).status.success()
    });
    let crd = "crd/workerpools.reelpool.dev";
    let _ = plane.kubectl(&["wait", "--for=condition=Established", "--timeout=60s", crd]).ok();
    let example = reelpool_tests::repository().join("charts/examples/workerpool.yaml");
    plane.apply(&std::fs::read_to_string(example).unwrap());
    let pool = plane.kubectl(&["get", "workerpool", "cattube", "-n", MEDIA, "-o", "json"]).ok();
    serde_json::from_str(&pool).unwrap()
}

/// A Deployment without pods; `owner` controls it.
pub fn deployment(name: &str, owner: Option<&Value>) -> Value {
    let owners: Vec<Value> = owner
        .iter()
        .map(|pool| {
            json!({
                "apiVersion": pool["apiVersion"], "kind": pool["kind"], "name": pool["metadata"]["name"],
                "uid": pool["metadata"]["uid"], "controller": true, "blockOwnerDeletion": true,
            })
        })
        .collect();
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": name, "namespace": MEDIA, "ownerReferences": owners},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": {"of": name}},
            "template": {
                "metadata": {"labels": {"of": name}},
                "spec": {"containers": [{"name": "worker", "image": "worker"}]},
            },
        },
    })
}
