//! One API server for all of these tests, with the definition applied; each test has pools of its own.

use std::sync::LazyLock;

use reelpool_cluster::{ControlPlane, Settings, on_a_runtime};
use serde_json::{Value, json};

static PLANE: LazyLock<ControlPlane> = LazyLock::new(|| {
    let plane = ControlPlane::start(Settings::api_only());
    plane.apply(&definition());
    let name = "crd/workerpools.reelpool.dev";
    let _ = plane.kubectl(&["wait", "--for=condition=Established", "--timeout=60s", name]).ok();
    plane
});

/// The control plane.
pub fn plane() -> &'static ControlPlane {
    &PLANE
}

/// The definition that is kept in the repository.
pub fn definition() -> String {
    let path = reelpool_tests::repository().join("crds/reelpool.dev_workerpools.yaml");
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A pool that says the least, with `change` merged into its spec; `null` takes away.
pub fn pool(name: &str, change: &Value) -> Value {
    let mut pool = json!({
        "apiVersion": "reelpool.dev/v1alpha1",
        "kind": "WorkerPool",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "queue": {"sqs": {"queueURL": "https://sqs.eu-west-1.amazonaws.com/123456789012/masters"}},
            "masters": {"url": "s3://cats/in"},
            "output": {"url": "s3://cats/out/"},
            "maxWorkers": 3,
        },
    });
    merge(&mut pool["spec"], change);
    pool
}

/// A pool that scales somebody's Deployment.
pub fn target_pool(name: &str, target: &Value) -> Value {
    pool(name, &json!({"masters": null, "output": null, "targetRef": target}))
}

fn merge(into: &mut Value, change: &Value) {
    match (into, change) {
        (Value::Object(into), Value::Object(change)) => {
            for (key, value) in change {
                if value.is_null() {
                    into.remove(key);
                } else {
                    merge(into.entry(key.clone()).or_insert(Value::Null), value);
                }
            }
        }
        (into, change) => *into = change.clone(),
    }
}

/// Creates a pool. What is stored, or what the API server said.
pub fn create(pool: &Value) -> Result<Value, String> {
    send("POST", "", "", "application/json", pool)
}

/// Asks whether the pool would be taken.
pub fn would_create(pool: &Value) -> Result<Value, String> {
    send("POST", "", "&dryRun=All", "application/json", pool)
}

/// Changes the spec of a pool; `null` takes away.
pub fn change(name: &str, change: &Value) -> Result<Value, String> {
    send("PATCH", &format!("/{name}"), "", "application/merge-patch+json", &json!({ "spec": change }))
}

/// Writes the status as `manager`.
pub fn apply_status(name: &str, manager: &str, status: &Value) -> Result<Value, String> {
    let body = json!({
        "apiVersion": "reelpool.dev/v1alpha1",
        "kind": "WorkerPool",
        "metadata": {"name": name, "namespace": "default"},
        "status": status,
    });
    let query = format!("&fieldManager={manager}&force=true");
    send("PATCH", &format!("/{name}/status"), &query, "application/apply-patch+yaml", &body)
}

fn send(method: &str, path: &str, query: &str, content_type: &str, body: &Value) -> Result<Value, String> {
    let pools = "/apis/reelpool.dev/v1alpha1/namespaces/default/workerpools";
    let request = http::Request::builder()
        .method(method)
        .uri(format!("{pools}{path}?fieldValidation=Strict{query}"))
        .header("content-type", content_type)
        .body(serde_json::to_vec(body).unwrap())
        .unwrap();
    on_a_runtime(async {
        match plane().client().await.request(request).await {
            Ok(stored) => Ok(stored),
            Err(kube::Error::Api(status)) => Err(status.message.clone()),
            Err(error) => panic!("{error}"),
        }
    })
}
