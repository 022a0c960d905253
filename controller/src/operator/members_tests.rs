use reelpool_core::DrainStage;
use reelpool_protocol::WorkerState as Said;

use super::*;
use crate::fleet::report::tests::{job, status};

const PORT: StatusPort = StatusPort { number: 8080, names_are_known: false };

fn at(secs: u64) -> Timestamp {
    Timestamp::from_millis(0).plus(Millis::from_secs(secs))
}

fn pod(name: &str, stage: PodStage) -> PodView {
    PodView {
        id: name.into(),
        uid: format!("uid-{name}"),
        resource_version: String::new(),
        ip: Some([127, 0, 0, 9].into()),
        stage,
        template: None,
        is_marked: false,
        created: at(0),
        scheduled: at(0),
        ready_since: (stage == PodStage::Ready).then(|| at(7)),
        trouble: None,
    }
}

fn states(members: &Members, pods: &[PodView], now: u64) -> Vec<WorkerState> {
    members.observations(pods, at(now)).into_iter().map(|worker| worker.state).collect()
}

#[test]
fn a_worker_is_believed_and_its_silence_counts_as_busy() {
    let pods = [pod("a", PodStage::Ready)];
    let mut members = Members::default();
    members.take(&pods, vec![("a".into(), Some(status(Said::Idle, vec![], false)))], at(10));
    assert_eq!(states(&members, &pods, 10), [WorkerState::Idle]);
    members.take(&pods, vec![("a".into(), None)], at(20));
    members.take(&pods, vec![("a".into(), None)], at(21));
    let silent = members.observations(&pods, at(22)).remove(0);
    assert_eq!((silent.state, silent.since), (WorkerState::Unreachable, at(20)));
    let busy = status(Said::Busy, vec![job("k")], false);
    members.take(&pods, vec![("a".into(), Some(busy))], at(30));
    assert_eq!(states(&members, &pods, 30), [WorkerState::Busy]);
}

#[test]
fn a_pod_in_which_nothing_runs_has_no_job_whatever_its_worker_said_before() {
    let mut members = Members::default();
    let busy = status(Said::Busy, vec![job("k")], false);
    members.take(&[pod("a", PodStage::Ready)], vec![("a".into(), Some(busy))], at(10));
    for stage in [PodStage::Unscheduled, PodStage::NotStarted, PodStage::CannotStart, PodStage::CrashLoop] {
        assert_eq!(states(&members, &[pod("a", stage)], 11), [WorkerState::Starting], "{stage:?}");
    }
}

#[test]
fn a_container_that_has_just_started_may_be_silent_for_a_while() {
    let pods = [pod("a", PodStage::NotReady)];
    let mut members = Members::default();
    members.take(&pods, vec![("a".into(), None)], at(5));
    assert_eq!(states(&members, &pods, 5), [WorkerState::Starting]);
    assert_eq!(states(&members, &pods, 61), [WorkerState::Unreachable]);
    // Once ready, silence is silence.
    let pods = [pod("a", PodStage::Ready)];
    members.take(&pods, vec![("a".into(), None)], at(8));
    assert_eq!(states(&members, &pods, 8), [WorkerState::Unreachable]);
}

#[test]
fn a_name_that_comes_back_is_another_worker() {
    let mut members = Members::default();
    let pods = [pod("a", PodStage::Ready)];
    members.take(&pods, vec![("a".into(), Some(status(Said::Draining, vec![], true)))], at(10));
    assert_eq!(states(&members, &pods, 10), [WorkerState::Draining(DrainStage::Drained)]);
    let again = [PodView { uid: "another".into(), ..pod("a", PodStage::Ready) }];
    members.take(&again, vec![], at(11));
    assert_eq!(states(&members, &again, 11), [WorkerState::Unreachable]);
}

#[test]
fn times_are_measured_once_for_each_pod_and_each_job() {
    let pods = [pod("a", PodStage::Ready)];
    let mut members = Members::default();
    let mut said = status(Said::Idle, vec![], false);
    members.take(&[], vec![], at(0));
    for round in 0..3 {
        said.totals.committed = 2;
        said.totals.committed_ms = 9000;
        members.take(&pods, vec![("a".into(), Some(said.clone()))], at(10 + round));
    }
    assert_eq!(members.start_up_time(), Some(Millis::from_secs(7)));
    assert_eq!(members.service_time(), Some(Millis::new(4500)));
    said.totals.committed = 3;
    said.totals.committed_ms = 10_500;
    members.take(&pods, vec![("a".into(), Some(said))], at(20));
    assert_eq!(members.service_time(), Some(Millis::new(3000)), "the mean of 4.5 s and 1.5 s");
}

#[test]
fn workers_that_cannot_be_asked_are_busy_until_the_queue_is_empty() {
    let pods = [pod("a", PodStage::Ready)];
    let mut members = Members::default();
    let sample = |in_flight, secs| Sample::Known {
        value: QueueDepth { in_flight, ..QueueDepth::default() },
        observed_at: at(secs),
    };
    let mut guess = |queue, now| members.guesses(&pods, &queue, at(now)).remove(0);
    assert_eq!(guess(sample(1, 10), 10).state, WorkerState::Busy);
    let idle = guess(sample(0, 20), 20);
    assert_eq!((idle.state, idle.since), (WorkerState::Idle, at(20)));
    assert_eq!(guess(sample(0, 30), 30).since, at(20));
    let missing = Sample::Missing { cause: "gone".into(), since: at(35) };
    assert_eq!(guess(missing, 35).state, WorkerState::Busy);
    assert_eq!(guess(sample(0, 40), 40).since, at(40), "the window begins anew");
}

#[test]
fn only_those_are_asked_that_may_run() {
    let pods = [
        pod("a", PodStage::Ready),
        pod("b", PodStage::NotStarted),
        PodView { ip: None, ..pod("c", PodStage::NotReady) },
    ];
    let asked = Members::default().to_ask(&pods, PORT);
    assert_eq!(asked, [Ask::new("a".into(), "127.0.0.9:8080".parse().unwrap(), Question::Status)]);
}

#[test]
fn those_that_answer_are_asked_first_and_the_silent_ones_in_turn() {
    let pods = ["a", "b", "c", "d"].map(|name| pod(name, PodStage::Ready));
    let mut members = Members::default();
    let idle = || Some(status(Said::Idle, vec![], false));
    members.take(&pods, vec![("a".into(), None), ("b".into(), None), ("c".into(), idle())], at(10));
    members.take(&pods, vec![("a".into(), None), ("c".into(), idle())], at(11));
    let asked = members.to_ask(&pods, PORT);
    let order: Vec<(&str, bool)> = asked.iter().map(|ask| (ask.key.as_str(), ask.was_silent)).collect();
    assert_eq!(order, [("c", false), ("d", false), ("b", true), ("a", true)]);
}

#[test]
fn who_is_silent_for_long_is_told_of() {
    let pods = ["a", "b", "c"].map(|name| pod(name, PodStage::Ready));
    let mut members = Members::default();
    let idle = || Some(status(Said::Idle, vec![], false));
    members.take(&pods, vec![("a".into(), None), ("b".into(), None), ("c".into(), idle())], at(10));
    assert_eq!(members.silent(&pods, at(69)), None);
    assert_eq!(members.silent(&pods, at(70)), Some((2, "a".into())));
    let nothing_runs = PodView { stage: PodStage::CrashLoop, ..pods[1].clone() };
    assert_eq!(members.silent(&[pods[0].clone(), nothing_runs], at(70)), Some((1, "a".into())));
}

#[test]
fn a_pod_that_was_there_before_us_tells_nothing_of_how_long_a_start_takes() {
    // Created at 0, ready again at 9000 after a trouble.
    let flapped = [PodView { ready_since: Some(at(9000)), ..pod("a", PodStage::Ready) }];
    let mut members = Members::default();
    members.take(&flapped, vec![], at(9001));
    assert_eq!(members.start_up_time(), None);
}
