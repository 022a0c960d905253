use super::*;
use axum::http::Request;
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use reelpool_core::replay::Record;
use reelpool_core::{Memory, Observation, Policy, PolicySpec, QueueDepth, Sample, Timestamp};
use serde_json::Value;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tower::ServiceExt;

use crate::clock::Clock;

struct World {
    health: Health,
    decisions: Arc<Decisions>,
    router: Router,
}

fn world() -> World {
    let health = Health::default();
    let decisions = Arc::new(Decisions::new(64, 1_000_000, None));
    let metrics = Metrics::new(Clock::start()).unwrap();
    let readers = Arc::new(Semaphore::new(READERS));
    let served = Served { health: health.clone(), metrics, decisions: Arc::clone(&decisions), readers };
    World { health, decisions, router: router(served) }
}

impl World {
    async fn ask(&self, path: &str) -> Response {
        let request = Request::get(path).body(Body::empty()).unwrap();
        self.router.clone().oneshot(request).await.unwrap()
    }

    async fn get(&self, path: &str) -> (u16, String) {
        let answer = self.ask(path).await;
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    fn decide(&self, pool: &str, backlog: u64) {
        let now = Timestamp::from_millis(1000);
        let observation = Observation {
            queue: Sample::Known { value: QueueDepth { backlog, ..QueueDepth::default() }, observed_at: now },
            workers: Sample::Known { value: Vec::new(), observed_at: now },
            current: 0,
            service_time: None,
            start_up_time: None,
        };
        let policy = Policy::try_from(PolicySpec { max_workers: 99, ..PolicySpec::default() }).unwrap();
        let record = Record::make(policy, Memory::default(), observation, now);
        self.decisions.take(&PoolName::new("cattube".to_owned(), pool.to_owned()), &record);
    }
}

#[tokio::test]
async fn to_live_is_not_to_be_ready() {
    let world = world();
    world.health.wait_for("caches", "the pools have not been read yet");
    let nobody = (503, "leader election: the lease has not been read yet\n".to_owned());
    assert_eq!((world.get("/healthz").await, world.get("/readyz").await), ((200, "ok\n".to_owned()), nobody));
    world.health.set_role(Role::Standby { leader: Some("pod-2_ab".to_owned()) });
    assert_eq!(world.get("/readyz").await, (200, "ready: standby, pod-2_ab leads\n".to_owned()));
    world.health.set_role(Role::Leader);
    assert_eq!(world.get("/readyz").await, (503, "caches: the pools have not been read yet\n".to_owned()));
    world.health.ready("caches");
    assert_eq!(world.get("/readyz").await, (200, "ready\n".to_owned()));
    world.health.expect("sweep", Duration::ZERO);
    let (status, text) = world.get("/healthz").await;
    assert_eq!(status, 503);
    assert!(text.starts_with("sweep: silent for 0 s"), "{text}");
    assert_eq!(world.get("/readyz").await.0, 503);
}

#[tokio::test]
async fn the_leader_tells_its_decisions_the_newest_last() {
    let world = world();
    world.health.set_role(Role::Leader);
    for backlog in [1, 2, 3] {
        world.decide("masters", backlog);
    }
    world.decide("others", 7);
    assert_eq!(world.get("/v1/pools").await, (200, "cattube/masters\ncattube/others\n".to_owned()));
    let backlogs = |text: &str| -> Vec<u64> {
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines
            .map(|line| line["record"]["observation"]["queue"]["known"]["value"]["backlog"].as_u64().unwrap())
            .collect()
    };
    let answer = world.ask("/v1/pools/cattube/masters/decisions").await;
    assert_eq!(answer.headers()[header::CONTENT_TYPE], "application/jsonl");
    for (query, expected) in
        [("", vec![1, 2, 3]), ("?limit=2", vec![2, 3]), ("?limit=0", vec![]), ("?limit=99", vec![1, 2, 3])]
    {
        let (status, text) = world.get(&format!("/v1/pools/cattube/masters/decisions{query}")).await;
        assert_eq!((status, backlogs(&text)), (200, expected), "{query}");
    }
    // One that waits for something, and that nothing was decided on yet.
    world.decisions.know(&PoolName::new("cattube".to_owned(), "waits".to_owned()));
    assert_eq!(world.get("/v1/pools/cattube/waits/decisions").await, (200, String::new()));
    assert!(world.get("/v1/pools").await.1.contains("cattube/waits\n"));
    for (path, status, said) in [
        ("/v1/pools/cattube/unknown/decisions", 404, "there is no such pool here"),
        ("/v1/pools/cattube/masters/decisions?limit=-1", 400, "limit=`-1`: expected a number"),
        ("/v1/pools/cattube/masters/decisions?last=1", 400, "`last` is not understood: only limit=N is"),
        ("/v1/pools/cattube/masters", 404, ""),
    ] {
        let (found, text) = world.get(path).await;
        assert!(found == status && text.contains(said), "{path}: {found} {text}");
    }
}

#[tokio::test]
async fn a_standby_says_who_to_ask() {
    let world = world();
    for (role, said) in [
        (Role::Unknown, "does not know yet who leads"),
        (Role::Standby { leader: None }, "nobody leads now"),
        (Role::Standby { leader: Some("pod-2_ab".to_owned()) }, "ask pod-2_ab, which leads"),
    ] {
        world.health.set_role(role);
        for path in ["/v1/pools", "/v1/pools/cattube/masters/decisions"] {
            let (status, text) = world.get(path).await;
            assert!(status == 503 && text.contains(said), "{path}: {status} {text}");
        }
    }
}

#[tokio::test]
async fn callers_that_do_not_read_what_they_asked_for_are_few() {
    let world = world();
    world.health.set_role(Role::Leader);
    world.decide("masters", 1);
    let path = "/v1/pools/cattube/masters/decisions";
    let mut held = Vec::new();
    for _ in 0..READERS {
        held.push(world.ask(path).await);
    }
    let refused = world.ask(path).await;
    assert_eq!(
        (refused.status().as_u16(), &refused.headers()[header::RETRY_AFTER]),
        (503, &"1".parse().unwrap())
    );
    drop(held.pop());
    assert_eq!(world.get(path).await.0, 200);
    for answer in held {
        answer.into_body().collect().await.unwrap();
    }
    assert_eq!(world.get(path).await.0, 200);
}

#[tokio::test]
async fn nothing_but_reading_is_served() {
    let world = world();
    for method in ["POST", "PUT", "DELETE"] {
        let request = Request::builder().method(method).uri("/v1/pools").body(Body::empty()).unwrap();
        assert_eq!(world.router.clone().oneshot(request).await.unwrap().status().as_u16(), 405);
    }
}

#[tokio::test]
async fn it_listens_on_all_addresses_with_or_without_ipv6_and_ends_when_dropped() {
    for address in ["[::]:0", "0.0.0.0:0", "127.0.0.1:0"] {
        let metrics = Metrics::new(Clock::start()).unwrap();
        let decisions = Arc::new(Decisions::new(1, 1, None));
        let server = serve(address.parse().unwrap(), Health::default(), metrics, decisions).await.unwrap();
        let client: Client<_, Empty<Bytes>> =
            Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build_http();
        let uri = format!("http://127.0.0.1:{}/metrics", server.address().port());
        let answer = client.get(uri.parse().unwrap()).await.unwrap();
        assert_eq!(answer.status().as_u16(), 200);
        let text = answer.into_body().collect().await.unwrap().to_bytes();
        assert!(String::from_utf8_lossy(&text).contains("\nreelpool_pools 0\n"));
        let port = server.address().port();
        drop(server);
        // The task is told to end; the port is free when it has.
        let mut tries = 0;
        while TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.is_err() {
            tries += 1;
            assert!(tries < 3000);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_never_ends_is_not_waited_for() {
    let metrics = Metrics::new(Clock::start()).unwrap();
    let decisions = Arc::new(Decisions::new(1, 1, None));
    let server = serve("127.0.0.1:0".parse().unwrap(), Health::default(), metrics, decisions).await.unwrap();
    let mut caller = TcpStream::connect(server.address()).await.unwrap();
    caller.write_all(b"GET /metrics HTTP/1.1\r\n").await.unwrap();
    let closed = tokio::time::timeout(Duration::from_secs(60), caller.read(&mut [0; 16])).await;
    assert_eq!(closed.unwrap().unwrap(), 0);
}
