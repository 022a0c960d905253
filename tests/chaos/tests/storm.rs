//! A storm over each shell, short enough for every day; `make chaos` has the long one. `REELPOOL_SEED` draws another.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use reelpool_chaos::{Verdict, cluster, duplicates, one_machine, work};

/// How many videos each storm is over.
const VIDEOS: usize = 40;
/// How many messages are delivered to five workers at once.
const MESSAGES: usize = 12;

/// The seed of this run: odd, or even.
fn seed(odd: bool) -> u64 {
    let named = std::env::var("REELPOOL_SEED").ok();
    let seed: u64 =
        named.map_or(1, |seed| seed.parse().unwrap_or_else(|error| panic!("REELPOOL_SEED: {error}")));
    seed * 2 + u64::from(odd)
}

fn assert_kept(verdict: &Verdict) {
    println!("{}\n{verdict}", Verdict::head());
    let killed = verdict.faults.counts().keys().any(|fault| fault.starts_with("worker"));
    assert!(verdict.faults.total() > 5 && killed && verdict.workers > 0, "hardly a storm: {verdict}");
    let broken = verdict.broken();
    assert!(broken.is_empty(), "seed {}: {broken:#?}", verdict.seed);
    assert_eq!(verdict.commits, VIDEOS);
}

#[tokio::test(flavor = "multi_thread")]
async fn promise_1_no_job_is_lost_over_folders() {
    work::prepare();
    assert_kept(&one_machine::run(seed(false), VIDEOS).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn promise_1_no_job_is_lost_over_sqs_and_s3() {
    work::prepare();
    assert_kept(&one_machine::run(seed(true), VIDEOS).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn promise_1_no_job_is_lost_on_kubernetes() {
    work::prepare();
    assert_kept(&cluster::run(seed(true), VIDEOS).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn promise_7_at_least_once_in_exactly_once_visible() {
    work::prepare();
    let cost = duplicates::run(MESSAGES).await;
    println!("{cost}");
    assert!(cost.broken.is_empty(), "{:#?}", cost.broken);
    assert_eq!(cost.copies, 4 * u64::try_from(MESSAGES).unwrap(), "each message went to all five");
    assert!(cost.transcodes >= u64::try_from(MESSAGES).unwrap(), "something was transcoded");
    // Not a matter of speed: all time is the same machine's.
    assert!(cost.wasted() <= 1.0, "{cost}");
}
