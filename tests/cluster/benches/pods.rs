//! What the control plane itself costs: its start, the API server's return after SIGKILL, and the way of a Deployment
//! from zero to 1,337 pods and back with nobody in between. What an operator takes on top of this is its own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a benchmark")]

use std::time::{Duration, Instant};

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::ListParams;
use reelpool_cluster::{ControlPlane, Kwok, KwokSettings, Qps, Settings, eventually};

const PODS: i32 = 1337;
const LIMIT: Duration = Duration::from_secs(600);
const DEPLOYMENT: &str = r"
apiVersion: apps/v1
kind: Deployment
metadata: {name: workers, namespace: default}
spec:
  replicas: 0
  selector: {matchLabels: {app: workers}}
  template:
    metadata: {labels: {app: workers}}
    spec: {containers: [{name: worker, image: nothing}]}
";

#[tokio::main]
async fn main() {
    // `cargo test --benches` asks whether it runs at all: compiled is enough.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    for (name, qps) in [("stock", Qps::Stock), ("fast", Qps::Fast)] {
        measure(name, qps).await;
    }
}

async fn measure(name: &str, qps: Qps) {
    let start = Instant::now();
    let plane = ControlPlane::start(Settings { qps, ..Settings::default() });
    println!("{name}: control plane up after {:.1} s", start.elapsed().as_secs_f64());
    let start = Instant::now();
    plane.kill_api_server();
    plane.start_api_server();
    println!("{name}: API server back {:.1} s after SIGKILL", start.elapsed().as_secs_f64());
    let start = Instant::now();
    let _kwok = Kwok::start(&plane, &KwokSettings::default());
    println!("{name}: ten nodes Ready after {:.1} s", start.elapsed().as_secs_f64());

    plane.apply(DEPLOYMENT);
    let client = plane.client().await;
    let deployments: Api<Deployment> = Api::default_namespaced(client.clone());
    let pods: Api<Pod> = Api::default_namespaced(client);
    for round in 1..=2 {
        scale(&plane, PODS);
        let up = eventually("all pods are Ready", LIMIT, async || {
            let status = deployments.get("workers").await.unwrap().status;
            status.and_then(|status| status.ready_replicas) == Some(PODS)
        });
        let up = up.await;
        scale(&plane, 0);
        let down = eventually("all pods are gone", LIMIT, async || {
            pods.list(&ListParams::default().limit(1)).await.unwrap().items.is_empty()
        });
        let down = down.await;
        println!(
            "{name}, round {round}: {PODS} pods Ready after {:.1} s, gone after {:.1} s",
            up.as_secs_f64(),
            down.as_secs_f64()
        );
    }
}

fn scale(plane: &ControlPlane, replicas: i32) {
    let _ = plane.kubectl(&["scale", "deployment/workers", &format!("--replicas={replicas}")]).ok();
}
