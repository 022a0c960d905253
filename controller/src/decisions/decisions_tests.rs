use super::*;
use reelpool_core::{
    DrainStage, Memory, Observation, Policy, PolicySpec, QueueDepth, Sample, Timestamp, WorkerObservation,
    WorkerState, replay,
};
use serde_json::Value;

fn record(backlog: u64, at: i64, workers: Vec<WorkerObservation>) -> Record {
    let now = Timestamp::from_millis(at);
    let policy = Policy::try_from(PolicySpec { max_workers: 2000, ..PolicySpec::default() }).unwrap();
    let observation = Observation {
        queue: Sample::Known { value: QueueDepth { backlog, ..QueueDepth::default() }, observed_at: now },
        current: u32::try_from(workers.len()).unwrap(),
        workers: Sample::Known { value: workers, observed_at: now },
        service_time: None,
        start_up_time: None,
    };
    Record::make(policy, Memory::default(), observation, now)
}

fn pool(name: &str) -> PoolName {
    PoolName::new("cattube".to_owned(), name.to_owned())
}

fn decisions() -> Decisions {
    Decisions::new(DEFAULT_PER_POOL, DEFAULT_TOTAL_BYTES, None)
}

#[test]
fn only_changes_are_put_on_record_each_pool_for_itself() {
    let decisions = decisions();
    assert!(decisions.take(&pool("masters"), &record(0, 1, vec![])));
    assert!(!decisions.take(&pool("masters"), &record(0, 2, vec![])), "nothing new");
    assert!(decisions.take(&pool("masters"), &record(1, 3, vec![])));
    assert!(decisions.take(&pool("others"), &record(1, 4, vec![])));
    assert_eq!(decisions.lines(&pool("masters"), 9).unwrap().len(), 2);
    assert_eq!(decisions.lines(&pool("others"), 9).unwrap().len(), 1);
    assert_eq!(decisions.lines(&pool("unknown"), 9), None);
    decisions.know(&pool("idle"));
    assert_eq!(decisions.lines(&pool("idle"), 9).unwrap().len(), 0);
    assert_eq!(
        decisions.pools().iter().map(PoolName::as_str).collect::<Vec<&str>>(),
        ["cattube/idle", "cattube/masters", "cattube/others"]
    );
    decisions.forget(&pool("masters"));
    assert_eq!(decisions.lines(&pool("masters"), 9), None);
    // A pool of the same name that comes later begins anew.
    assert!(decisions.take(&pool("masters"), &record(1, 5, vec![])));
}

#[test]
fn what_makes_a_decision_another_one() {
    let base = record(3, 1, vec![]).decision;
    let with = |change: &dyn Fn(&mut Decision)| {
        let mut other = base.clone();
        change(&mut other);
        Gist::from(&other) != Gist::from(&base)
    };
    assert!(with(&|d| d.target += 1));
    assert!(with(&|d| d.reason = Reason::Paused));
    assert!(with(&|d| d.limits.push(Limit::Maximum)));
    assert!(with(&|d| d.drain.push("w".into())));
    assert!(!with(&|d| d.next_check = reelpool_core::Millis::new(7)));
}

#[test]
fn a_line_names_its_pool_and_its_time_and_can_be_replayed() {
    let decisions = decisions();
    let made = record(5, 1_795_271_696_789, vec![]);
    decisions.take(&pool("masters"), &made);
    let lines = decisions.lines(&pool("masters"), 1).unwrap();
    assert_eq!(lines[0].iter().position(|byte| *byte == b'\n'), Some(lines[0].len() - 1));
    let line: Value = serde_json::from_slice(&lines[0]).unwrap();
    assert_eq!(line["pool"], "cattube/masters");
    assert_eq!(line["at"], "2026-11-21T14:34:56.789Z");
    let read: Record = serde_json::from_value(line["record"].clone()).unwrap();
    assert_eq!(read, made);
    replay(&read).unwrap();
}

#[test]
fn every_decision_that_is_kept_is_logged_too() {
    let path = tempfile::NamedTempFile::new().unwrap();
    let log = DecisionLog::start(path.reopen().unwrap()).unwrap();
    let decisions = Decisions::new(1, DEFAULT_TOTAL_BYTES, Some(log));
    for backlog in [1, 1, 2, 3] {
        decisions.take(&pool("b"), &record(backlog, 1, vec![]));
    }
    decisions.log().unwrap().finish(std::time::Duration::from_secs(30));
    let text = std::fs::read_to_string(path.path()).unwrap();
    assert_eq!(text.lines().count(), 3);
    assert_eq!(decisions.lines(&pool("b"), 9).unwrap()[0], text.lines().last().unwrap().to_owned() + "\n");
}

#[test]
fn sixteen_mebibytes_hold_well_over_a_hundred_decisions_on_a_great_fleet() {
    let workers = (0..1337).map(|number| WorkerObservation {
        id: format!("cattube-workers-6f9c7d8b5d-{number:05}").into(),
        state: if number % 9 == 0 { WorkerState::Draining(DrainStage::Drained) } else { WorkerState::Busy },
        since: Timestamp::from_millis(1_795_271_696_789 + number),
    });
    let line = line(&pool("masters"), &record(1337, 1_795_271_696_789, workers.collect())).unwrap();
    assert!((100_000..140_000).contains(&line.len()), "{}", line.len());
    assert!(DEFAULT_TOTAL_BYTES / line.len() > 100);
}
