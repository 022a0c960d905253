//! The crowd of simulated workers: what it does is what real workers do, and what it counts as an interruption is one.

use std::net::SocketAddr;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::ListParams;
use reelpool_cluster::{
    Audit, Behaviour, ControlPlane, Counts, Crowd, HELD, Kwok, KwokSettings, MemorySqs, Replicas, Settings,
    Source, eventually,
};
use reelpool_protocol::WorkerState::{Busy, Draining, Idle};
use reelpool_protocol::WorkerStatus;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const LIMIT: Duration = Duration::from_secs(120);
const TOKEN: &str = "abc";
/// As sha256sum says it.
const TOKEN_SHA256: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

fn deployment(queue: &str, replicas: u32) -> String {
    format!(
        r#"
apiVersion: apps/v1
kind: Deployment
metadata: {{name: workers, namespace: default}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{reelpool.dev/pool: p}}}}
  template:
    metadata: {{labels: {{reelpool.dev/pool: p}}}}
    spec:
      containers:
      - name: worker
        image: nothing
        env:
        - {{name: REELPOOL_QUEUE_URL, value: "{queue}"}}
        - {{name: REELPOOL_DRAIN_TOKEN_SHA256, value: {TOKEN_SHA256}}}
"#
    )
}

/// Asks a worker; returns the code and its status, if it gave one.
async fn ask(worker: SocketAddr, method: &str, path: &str, token: &str) -> (u16, Option<WorkerStatus>) {
    let body = r#"{"term_seconds": 60}"#;
    let mut stream = TcpStream::connect(worker).await.unwrap();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: worker\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let code = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (code, serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).ok())
}

async fn addresses(pods: &Api<Pod>) -> Vec<SocketAddr> {
    let pods = pods.list(&ListParams::default()).await.unwrap().items;
    let ip = |pod: Pod| pod.status?.pod_ip?.parse().ok();
    pods.into_iter().filter_map(ip).map(|ip| SocketAddr::new(ip, 8080)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_works_drains_and_tells_who_interrupted_it() {
    let plane = ControlPlane::start(Settings::default().audited());
    let _kwok = Kwok::start(&plane, &KwokSettings::default());
    let sqs = MemorySqs::start();
    let queue = sqs.create("masters");
    let behaviour = Behaviour { long_poll: Duration::from_millis(500), ..Behaviour::default() };
    let crowd = Crowd::start(&plane, "default", Source::Memory(&sqs), behaviour);
    let replicas = Replicas::follow(&plane, "default");
    plane.apply(&deployment(&queue, 6));
    eventually("six workers", LIMIT, async || crowd.report().workers == 6).await;

    sqs.send(&queue, 8, "0.2");
    eventually("eight jobs are done", LIMIT, async || crowd.report().done == 8).await;
    assert_eq!(sqs.counts(&queue), Counts::default());

    // Four get a job that does not end, two have none.
    sqs.send(&queue, 4, HELD);
    eventually("four are busy", LIMIT, async || crowd.report().busy == 4).await;
    assert_eq!(sqs.counts(&queue), Counts { backlog: 0, in_flight: 4 });
    let pods: Api<Pod> = Api::default_namespaced(plane.client().await);
    let mut codes = Vec::new();
    for worker in addresses(&pods).await {
        let (_, before) = ask(worker, "GET", "/v1/status", "").await;
        let before = before.unwrap();
        assert_eq!(ask(worker, "POST", "/v1/drain", "wrong").await.0, 401);
        let (code, after) = ask(worker, "POST", "/v1/drain", TOKEN).await;
        codes.push(code);
        let expected = if before.state == Busy { (409, Busy, 1) } else { (200, Draining, 0) };
        let after = after.unwrap();
        assert_eq!((code, after.state, after.jobs.len()), expected);
        assert!(matches!(before.state, Busy | Idle), "{before:?}");
        if code == 200 {
            eventually("it is drained when its receive has ended", LIMIT, async || {
                ask(worker, "GET", "/v1/status", "").await.1.unwrap().drained
            })
            .await;
        }
    }
    codes.sort_unstable();
    assert_eq!(codes, [200, 200, 409, 409, 409, 409]);

    // The drained ones take nothing.
    sqs.send(&queue, 1, HELD);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(sqs.counts(&queue), Counts { backlog: 1, in_flight: 4 });
    assert!(crowd.report().interrupted.is_empty());

    // Without a deletion cost Kubernetes has no reason to spare the busy ones.
    let _ = plane.kubectl(&["scale", "deployment/workers", "--replicas=0"]).ok();
    eventually("all are gone", LIMIT, async || crowd.report().workers == 0).await;
    let report = crowd.report();
    assert_eq!((report.interrupted.len(), report.left_idle, report.max_at_once), (4, 2, 6), "{report:#?}");
    assert!(report.interrupted.iter().all(|one| one.killed));
    let deletions = Audit::of(&plane).deletions("default");
    assert_eq!(deletions.len(), 6);
    let interrupted = crowd.interrupted_by(&deletions);
    assert_eq!(interrupted.len(), 4, "{interrupted:?}");
    assert!(interrupted.iter().all(|line| line.contains("replicaset-controller deleted workers-")));
    assert_eq!(replicas.of("workers").numbers(), [6, 0]);
    let scaled = Audit::of(&plane).since(std::time::UNIX_EPOCH, |request| {
        request.resource == "deployments/scale" && request.is_write()
    });
    assert_eq!(scaled.len(), 1, "{scaled:#?}");
}
