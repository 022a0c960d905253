use super::*;
use crate::fleet::report::tests::status;
use crate::local::fakes::{self, Answerer};
use crate::local::overdue::Silence;
use reelpool_core::Millis;
use reelpool_protocol::WorkerState as Said;
use std::path::Path;
use std::time::Duration;

fn hands(logs: &Path, clock: Clock) -> Hands {
    let (news, _) = mpsc::channel(8);
    Hands {
        program: fakes::program(logs),
        client: FleetClient::new(""),
        news,
        clock,
        patience: Patience::new(30, 600),
    }
}

async fn next_end(news: &mut mpsc::Receiver<(WorkerId, News)>) -> (WorkerId, Option<i32>) {
    match tokio::time::timeout(Duration::from_secs(20), news.recv()).await.unwrap().unwrap() {
        (id, News::Ended(ended)) => (id, ended.signal),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_worker_that_hangs_is_killed_once_and_counts_as_a_crash() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::start();
    let (mut fleet, ids, mut news) = fakes::fleet(dir.path(), 2, clock.now());
    let hands = hands(dir.path(), clock);
    // Stopped, as one that hangs is: no other signal would end it.
    fleet.members[0].process.signal(Signal::STOP);
    let since = clock.now();
    fleet.members[0].silence = Some(Silence { since, questions: 30 });

    hands.kill_overdue(&mut fleet, since.plus(Millis::from_secs(60)));
    assert_eq!(fleet.current(), 2, "it may answer again");
    let later = since.plus(Millis::from_secs(61));
    hands.kill_overdue(&mut fleet, later);
    assert_eq!(next_end(&mut news).await, (ids[0].clone(), Some(9)));
    assert_eq!(fleet.current(), 1, "its place is free");
    assert_eq!(fleet.crashes.allowed(1, later), 0, "but it is not filled at once");
    let first_delay = fleet.crashes.next(later);
    assert_eq!(first_delay, Some(Millis::from_secs(1)));
    hands.kill_overdue(&mut fleet, later);
    assert_eq!(fleet.crashes.allowed(2, later), 1, "it has crashed once");
}

#[tokio::test]
async fn a_worker_that_was_stopped_has_its_grace_period() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::start();
    let (mut fleet, ids, mut news) = fakes::fleet(dir.path(), 1, clock.now());
    let hands = hands(dir.path(), clock);
    let since = clock.now();
    fleet.members[0].stopping_since = Some(since);
    hands.kill_overdue(&mut fleet, since.plus(Millis::from_secs(660)));
    assert!(!fleet.members[0].killed);
    hands.kill_overdue(&mut fleet, since.plus(Millis::from_secs(661)));
    assert_eq!(next_end(&mut news).await, (ids[0].clone(), Some(9)));
    assert_eq!(fleet.crashes.next(since), None, "it was not wanted any more");
}

#[tokio::test]
async fn a_drain_holds_from_the_time_before_it_was_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::start();
    let (mut fleet, ids, _news) = fakes::fleet(dir.path(), 1, clock.now());
    let mut drained = status(Said::Draining, Vec::new(), true);
    drained.drain_lapses_in_ms = Some(60_000);
    let answerer = Answerer::start(&drained, clock, Duration::from_millis(50)).await;
    fleet.members[0].address = Some(answerer.address);
    assert!(hands(dir.path(), clock).apply(vec![Effect::Drain(ids)], &mut fleet).await.unwrap());
    let report = fleet.members[0].report.as_ref().unwrap();
    assert!(report.asked_at <= answerer.first_asked());
}
