//! A thousand pools in one operator: all are looked after, and those with nothing to do cost the API server nothing.

use std::time::{Duration, Instant, SystemTime};

use reelpool_cluster::{Behaviour, Crowd, PoolSpec, Pools, Source, eventually};
use serde_json::json;

use crate::world::{NAMESPACE, World, by_kind};

const POOLS: usize = 1000;
const BUSY: usize = 5;
const JOBS: usize = 10;
const POLL: Duration = Duration::from_secs(5);
/// Ten times what each step takes on a busy machine of two cores.
const LIMIT: Duration = Duration::from_secs(300);
/// For how long nothing is to happen.
const QUIET: Duration = Duration::from_secs(15);

fn name(number: usize) -> String {
    format!("pool-{number:04}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_pools_become_ready_and_only_those_with_work_are_touched() {
    let world = World::new();
    let client = world.plane.client().await;
    let urls: Vec<String> = (0..POOLS).map(|number| world.sqs.create(&name(number))).collect();
    let pools = urls.iter().enumerate().map(|(number, queue)| PoolSpec {
        name: name(number),
        queue: queue.clone(),
        max_workers: 20,
        scaling: json!({
            "pollSeconds": POLL.as_secs(),
            "scaleIn": {"zeroAfterSeconds": 5, "idleSeconds": 1},
        }),
    });
    let start = Instant::now();
    Pools::create(client, NAMESPACE, pools).await;
    println!("{POOLS} pools made after {:.1} s", start.elapsed().as_secs_f64());
    let crowd = Crowd::start(&world.plane, NAMESPACE, Source::Memory(&world.sqs), Behaviour::default());
    let start = Instant::now();
    let operator = world.operator();
    eventually("all pools are Ready", LIMIT, async || world.pools.ready().0 == POOLS).await;
    eventually("all have a Deployment", LIMIT, async || world.replicas.count() == POOLS).await;
    println!("all Ready {:.1} s after the operator's start", start.elapsed().as_secs_f64());

    // At rest each pool's queue is asked about every five seconds, and the API server is left alone.
    eventually("the operator has read back what it wrote", LIMIT, async || {
        let start = SystemTime::now();
        tokio::time::sleep(Duration::from_secs(3)).await;
        world.asked_by_operator(start).is_empty()
    })
    .await;
    let before: Vec<u64> = urls.iter().map(|url| world.sqs.asked(url)).collect();
    let (start, cpu) = (SystemTime::now(), operator.cpu());
    let began = Instant::now();
    tokio::time::sleep(QUIET).await;
    eventually("each queue was asked", LIMIT, async || {
        urls.iter().zip(&before).all(|(url, before)| world.sqs.asked(url) > *before)
    })
    .await;
    let took = began.elapsed();
    let share = operator.cpu().saturating_sub(cpu).as_secs_f64() / took.as_secs_f64();
    let asked: u64 = urls.iter().zip(&before).map(|(url, before)| world.sqs.asked(url) - before).sum();
    let (resident, most) = operator.memory_kib();
    println!(
        "at rest: {:.1} % of a core, {} MiB resident ({} at most), {} questions to SQS in {took:.1?}",
        share * 100.0,
        resident / 1024,
        most / 1024,
        asked,
    );
    let requests = world.asked_by_operator(start);
    let writes: Vec<_> = requests.iter().filter(|request| request.is_write()).collect();
    assert!(writes.is_empty(), "nothing changed: {writes:#?}");
    // A watch that is begun anew now and then is fine; a read for each pool is not.
    assert!(requests.len() < 20, "{:?}", by_kind(&requests));
    // No oftener than asked for: one look more at either end of the time, and one for the jitter.
    let looks = 3 + took.as_secs().div_ceil(POLL.as_secs());
    assert!(asked < 1000 * looks, "{asked} questions in {took:?}");

    // A few get work.
    let (start, began) = (SystemTime::now(), Instant::now());
    for url in &urls[..BUSY] {
        world.sqs.send(url, JOBS, "3");
    }
    eventually("all jobs are done", LIMIT, async || crowd.report().done == BUSY * JOBS).await;
    println!(
        "{} jobs of 3 s in {BUSY} pools are done after {:.1} s",
        BUSY * JOBS,
        began.elapsed().as_secs_f64()
    );
    eventually("nobody is left", LIMIT, async || crowd.report().workers == 0).await;
    for number in 0..POOLS {
        let seen = world.replicas.of(&format!("{}-workers", name(number)));
        let numbers = seen.numbers();
        if number < BUSY {
            assert_eq!(numbers[..2], [0, 10], "{}: one write", name(number));
            assert!(numbers[1..].is_sorted_by(|a, b| a > b) && numbers.ends_with(&[0]), "{numbers:?}");
        } else {
            assert_eq!(numbers, [0], "{} has no work", name(number));
        }
    }
    let requests = world.asked_by_operator(start);
    println!("asked of the API server meanwhile: {:?}", by_kind(&requests));
    let idle = |name: &str| name.strip_prefix("pool-").is_some_and(|number| number[..4] >= *"0005");
    let astray: Vec<_> =
        requests.iter().filter(|request| request.is_write() && idle(&request.name)).collect();
    assert!(astray.is_empty(), "pools without work are left alone: {astray:#?}");
    let report = crowd.report();
    assert!(report.interrupted.is_empty(), "{:#?}", report.interrupted);
    operator.assert_sound();
}
