//! The worker's HTTP side: health, readiness, status, and the drain that comes before scale-in.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use reelpool_protocol::WorkerState::{Busy, Draining, Idle, Starting};
use reelpool_protocol::WorkerStatus;
use reelpool_protocol::status::{MAX_DRAIN_TERM_SECONDS, Stage};
use reelpool_worker::http::{Served, serve};
use reelpool_worker::token::DrainToken;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::script::Fault::WaitsAtGate;
use crate::script::Method::{Fetch, Receive};
use crate::script::{Rule, Script};
use crate::worker::{Says, Setup, Worker, block_on};
use crate::world::World;

const TOKEN: &str = "open-sesame";

/// A worker that has not begun, and its status server.
struct Server {
    world: Arc<World>,
    script: Arc<Script>,
    worker: Option<Worker>,
    says: Says,
    address: SocketAddr,
}

/// What the server said.
struct Answer {
    code: u16,
    head: String,
    body: String,
}

impl Answer {
    fn status(&self) -> WorkerStatus {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

impl Server {
    async fn new(rules: Vec<Rule>, token: Option<&str>) -> Self {
        let world = World::new();
        let script = Script::new(&world, rules);
        let worker = world.worker("w-1", &Setup::default(), &script);
        let says = worker.state();
        let served = Served {
            state: Arc::clone(&says.state),
            metrics: Arc::clone(&says.metrics),
            drain_token: token.map(DrainToken::of),
        };
        let address = serve("127.0.0.1:0".parse().unwrap(), served).await.unwrap();
        Self { world, script, worker: Some(worker), says, address }
    }

    /// Lets the worker work while `then` goes on; it leaves when that has ended.
    async fn while_working(&mut self, then: impl AsyncFnOnce(&Self)) {
        let worker = self.worker.take().unwrap();
        let over = std::cell::Cell::new(false);
        let asking = async {
            then(self).await;
            over.set(true);
        };
        let asking = async {
            timeout(Duration::from_secs(50), asking)
                .await
                .unwrap_or_else(|_| panic!("no end\n{}", self.world));
        };
        let (ended, ()) = tokio::join!(worker.run_until(|| over.get()), asking);
        ended.unwrap();
    }

    async fn ask(&self, method: &str, path: &str, headers: &[&str], body: &str) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: worker\r\nConnection: close\r\n");
        for header in headers {
            head.push_str(header);
            head.push_str("\r\n");
        }
        let request = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let code = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { code, head: head.to_ascii_lowercase(), body: body.to_owned() }
    }

    async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[], "").await
    }

    async fn status(&self) -> WorkerStatus {
        let answer = self.get("/v1/status").await;
        assert_eq!(answer.code, 200);
        answer.status()
    }

    async fn drain(&self, token: Option<&str>, seconds: u32) -> Answer {
        let body = format!("{{\"term_seconds\":{seconds}}}");
        let authorization = token.map(|token| format!("Authorization: Bearer {token}"));
        let mut headers = vec!["Content-Type: application/json"];
        headers.extend(authorization.as_deref());
        self.ask("POST", "/v1/drain", &headers, &body).await
    }

    async fn undrain(&self, token: &str) -> Answer {
        self.ask("DELETE", "/v1/drain", &[&format!("Authorization: Bearer {token}")], "").await
    }

    async fn until(&self, what: &str, met: impl Fn(&WorkerStatus) -> bool) -> WorkerStatus {
        let start = Instant::now();
        loop {
            let status = self.status().await;
            if met(&status) {
                return status;
            }
            assert!(start.elapsed() < Duration::from_secs(30), "never {what}: {status:?}\n{}", self.world);
            sleep(Duration::from_millis(10)).await;
        }
    }

    fn send(&self) {
        self.world.send(&[self.world.video("clip.mp4")]);
    }
}

#[test]
fn health_and_readiness() {
    block_on(async {
        let mut served = Server::new(Vec::new(), None).await;
        assert_eq!(served.get("/healthz").await.code, 200);
        let not_yet = served.get("/readyz").await;
        assert_eq!(not_yet.code, 503);
        assert!(not_yet.body.contains("queue"), "{}", not_yet.body);
        let status = served.status().await;
        assert_eq!((status.state, status.start_up_ms, status.drained), (Starting, None, false));
        served
            .while_working(async |served| {
                served.until("idle", |status| status.state == Idle).await;
                assert_eq!(served.get("/readyz").await.code, 200);
                assert_eq!(served.get("/healthz").await.code, 200);
                assert!(served.status().await.start_up_ms.is_some());
            })
            .await;
        assert_eq!(served.get("/nothing").await.code, 404);
        assert_eq!(served.ask("POST", "/v1/status", &[], "").await.code, 405);
    });
}

#[test]
fn the_status_tells_the_job_in_hand_and_the_totals() {
    block_on(async {
        let mut served = Server::new(vec![Fetch.first(WaitsAtGate)], None).await;
        served.send();
        served
            .while_working(async |served| {
                served.script.at_gate.notified().await;
                let answer = served.get("/v1/status").await;
                assert!(answer.head.contains("content-type: application/json"), "{}", answer.head);
                // As a controller of another version reads it: by names.
                let json: Value = serde_json::from_str(&answer.body).unwrap();
                assert_eq!((&json["worker"], &json["state"]), (&"w-1".into(), &"busy".into()), "{json}");
                assert_eq!(json["drained"], false);
                assert!(json["state_for_ms"].is_u64() && json["totals"]["committed"] == 0, "{json}");
                let job = &json["jobs"][0];
                assert_eq!(job["source"]["key"], "clip.mp4");
                assert_eq!(job["stage"], "fetching");
                assert!(job["held_for_ms"].is_u64() && job["permille"] == 0, "{json}");
                assert_eq!(answer.status().jobs[0].stage, Stage::Fetching);
                served.script.open_gate.notify_one();
                let status = served.until("idle again", |status| status.state == Idle).await;
                assert_eq!((status.totals.committed, status.jobs.len()), (1, 0));
                let metrics = served.get("/metrics").await;
                assert_eq!(metrics.code, 200);
                let line = "reelpool_worker_jobs_total{outcome=\"committed\"} 1";
                assert!(metrics.body.contains(line), "{}", metrics.body);
            })
            .await;
        served.world.assert_committed();
    });
}

#[test]
fn without_a_token_nobody_may_drain() {
    block_on(async {
        let served = Server::new(Vec::new(), None).await;
        for token in [None, Some(""), Some(TOKEN)] {
            assert_eq!(served.drain(token, 60).await.code, 403, "{token:?}");
        }
        assert_eq!(served.undrain(TOKEN).await.code, 403);
        assert_eq!(served.status().await.state, Starting);
    });
}

#[test]
fn only_the_right_token_may_drain() {
    block_on(async {
        let served = Server::new(Vec::new(), Some(TOKEN)).await;
        for token in [None, Some(""), Some("open-sesamE"), Some("open-sesame-"), Some("open")] {
            let answer = served.drain(token, 60).await;
            assert_eq!(answer.code, 401, "{token:?}");
            assert!(answer.head.contains("www-authenticate: bearer"), "{}", answer.head);
        }
        assert_eq!(served.status().await.state, Starting);
        let answer = served.drain(Some(TOKEN), 60).await;
        assert_eq!((answer.code, answer.status().state, answer.status().drained), (200, Draining, true));
        assert_eq!(served.undrain("open-sesamE").await.code, 401);
        assert_eq!(served.status().await.state, Draining);
        assert_eq!(served.undrain(TOKEN).await.code, 200);
        assert_eq!(served.status().await.state, Starting);
    });
}

#[test]
fn a_term_is_cut_to_the_longest_and_a_body_that_says_none_is_refused() {
    block_on(async {
        let served = Server::new(Vec::new(), Some(TOKEN)).await;
        let lapses = served.drain(Some(TOKEN), u32::MAX).await.status().drain_lapses_in_ms.unwrap();
        let longest = u64::from(MAX_DRAIN_TERM_SECONDS) * 1000;
        assert!(lapses <= longest && lapses > longest - 10_000, "{lapses}");
        served.undrain(TOKEN).await;
        let headers = ["Content-Type: application/json", "Authorization: Bearer open-sesame"];
        for body in ["", "{}", "[]", "{\"term_seconds\":-1}", "{\"term_seconds\":\"60\"}"] {
            let code = served.ask("POST", "/v1/drain", &headers, body).await.code;
            assert!((400..500).contains(&code), "{body}: {code}");
        }
        assert_eq!(served.status().await.state, Starting);
    });
}

#[test]
fn a_busy_worker_refuses_to_drain_and_finishes() {
    block_on(async {
        let mut served = Server::new(vec![Fetch.first(WaitsAtGate)], Some(TOKEN)).await;
        served.send();
        served
            .while_working(async |served| {
                served.script.at_gate.notified().await;
                let answer = served.drain(Some(TOKEN), 60).await;
                assert_eq!((answer.code, answer.status().state), (409, Busy));
                assert_eq!(answer.status().jobs.len(), 1);
                served.script.open_gate.notify_one();
                let status = served.until("idle again", |status| status.state == Idle).await;
                assert_eq!(status.totals.committed, 1);
                // The drain was void: the next message is taken.
                served.world.send(&[served.world.video("next.mp4")]);
                served.until("done", |status| status.totals.committed == 2).await;
            })
            .await;
        served.world.assert_committed();
    });
}

#[test]
fn a_drained_worker_takes_a_waiting_message_when_the_drain_is_lifted() {
    block_on(async {
        let mut served = Server::new(Vec::new(), Some(TOKEN)).await;
        served
            .while_working(async |served| {
                served.until("idle", |status| status.state == Idle).await;
                assert_eq!(served.drain(Some(TOKEN), 600).await.code, 200);
                served.until("drained", |status| status.drained).await;
                let receives = served.script.calls(Receive);
                served.send();
                sleep(Duration::from_millis(700)).await;
                assert_eq!((served.script.calls(Receive), served.world.waiting()), (receives, 1));
                let answer = served.undrain(TOKEN).await;
                assert_eq!(answer.code, 200);
                assert_ne!(answer.status().state, Draining);
                served.until("done", |status| status.totals.committed == 1).await;
            })
            .await;
        served.world.assert_committed();
        served.world.assert_no_violation();
    });
}

#[test]
fn a_drain_lapses_after_its_term_and_not_before() {
    block_on(async {
        let mut served = Server::new(Vec::new(), Some(TOKEN)).await;
        served
            .while_working(async |served| {
                served.until("idle", |status| status.state == Idle).await;
                // Asked again, the term begins anew.
                served.drain(Some(TOKEN), 1).await;
                sleep(Duration::from_millis(300)).await;
                let asked = Instant::now();
                let answer = served.drain(Some(TOKEN), 1).await;
                let lapses = answer.status().drain_lapses_in_ms.unwrap();
                assert!(lapses <= 1000, "{lapses}");
                served.until("drained", |status| status.drained).await;
                served.send();
                served.until("done", |status| status.totals.committed == 1).await;
                let taken = served.world.received_at().unwrap();
                assert!(taken - asked >= Duration::from_secs(1), "taken after {:?}", taken - asked);
            })
            .await;
        served.world.assert_committed();
    });
}

#[test]
fn a_message_that_an_outstanding_receive_still_brings_makes_the_drain_void() {
    block_on(async {
        let mut served =
            Server::new(vec![Receive.first(WaitsAtGate), Fetch.first(WaitsAtGate)], Some(TOKEN)).await;
        served.send();
        served
            .while_working(async |served| {
                served.script.at_gate.notified().await;
                let answer = served.drain(Some(TOKEN), 600).await;
                assert_eq!((answer.code, answer.status().state), (200, Draining));
                assert!(!answer.status().drained, "a receive is outstanding");
                // The embedded queue would bring nothing now; SQS would.
                served.says.state.stop_receiving.set(false);
                served.script.open_gate.notify_one();
                served.script.at_gate.notified().await;
                let status = served.status().await;
                assert_eq!((status.state, status.drain_lapses_in_ms, status.drained), (Busy, None, false));
                served.script.open_gate.notify_one();
                let status = served.until("idle again", |status| status.state == Idle).await;
                assert_eq!(status.totals.committed, 1);
            })
            .await;
        served.world.assert_committed();
    });
}
