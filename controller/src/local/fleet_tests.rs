use super::*;
use crate::fleet::report::tests::{job, status};
use crate::local::fakes;
use reelpool_core::DrainStage;
use reelpool_protocol::WorkerState as Said;

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(ms)
}

#[tokio::test]
async fn a_worker_from_its_start_to_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let (mut fleet, ids, _news) = fakes::fleet(dir.path(), 2, at(1_000));
    let id = &ids[0];
    assert_eq!(id.as_str(), "wabc-1");
    assert_eq!(fleet.current(), 2);
    let state = |fleet: &LocalFleet| (fleet.observations()[0].state, fleet.observations()[0].since);
    assert_eq!(state(&fleet), (WorkerState::Starting, at(1_000)));

    fleet.get_mut(id).unwrap().address = Some("127.0.0.1:9".parse().unwrap());
    fleet.answered(id, status(Said::Idle, vec![], false), at(10_000));
    assert_eq!(state(&fleet), (WorkerState::Idle, at(6_000)));
    assert_eq!(fleet.start_up_time(), Some(Millis::new(120)));

    let begun = fleet.answered(id, status(Said::Busy, vec![job("a.mp4")], false), at(11_000));
    assert_eq!(begun.unwrap().key, "a.mp4");
    let again = fleet.answered(id, status(Said::Busy, vec![job("a.mp4")], false), at(12_000));
    assert_eq!(again, None, "begun once");

    // One that does not answer counts as busy, since when it fell silent.
    fleet.silent(id, at(13_000));
    fleet.silent(id, at(14_000));
    assert_eq!(state(&fleet), (WorkerState::Unreachable, at(13_000)));
    assert_eq!(fleet.get_mut(id).unwrap().silence, Some(Silence { since: at(13_000), questions: 2 }));

    let mut drained = status(Said::Draining, vec![], true);
    drained.drain_lapses_in_ms = Some(60_000);
    fleet.answered(id, drained, at(15_000));
    assert_eq!(fleet.get_mut(id).unwrap().silence, None);
    let known = fleet.known(at(20_000));
    assert_eq!(known[0].state, WorkerState::Draining(DrainStage::Drained));
    assert_eq!(known[0].drain_left, Some(Millis::from_secs(55)));

    // One that is being stopped does not count any more.
    fleet.get_mut(id).unwrap().stopping_since = Some(at(21_000));
    assert_eq!(fleet.current(), 1);
    assert_eq!(fleet.observations().len(), 1);
    assert!(fleet.remove(id).is_some() && fleet.remove(id).is_none());
}

#[tokio::test]
async fn one_that_has_not_told_its_address_is_starting_however_long_it_is_silent() {
    let dir = tempfile::tempdir().unwrap();
    let (mut fleet, ids, _news) = fakes::fleet(dir.path(), 1, at(1_000));
    assert_eq!(fleet.without_address(), ids);
    fleet.silent(&ids[0], at(2_000));
    assert_eq!(fleet.observations()[0].state, WorkerState::Starting);
    fleet.get_mut(&ids[0]).unwrap().address = Some("127.0.0.1:9".parse().unwrap());
    assert_eq!(fleet.observations()[0].state, WorkerState::Unreachable);
    assert!(fleet.without_address().is_empty());
}

#[test]
fn measurements_are_the_mean_of_the_last_few() {
    let mut fleet = LocalFleet::new(String::new());
    assert_eq!(fleet.service_time(), None);
    fleet.measured(Millis::new(100));
    fleet.measured(Millis::new(200));
    assert_eq!(fleet.service_time(), Some(Millis::new(150)));
    (0..crate::fleet::recent::REMEMBERED).for_each(|_| fleet.measured(Millis::new(40)));
    assert_eq!(fleet.service_time(), Some(Millis::new(40)));
}
