//! Two operators: one leads, and the other takes over when it must. Never do both write.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use k8s_openapi::ByteString;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use kube::Api;
use reelpool_cluster::{Operator, OperatorSettings, Request, Wire};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::place::{Place, text};

const POOLS: [&str; 3] = ["cats", "dogs", "birds"];
/// Ten times what it takes to notice that the lease is lost, and to end.
const ENDS_WITHIN: Duration = Duration::from_secs(60);

/// An operator, and how the audit log knows it.
struct Candidate {
    operator: Operator,
    credential: String,
}

impl Place<'_> {
    fn candidate(&self, settings: OperatorSettings) -> Candidate {
        let credential = credential(settings.kubeconfig.as_ref().unwrap());
        Candidate { operator: Operator::start(self.plane, settings), credential }
    }

    /// Two operators, the first of which leads while the other stands by.
    fn leader_and_standby(&self, first: OperatorSettings) -> [Candidate; 2] {
        let mut leader = self.candidate(first);
        leader.leads();
        let mut standby = self.candidate(self.operator("b"));
        standby.operator.wait_until("it stands by", crate::place::SOON, Operator::is_ready);
        assert!(!standby.operator.leads(), "two lead");
        let answer = standby.operator.get(&format!("/v1/pools/{}/cats/decisions", self.name)).unwrap();
        assert_eq!(answer.status, 503, "{}", answer.body);
        assert!(answer.body.contains(leader.operator.identity()), "who leads? {}", answer.body);
        [leader, standby]
    }

    /// Pools whose queues change all the time, so that whoever leads writes all the time.
    async fn make_work(&self) {
        for pool in POOLS {
            self.make(pool, json!({})).await;
        }
    }

    /// A message for one pool after another.
    async fn keep_sending(&self, time: Duration) {
        let start = Instant::now();
        for pool in POOLS.iter().cycle() {
            if start.elapsed() >= time {
                return;
            }
            self.send(pool, 1);
            tokio::time::sleep(Duration::from_millis(400)).await;
        }
    }

    async fn lease(&self) -> LeaseSpec {
        let leases: Api<Lease> = Api::namespaced(self.client.clone(), &format!("{}-system", self.name));
        leases.get("reelpool-operator").await.unwrap().spec.unwrap()
    }

    /// The writes to the world by one operator, whether they were granted or not.
    fn writes_by(&self, candidate: &Candidate) -> Vec<Request> {
        let aside = ["leases", "events"];
        let writes = self.audit.since(SystemTime::UNIX_EPOCH, |request| {
            request.credential == candidate.credential
                && request.is_write()
                && !aside.contains(&request.resource.as_str())
        });
        assert!(!writes.is_empty(), "{} wrote nothing at all", candidate.operator.identity());
        writes
    }

    /// What was granted to the one was granted before the other asked for anything.
    fn one_after_the_other(&self, first: &Candidate, second: &Candidate) {
        let next = self.writes_by(second).into_iter().min_by_key(|write| write.received).unwrap();
        let granted = |write: &Request| (200..300).contains(&write.code);
        let writes = self.writes_by(first).into_iter().filter(granted);
        let last = writes.max_by_key(|write| write.answered).unwrap();
        assert!(last.answered <= next.received, "two wrote at one time:\n{last:#?}\n{next:#?}");
    }

    /// All that was sent gets done, and the fleets go home.
    async fn all_ends_well(&self) {
        for pool in POOLS {
            self.reaches(pool, 0).await;
            self.eventually("its queue is empty", async || {
                let counts = self.sqs.counts(&self.sqs.create(pool));
                counts.backlog + counts.in_flight == 0
            })
            .await;
        }
        self.nobody_was_interrupted();
    }
}

impl Candidate {
    fn leads(&mut self) {
        self.operator.wait_until("it leads", crate::place::SOON, Operator::leads);
    }
}

/// What the audit log calls the token in this kubeconfig.
fn credential(kubeconfig: &Path) -> String {
    let config: Value = serde_json::from_str(&text(kubeconfig)).unwrap();
    let token = config["users"][0]["user"]["token"].as_str().unwrap();
    let mut claims = token.split('.').nth(1).unwrap().replace('-', "+").replace('_', "/");
    claims.push_str(&"=".repeat(claims.len().wrapping_neg() % 4));
    let ByteString(claims) = serde_json::from_value(json!(claims)).unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    format!("JTI={}", claims["jti"].as_str().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_told_to_stop_hands_over_and_one_that_is_killed_is_replaced() {
    let place = Place::new("replaced").await;
    let [first, mut second] = place.leader_and_standby(place.operator("a"));
    place.make_work().await;
    place.keep_sending(Duration::from_secs(4)).await;

    let transitions = place.lease().await.lease_transitions.unwrap_or(0);
    let told = Instant::now();
    first.operator.signal(Signal::TERM);
    second.leads();
    let handed_over = told.elapsed();
    let Candidate { mut operator, credential } = first;
    let status = operator.daemon().wait(ENDS_WITHIN);
    assert!(status.success(), "{status}\n{}", operator.daemon().report());
    let first = Candidate { operator, credential };
    assert_eq!(place.lease().await.lease_transitions, Some(transitions + 1));
    place.keep_sending(Duration::from_secs(3)).await;
    place.one_after_the_other(&first, &second);

    let mut third = place.candidate(place.operator("c"));
    third.operator.wait_until("it stands by", crate::place::SOON, Operator::is_ready);
    let killed = Instant::now();
    second.operator.daemon().kill();
    let ((), ()) = tokio::join!(place.keep_sending(Duration::from_secs(3)), async {
        tokio::task::block_in_place(|| third.leads());
    });
    let taken_over = killed.elapsed();
    let lease = place.lease().await;
    assert!(lease.holder_identity.unwrap().starts_with(third.operator.identity()));
    // A leader that is killed gives nothing back: its time must run out first.
    assert!(taken_over > handed_over, "{taken_over:?}");
    println!("handed over in {handed_over:?}, taken over in {taken_over:?}");
    place.all_ends_well().await;
    place.one_after_the_other(&second, &third);
    third.operator.assert_sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_was_stopped_for_long_ends_without_a_write() {
    let place = Place::new("stopped").await;
    let [mut first, mut second] = place.leader_and_standby(place.operator("a"));
    place.make_work().await;
    place.keep_sending(Duration::from_secs(4)).await;

    let stopped = Instant::now();
    first.operator.signal(Signal::STOP);
    // What waits is written by the other as soon as it may.
    place.keep_sending(Duration::from_secs(2)).await;
    tokio::task::block_in_place(|| second.leads());
    println!("taken over {:?} after the leader was stopped", stopped.elapsed());
    place.keep_sending(Duration::from_secs(2)).await;
    let woken = SystemTime::now();
    first.operator.signal(Signal::CONT);
    let status = first.operator.daemon().wait(ENDS_WITHIN);
    assert!(!status.success(), "a lost lease is no success");
    let log = text(&place.log(&first.operator));
    assert!(log.contains("lease"), "it does not say why it ended:\n{log}");
    place.all_ends_well().await;
    place.one_after_the_other(&first, &second);
    let late: Vec<Request> =
        place.writes_by(&first).into_iter().filter(|write| write.received >= woken).collect();
    assert!(late.is_empty(), "it woke up and wrote: {late:#?}");
    second.operator.assert_sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_cannot_reach_the_api_server_ends_before_another_leads() {
    let place = Place::new("cut-off").await;
    let wire = Wire::to(&place.plane.server());
    let settings = place.operator("a");
    let kubeconfig = settings.kubeconfig.as_ref().unwrap();
    std::fs::write(kubeconfig, text(kubeconfig).replace(&place.plane.server(), &wire.url())).unwrap();
    let [mut first, mut second] = place.leader_and_standby(settings);
    place.make_work().await;
    place.keep_sending(Duration::from_secs(4)).await;

    let silent = Instant::now();
    wire.silence();
    place.keep_sending(Duration::from_secs(2)).await;
    while first.operator.daemon().runs() {
        // Who leads goes on to lead: a look that finds nobody tells of the time before as well.
        let leads = second.operator.metrics().sum("reelpool_leader", &[]) > 0.0;
        // The first may have ended between the two looks.
        assert!(!leads || !first.operator.daemon().runs(), "another leads after {:?}", silent.elapsed());
        assert!(silent.elapsed() < ENDS_WITHIN, "it does not end");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let ended = silent.elapsed();
    let status = first.operator.daemon().wait(ENDS_WITHIN);
    assert!(!status.success(), "a lost lease is no success");
    tokio::task::block_in_place(|| second.leads());
    println!("ended after {ended:?}, taken over after {:?}", silent.elapsed());
    // What it had sent is lost.
    wire.cut();
    place.all_ends_well().await;
    place.one_after_the_other(&first, &second);
    second.operator.assert_sound();
}
