//! What the operator does for its keep: how soon it reacts, how it takes a fleet from zero to 1,337, and what a
//! thousand pools cost. The peer's figures beside are KEDA's (2.20.2, with an HPA), measured on such a control plane.
//! `-- reaction`, `-- fleet` and `-- pools` measure only that.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a benchmark")]

use std::time::{Duration, Instant, SystemTime};

use reelpool_cluster::{
    Audit, Behaviour, ControlPlane, Crowd, HELD, Kwok, KwokSettings, MemorySqs, OPERATOR_USER, Operator,
    OperatorSettings, PoolSpec, Pools, Qps, Replicas, Settings, Source, eventually, install,
};
use reelpool_tests::Emulator;
use serde_json::json;

const NAMESPACE: &str = "videos";
const LIMIT: Duration = Duration::from_secs(600);
/// How often a reaction is measured.
const TRIES: usize = 60;
const WORKERS: usize = 1337;
const POOLS: usize = 1000;
/// For how long the cost of a thousand pools is measured.
const REST: Duration = Duration::from_secs(60);

#[tokio::main]
async fn main() {
    // `cargo test --benches` asks whether it runs at all: compiled is enough.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let asked: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let wants = |what: &str| asked.is_empty() || asked.iter().any(|one| one == what);
    println!("{:<58}{:>16}   KEDA", "", "Reelpool");
    if wants("reaction") {
        reaction().await;
    }
    if wants("fleet") {
        for (name, qps) in [("stock limits", Qps::Stock), ("QPS 1000", Qps::Fast)] {
            fleet(name, qps).await;
        }
    }
    if wants("pools") {
        thousand_pools().await;
    }
}

fn row(what: &str, ours: &str, peers: &str) {
    println!("{what:<58}{ours:>16}   {peers}");
}

fn seconds(duration: Duration) -> String {
    format!("{:.2} s", duration.as_secs_f64())
}

/// The value that so many in a hundred do not exceed.
fn percentile(times: &mut [Duration], percent: usize) -> Duration {
    times.sort_unstable();
    times[(times.len() * percent).div_ceil(100).saturating_sub(1)]
}

struct World {
    replicas: Replicas,
    pools: Pools,
    audit: Audit,
    _kwok: Kwok,
    plane: ControlPlane,
}

impl World {
    fn new(qps: Qps) -> Self {
        let plane = ControlPlane::start(Settings { qps, ..Settings::default() }.audited());
        let kwok = Kwok::start(&plane, &KwokSettings::default());
        install(&plane, "reelpool-system");
        plane.apply(&format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {NAMESPACE}}}}}"));
        Self {
            replicas: Replicas::follow(&plane, NAMESPACE),
            pools: Pools::follow(&plane, NAMESPACE),
            audit: Audit::of(&plane),
            _kwok: kwok,
            plane,
        }
    }

    /// When the Deployment rose from zero after `start`.
    async fn risen(&self, deployment: &str, start: Instant) -> Duration {
        let rose = || self.replicas.of(deployment).rose_after(start);
        eventually("the fleet rises", LIMIT, async || rose().is_some()).await;
        rose().unwrap() - start
    }
}

/// From a message being countable to the number of replicas being written, at the default poll.
async fn reaction() {
    let world = World::new(Qps::Fast);
    let emulator = Emulator::start();
    let queue = emulator.create_queue_with_dlq("cattube", 10).await;
    let _operator = Operator::lead(&world.plane, OperatorSettings::at(&emulator.endpoint()));
    let endpoint = emulator.endpoint();
    let jobs = Behaviour { job: Duration::ZERO..=Duration::ZERO, ..Behaviour::default() };
    let crowd = Crowd::start(&world.plane, NAMESPACE, Source::Sqs(&endpoint), jobs);
    let pool = PoolSpec {
        name: "cattube".into(),
        queue: queue.url.clone(),
        max_workers: 10,
        // The way back is as short as it may be, to have the next try soon; the way up knows nothing of it.
        scaling: json!({"scaleIn": {"zeroAfterSeconds": 0, "idleSeconds": 0}}),
    };
    Pools::create(world.plane.client().await, NAMESPACE, [pool]).await;
    eventually("the pool is Ready", LIMIT, async || world.pools.ready().0 == 1).await;
    let mut times = Vec::new();
    for done in 1..=TRIES {
        // At any moment between two looks.
        tokio::time::sleep(Duration::from_secs(1).mul_f64(1.0 + 2.0 * fastrand::f64())).await;
        emulator.sqs.send_message().queue_url(&queue.url).message_body("0").send().await.unwrap();
        let start = Instant::now();
        assert_eq!(emulator.messages(&queue.url).await, 1, "it is countable");
        times.push(world.risen("cattube-workers", start).await);
        eventually("the job is done and nobody is left", LIMIT, async || {
            let report = crowd.report();
            report.done == done
                && report.workers == 0
                && world.replicas.of("cattube-workers").numbers().last() == Some(&0)
        })
        .await;
    }
    row(
        &format!("reaction, default poll, p50 of {TRIES}"),
        &seconds(percentile(&mut times, 50)),
        "15.8 s (0.67 s at pollingInterval 1)",
    );
    row("  p99", &seconds(percentile(&mut times, 99)), "30.0 s (max)");
    row("  max", &seconds(percentile(&mut times, 100)), "30.0 s (1.0 s at pollingInterval 1)");
}

/// 0 to 1,337 and back.
async fn fleet(name: &str, qps: Qps) {
    let world = World::new(qps);
    let sqs = MemorySqs::start();
    let queue = sqs.create("cattube");
    let jobs = Behaviour { job: Duration::ZERO..=Duration::from_secs(10), ..Behaviour::default() };
    let crowd = Crowd::start(&world.plane, NAMESPACE, Source::Memory(&sqs), jobs);
    let operator = Operator::lead(&world.plane, OperatorSettings::at(&sqs.endpoint()));
    let pool = PoolSpec {
        name: "cattube".into(),
        queue: queue.clone(),
        max_workers: 1337,
        scaling: json!({"scaleIn": {"zeroAfterSeconds": 5, "idleSeconds": 2}}),
    };
    Pools::create(world.plane.client().await, NAMESPACE, [pool]).await;
    eventually("the pool is Ready", LIMIT, async || world.pools.ready().0 == 1).await;
    let (start, cpu) = (Instant::now(), operator.cpu());
    sqs.send(&queue, WORKERS, HELD);
    let ready = || world.replicas.of("cattube-workers").ready_after(start, 1337);
    eventually("all are Ready", LIMIT, async || ready().is_some()).await;
    let up = ready().unwrap() - start;
    let writes = world.replicas.of("cattube-workers").numbers().len() - 1;
    row(&format!("0 to {WORKERS} all Ready, {name}"), &seconds(up), "");
    row("  writes of replicas", &writes.to_string(), "3 for 30 messages (1, 4, 6)");
    eventually("all have a job", LIMIT, async || crowd.report().busy == WORKERS).await;
    let used = operator.cpu().saturating_sub(cpu).as_secs_f64();
    row("  operator's CPU meanwhile", &format!("{used:.2} s"), "");
    let (start, cpu) = (Instant::now(), operator.cpu());
    crowd.release();
    eventually("nobody is left", LIMIT, async || crowd.report().workers == 0).await;
    let report = crowd.report();
    row("  and back, jobs of 0 to 10 s", &seconds(start.elapsed()), "");
    let interrupted = crowd.interrupted_by(&world.audit.deletions(NAMESPACE)).len();
    row("  interrupted", &interrupted.max(report.interrupted.len()).to_string(), "whoever is busy");
    let used = operator.cpu().saturating_sub(cpu).as_secs_f64();
    row("  operator's CPU meanwhile", &format!("{used:.2} s"), "");
    let (_, most) = operator.memory_kib();
    row("  operator's memory, most", &format!("{} MiB", most / 1024), "");
}

/// A thousand pools at a poll of five seconds.
async fn thousand_pools() {
    let world = World::new(Qps::Fast);
    let sqs = MemorySqs::start();
    let name = |number: usize| format!("pool-{number:04}");
    let urls: Vec<String> = (0..POOLS).map(|number| sqs.create(&name(number))).collect();
    let jobs = Behaviour { job: Duration::ZERO..=Duration::ZERO, ..Behaviour::default() };
    let _crowd = Crowd::start(&world.plane, NAMESPACE, Source::Memory(&sqs), jobs);
    let pools = urls.iter().enumerate().map(|(number, queue)| PoolSpec {
        name: name(number),
        queue: queue.clone(),
        max_workers: 10,
        scaling: json!({"pollSeconds": 5, "scaleIn": {"zeroAfterSeconds": 5, "idleSeconds": 1}}),
    });
    let operator = Operator::lead(&world.plane, OperatorSettings::at(&sqs.endpoint()));
    let start = Instant::now();
    Pools::create(world.plane.client().await, NAMESPACE, pools).await;
    let made = start.elapsed();
    eventually("all are Ready", LIMIT, async || world.pools.ready().0 == POOLS).await;
    let ready = world.pools.ready().1.unwrap() - start;
    row(&format!("{POOLS} pools made and Ready"), &seconds(ready), "100 s for 200 objects");
    row("  of that, to make them", &seconds(made), "");

    // Until the first rush is over.
    tokio::time::sleep(Duration::from_secs(15)).await;
    let (began, start, cpu, asked) = (Instant::now(), SystemTime::now(), operator.cpu(), sqs.asked_in_all());
    tokio::time::sleep(REST).await;
    let took = began.elapsed().as_secs_f64();
    let share = operator.cpu().saturating_sub(cpu).as_secs_f64() / took * 100.0;
    let requests = world.audit.since(start, |request| request.user == OPERATOR_USER).len();
    let questions = sqs.asked_in_all() - asked;
    let (resident, most) = operator.memory_kib();
    let per_second = |count: u64| format!("{:.1} /s", Duration::from_secs(count).as_secs_f64() / took);
    row("  operator's CPU at rest, poll 5 s", &format!("{share:.1} %"), "5.9 % for 200 objects");
    row(
        "  operator's memory, now and most",
        &format!("{} / {} MiB", resident / 1024, most / 1024),
        "159 + 95 MB for 200 objects",
    );
    row("  requests to the API server", &per_second(requests as u64), "11.8 /s for 200 objects");
    row("  questions to SQS", &per_second(questions), "");

    let mut times = Vec::new();
    for number in (0..POOLS).step_by(POOLS / TRIES).take(TRIES) {
        tokio::time::sleep(Duration::from_secs(1).mul_f64(fastrand::f64())).await;
        let start = Instant::now();
        sqs.send(&urls[number], 1, "0");
        times.push(world.risen(&format!("{}-workers", name(number)), start).await);
    }
    row(&format!("  reaction, p50 of {TRIES}"), &seconds(percentile(&mut times, 50)), "3.2 s for one object");
    row("  p99", &seconds(percentile(&mut times, 99)), "");
    row("  max", &seconds(percentile(&mut times, 100)), "5.0 s for one object");
}
