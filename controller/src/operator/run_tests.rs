use super::*;
use std::convert::Infallible;

use ::http::{Request, Response};
use clap::Parser;
use kube::client::Body;
use serde_json::{Value, json};

use crate::args::{Args, Command};
use crate::lease::fake_api::FakeApi;

fn options() -> OperatorOptions {
    let line = ["reelpool", "operator", "--worker-image", "w:1", "--endpoint-url", "http://127.0.0.1:9"];
    let Command::Operator(args) = Args::try_parse_from(line).unwrap().command else { panic!() };
    OperatorOptions::read(*args, "host").unwrap()
}

/// An API server that lets nothing be read but the drain key, and the pools where `pools`.
fn client(pools: bool) -> Client {
    Client::new(
        tower::service_fn(move |request: Request<Body>| async move {
            let (status, answer) = answer(request.uri().path(), pools);
            Ok::<_, Infallible>(Response::builder().status(status).body(Body::from(answer)).unwrap())
        }),
        "default",
    )
}

fn answer(path: &str, pools: bool) -> (u16, Vec<u8>) {
    let lines = |all: &[Value]| all.iter().flat_map(|line| format!("{line}\n").into_bytes()).collect();
    if path.contains("/secrets/") {
        let key = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
        return (200, lines(&[json!({"metadata": {"name": "reelpool-drain-key"}, "data": {"key": key}})]));
    }
    if pools && path.ends_with("/workerpools") {
        let pool = |metadata: Value| json!({"apiVersion": "reelpool.dev/v1alpha1", "kind": "WorkerPool", "metadata": metadata, "spec": {}});
        let there = json!({"name": "masters", "namespace": "cattube", "uid": "u", "resourceVersion": "1"});
        let all = json!({"resourceVersion": "1", "annotations": {"k8s.io/initial-events-end": "true"}});
        let (there, all) = (
            json!({"type": "ADDED", "object": pool(there)}),
            json!({"type": "BOOKMARK", "object": pool(all)}),
        );
        return (200, lines(&[there, all]));
    }
    let refused = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": 403,
        "message": "not for you", "reason": "Forbidden",
    });
    (403, lines(&[refused]))
}

async fn made(client: Client, pools: &Controller<Guarded>) -> (Context, Watches) {
    let clock = Clock::start();
    let decisions = Arc::new(Decisions::new(1, DEFAULT_TOTAL_BYTES, None));
    let (metrics, peers) = (Metrics::new(clock).unwrap(), Peers::new(pools.store()));
    context(&options(), client, Rights::Sole, metrics, decisions, clock, peers).await.unwrap()
}

fn controller(client: &Client) -> Controller<Guarded> {
    Controller::new(scope::<Guarded>(client, None), watcher::Config::default().streaming_lists())
}

#[tokio::test]
async fn it_stops_when_it_is_told_to_also_while_nothing_can_be_read() {
    // With pools a pass waits for the Deployments.
    for can_read_pools in [false, true] {
        let client = client(can_read_pools);
        let pools = controller(&client);
        let known = pools.store();
        let context = made(client, &pools).await;
        let health = Health::default();
        let stop = tokio::time::sleep(Duration::from_millis(300));
        let watched = watch_over(pools, context, &health, stop);
        let ended = tokio::time::timeout(Duration::from_secs(20), watched).await;
        assert!(ended.is_ok(), "pools can be read: {can_read_pools}");
        assert_eq!(known.state().len(), usize::from(can_read_pools));
        assert!(health.stuck().is_empty());
    }
}

#[tokio::test]
async fn a_sweep_that_waits_for_the_caches_is_not_stuck() {
    let client = client(false);
    let pools = controller(&client);
    let (context, _watches) = made(client, &pools).await;
    let health = Health::default();
    health.expect(SWEEP, Duration::from_secs(1));
    std::thread::sleep(Duration::from_millis(1100));
    assert_eq!(health.stuck().len(), 1);
    tokio::time::pause();
    let known = pools.store();
    let sweep = sweep(&context, &known, future::pending(), future::pending(), &health);
    tokio::time::timeout(SWEEP_EVERY + Duration::from_millis(1), sweep).await.unwrap_err();
    assert!(health.stuck().is_empty());
}

#[tokio::test]
async fn the_lease_is_handed_back_also_when_the_passes_end_with_an_error() {
    let api = FakeApi::default();
    let lease = LeaseConfig {
        client: api.client(),
        namespace: "system".to_owned(),
        name: "reelpool-operator".to_owned(),
        identity: "me_1".to_owned(),
        timing: lease::Timing::default(),
        health: Health::default(),
    };
    let leadership = lease::acquire(lease).await.unwrap();
    assert_eq!(api.holder().as_deref(), Some("me_1"));
    let ended = while_leading(future::ready(Err(OperatorError::NotInstalled)), Some(leadership)).await;
    assert!(matches!(ended, Err(OperatorError::NotInstalled)), "{ended:?}");
    assert_eq!(api.holder().as_deref(), Some(""));
}
