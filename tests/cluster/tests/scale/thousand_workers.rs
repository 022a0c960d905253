//! 1,337 workers at once, and never one interrupted.

use std::time::{Duration, Instant, SystemTime};

use reelpool_cluster::{Behaviour, Crowd, HELD, PoolSpec, Pools, Source, eventually};
use serde_json::{Value, json};

use crate::world::{NAMESPACE, World, by_kind};

const WORKERS: usize = 1337;
const DEPLOYMENT: &str = "cattube-workers";
/// Ten times what each step takes on a busy machine of two cores.
const LIMIT: Duration = Duration::from_secs(300);

fn seconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64()
}

/// And all of them come back down, one after the other and under load, and nobody is interrupted.
#[tokio::test(flavor = "multi_thread")]
async fn promise_3_zero_to_n_is_one_write() {
    let world = World::new();
    let queue = world.sqs.create("cattube");
    let behaviour =
        Behaviour { job: Duration::from_secs(1)..=Duration::from_secs(12), ..Behaviour::default() };
    let crowd = Crowd::start(&world.plane, NAMESPACE, Source::Memory(&world.sqs), behaviour);
    let operator = world.operator();
    let pool = PoolSpec {
        name: "cattube".into(),
        queue: queue.clone(),
        max_workers: 1337,
        scaling: json!({"scaleIn": {"zeroAfterSeconds": 3, "idleSeconds": 1}}),
    };
    Pools::create(world.plane.client().await, NAMESPACE, [pool]).await;
    eventually("the pool is Ready", LIMIT, async || world.pools.ready().0 == 1).await;

    // Up: as many messages as the fleet may have workers, and none of them done before all are there.
    let start = Instant::now();
    world.sqs.send(&queue, WORKERS, HELD);
    eventually("the number is written", LIMIT, async || world.replicas.of(DEPLOYMENT).numbers().len() > 1)
        .await;
    let decisions = operator.decisions(NAMESPACE, "cattube");
    let mut decisions = decisions.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let first = decisions
        .find(|record| record["record"]["observation"]["queue"]["known"]["value"]["backlog"] != 0)
        .unwrap();
    assert_eq!(
        first["record"]["decision"]["target"], WORKERS,
        "at the first look that could count them: {first:#}"
    );
    eventually("all have a job", LIMIT, async || crowd.report().busy == WORKERS).await;
    println!("{WORKERS} workers have a job after {:.1} s", seconds(start));
    eventually("all are Ready", LIMIT, async || {
        world.replicas.of(DEPLOYMENT).ready_after(start, 1337).is_some()
    })
    .await;
    assert_eq!(world.replicas.of(DEPLOYMENT).numbers(), [0, 1337], "one write");

    // Down: they end one after the other, each goes when it has been idle for a while.
    let start = Instant::now();
    crowd.release();
    eventually("all jobs are done", LIMIT, async || crowd.report().done == WORKERS).await;
    println!("all jobs are done after {:.1} s", seconds(start));
    eventually("nobody is left", LIMIT, async || crowd.report().workers == 0).await;
    println!("nobody is left after {:.1} s", seconds(start));
    let numbers = world.replicas.of(DEPLOYMENT).numbers();
    println!("replicas: {numbers:?}");
    assert!(numbers[1..].is_sorted_by(|a, b| a > b), "it only went down: {numbers:?}");
    let report = crowd.report();
    assert_eq!(
        (report.max_at_once, report.ever),
        (WORKERS, WORKERS),
        "nobody was started twice: {numbers:?}"
    );
    world.nobody_was_interrupted(&crowd);

    // Under load: two hundred have long jobs, two hundred end and go; and while they go, more is to be done.
    let start = Instant::now();
    crowd.hold();
    world.sqs.send(&queue, 200, HELD);
    eventually("two hundred are busy", LIMIT, async || crowd.report().busy == 200).await;
    let busy = crowd.report().busy_workers;
    world.sqs.send(&queue, 200, "");
    eventually("some of the others go", LIMIT, async || {
        let numbers = world.replicas.of(DEPLOYMENT).numbers();
        numbers.ends_with(&[0]) || (numbers.contains(&400) && numbers.last() < Some(&390))
    })
    .await;
    assert!(world.replicas.of(DEPLOYMENT).numbers().last() > Some(&200), "the two hundred hold it up");
    world.sqs.send(&queue, 100, HELD);
    eventually("three hundred are left, all busy", LIMIT, async || {
        let report = crowd.report();
        report.busy == 300 && report.workers == 300
    })
    .await;
    println!("in and out again under load: {:.1} s", seconds(start));
    let report = crowd.report();
    assert!(busy.is_subset(&report.busy_workers), "each of the two hundred still has its job");
    world.nobody_was_interrupted(&crowd);

    crowd.release();
    eventually("nobody is left", LIMIT, async || crowd.report().workers == 0).await;
    assert_eq!(crowd.report().done, WORKERS + 500);
    world.nobody_was_interrupted(&crowd);
    println!("replicas: {:?}", world.replicas.of(DEPLOYMENT).numbers());
    let asked = world.asked_by_operator(SystemTime::UNIX_EPOCH);
    println!("asked of the API server: {:?}", by_kind(&asked));
    operator.assert_sound();
}
