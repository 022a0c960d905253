use proptest::prelude::*;
use reelpool_core::{Explain, Memory, Reason};

use super::*;

const HASH: &str = "6d4f8c";

fn worker(name: &str, state: WorkerState, pod: PodStage) -> Known {
    let drains = matches!(state, WorkerState::Draining(_));
    Known {
        id: name.into(),
        state,
        drain_left: drains.then_some(Millis::from_secs(50)),
        stage: pod,
        template: Some(HASH.into()),
        mark: Mark::Seen(false),
    }
}

fn idle(name: &str) -> Known {
    worker(name, WorkerState::Idle, PodStage::Ready)
}

fn busy(name: &str) -> Known {
    worker(name, WorkerState::Busy, PodStage::Ready)
}

fn drained(name: &str) -> Known {
    worker(name, WorkerState::Draining(DrainStage::Drained), PodStage::Ready)
}

fn marked(worker: Known) -> Known {
    Known { mark: Mark::Seen(true), ..worker }
}

fn decision(target: u32, drain: &[&str]) -> Decision {
    Decision {
        target,
        drain: names(drain),
        reason: Reason::Backlog,
        limits: Vec::new(),
        next_check: Millis::from_secs(1),
        memory: Memory::default(),
        explain: Explain {
            current: 0,
            need: None,
            workers: None,
            idle_limit: Millis::ZERO,
            empty_for: Millis::ZERO,
            zero_after: Millis::ZERO,
            not_fresh: Vec::new(),
        },
    }
}

fn names(names: &[&str]) -> Vec<WorkerId> {
    names.iter().map(|name| WorkerId::from(*name)).collect()
}

fn fleet(pods: &[Known]) -> Fleet<'_> {
    static NOBODY: BTreeSet<WorkerId> = BTreeSet::new();
    Fleet {
        current: u32::try_from(pods.len()).unwrap(),
        pods,
        condemned: &NOBODY,
        is_rolling_out: false,
        are_pods_refused: false,
        leave: Leave::Drained,
        are_marks_settled: true,
        may_write: true,
    }
}

#[test]
fn a_drained_worker_that_is_not_ready_is_marked_before_the_number_goes_down_for_another() {
    // Kubernetes would take it before the marked one, after it was let back to work.
    let unready = worker("c", WorkerState::Draining(DrainStage::Drained), PodStage::NotReady);
    let pods = [busy("a"), marked(drained("b")), unready.clone()];
    let found = plan(&decision(1, &["b", "c"]), fleet(&pods));
    assert_eq!((found.mark, found.scale), (names(&["c"]), None));
    let pods = [busy("a"), marked(drained("b")), marked(unready)];
    let found = plan(&decision(1, &["b", "c"]), fleet(&pods));
    assert_eq!((found.scale, found.condemn), (Some(1), names(&["b", "c"])));
}

#[test]
fn marks_stand_until_kubernetes_has_chosen_by_them() {
    let silent = Known { mark: Mark::Seen(true), ..worker("b", WorkerState::Unreachable, PodStage::Ready) };
    let pods = [busy("a"), silent];
    let unseen = Fleet { is_rolling_out: true, ..fleet(&pods) };
    assert_eq!(plan(&decision(2, &[]), unseen).unmark, []);
    let surplus = Fleet { current: 1, ..fleet(&pods) };
    assert_eq!(plan(&decision(1, &[]), surplus).unmark, []);
    assert_eq!(plan(&decision(2, &[]), fleet(&pods)).unmark, names(&["b"]));
}

#[test]
fn the_number_goes_down_for_those_alone_who_have_just_said_that_they_are_drained() {
    use DrainStage::{Drained, Waiting};
    for (stage, said, expected) in [
        (PodStage::Ready, Some(WorkerState::Draining(Drained)), true),
        (PodStage::Ready, Some(WorkerState::Draining(Waiting)), false),
        (PodStage::Ready, Some(WorkerState::Busy), false),
        (PodStage::NotReady, None, false),
        (PodStage::CannotStart, None, true),
    ] {
        assert_eq!(is_ready_to_go(stage, said), expected, "{stage:?} {said:?}");
    }
}

#[test]
fn zero_to_n_is_one_write() {
    let found = plan(&decision(1337, &[]), fleet(&[]));
    assert_eq!(found, Plan { scale: Some(1337), ..Plan::default() });
}

#[test]
fn who_drains_comes_back_before_anyone_new_is_started() {
    let pods = [marked(drained("a")), busy("b")];
    let found = plan(&decision(5, &[]), fleet(&pods));
    let expected = Plan { undrain: names(&["a"]), unmark: names(&["a"]), scale: Some(5), ..Plan::default() };
    assert_eq!(found, expected);
}

#[test]
fn a_part_of_the_fleet_goes_in_three_passes() {
    // First they are asked,
    let pods = [idle("a"), busy("b"), busy("c")];
    assert_eq!(plan(&decision(2, &["a"]), fleet(&pods)), Plan { drain: names(&["a"]), ..Plan::default() });
    // then marked,
    let pods = [drained("a"), busy("b"), busy("c")];
    assert_eq!(plan(&decision(2, &["a"]), fleet(&pods)), Plan { mark: names(&["a"]), ..Plan::default() });
    // and when the mark was seen the number goes down.
    let pods = [marked(drained("a")), busy("b"), busy("c")];
    assert_eq!(
        plan(&decision(2, &["a"]), fleet(&pods)),
        Plan { scale: Some(2), condemn: names(&["a"]), ..Plan::default() }
    );
}

#[test]
fn the_number_waits_until_everybody_has_seen_the_marks() {
    // Kubernetes may see the mark of b, and we do not yet: it could take b for a.
    let pods = [marked(drained("a")), Known { mark: Mark::Written(true), ..drained("b") }, busy("c")];
    let found = plan(&decision(1, &["a", "b"]), fleet(&pods));
    assert_eq!(found, Plan { held: Some(Held::MarksLinger), ..Plan::default() });
    let pods = [marked(drained("a")), marked(drained("b")), busy("c")];
    let moving = Fleet { are_marks_settled: false, ..fleet(&pods) };
    assert_eq!(plan(&decision(1, &["a", "b"]), moving).held, Some(Held::MarksLinger));
    // Where no answer came the mark is written again, or taken away again.
    let unsure = || Known { mark: Mark::Unsure, ..drained("b") };
    let pods = [marked(drained("a")), unsure(), busy("c")];
    assert_eq!(plan(&decision(1, &["a", "b"]), fleet(&pods)).mark, names(&["b"]));
    let unsure = Known { mark: Mark::Unsure, ..drained("a") };
    let pods = [unsure, busy("c")];
    assert_eq!(plan(&decision(1, &["a"]), fleet(&pods)).mark, names(&["a"]));
    assert_eq!(plan(&decision(2, &[]), fleet(&pods)).unmark, names(&["a"]));
}

#[test]
fn only_as_many_go_as_are_drained() {
    let waiting = worker("b", WorkerState::Draining(DrainStage::Waiting), PodStage::Ready);
    let pods = [marked(drained("a")), waiting, busy("c")];
    let found = plan(&decision(1, &["a", "b"]), fleet(&pods));
    assert_eq!(found, Plan { scale: Some(2), condemn: names(&["a"]), ..Plan::default() });
}

#[test]
fn nobody_is_marked_while_the_number_goes_down_for_others() {
    let pods = [marked(drained("a")), drained("b"), busy("c")];
    let found = plan(&decision(1, &["a", "b"]), fleet(&pods));
    assert_eq!(found, Plan { scale: Some(2), condemn: names(&["a"]), ..Plan::default() });
}

#[test]
fn to_zero_nobody_needs_a_mark_and_all_go_in_one_write() {
    let unscheduled = worker("c", WorkerState::Starting, PodStage::Unscheduled);
    let pods = [drained("a"), drained("b"), unscheduled.clone()];
    let found = plan(&decision(0, &["a", "b", "c"]), fleet(&pods));
    assert_eq!(found, Plan { scale: Some(0), condemn: names(&["a", "b", "c"]), ..Plan::default() });
    // One that has not drained yet is waited for.
    let pods = [drained("a"), idle("b"), unscheduled];
    let found = plan(&decision(0, &["a", "b", "c"]), fleet(&pods));
    assert_eq!(found, Plan { drain: names(&["b"]), ..Plan::default() });
}

#[test]
fn a_drain_that_is_about_to_lapse_is_renewed_and_is_no_ground_to_go() {
    let lapsing = Known { drain_left: Some(Millis::from_secs(15)), ..marked(drained("a")) };
    let pods = [lapsing, busy("b")];
    let found = plan(&decision(1, &["a"]), fleet(&pods));
    assert_eq!(found, Plan { drain: names(&["a"]), ..Plan::default() });
}

#[test]
fn pods_that_could_be_taken_instead_hold_the_number() {
    let starting = worker("b", WorkerState::Starting, PodStage::NotReady);
    let pods = [marked(drained("a")), starting, busy("c")];
    let found = plan(&decision(2, &["a"]), fleet(&pods));
    assert_eq!(found.held, Some(Held::PodsStart));
    assert_eq!(found.scale, None);
    // One without a node may be taken instead: it has nothing in hand.
    let unscheduled = worker("b", WorkerState::Starting, PodStage::Unscheduled);
    let pods = [marked(drained("a")), unscheduled, busy("c")];
    assert_eq!(plan(&decision(2, &["a"]), fleet(&pods)).scale, Some(2));
}

#[test]
fn nobody_goes_in_the_middle_of_a_rollout() {
    let pods = [marked(drained("a")), busy("b")];
    let rolling = Fleet { is_rolling_out: true, ..fleet(&pods) };
    assert_eq!(plan(&decision(1, &["a"]), rolling).held, Some(Held::RollingOut));
    let other = Known { template: Some("other".into()), ..busy("b") };
    let pods = [marked(drained("a")), other];
    let found = plan(&decision(1, &["a"]), fleet(&pods));
    assert_eq!((found.held, found.scale), (Some(Held::RollingOut), None));
}

#[test]
fn the_condemned_keep_draining_until_they_are_gone_and_nobody_else_goes_meanwhile() {
    let lapsing = Known { drain_left: Some(Millis::from_secs(15)), ..drained("a") };
    let long = Known { drain_left: Some(Millis::from_secs(500)), ..drained("b") };
    let pods = [lapsing, long, busy("c")];
    let condemned: BTreeSet<WorkerId> = names(&["a", "b"]).into_iter().collect();
    let fleet = Fleet { current: 1, condemned: &condemned, ..fleet(&pods) };
    let found = plan(&decision(1, &[]), fleet);
    assert_eq!(found, Plan { drain: names(&["a"]), ..Plan::default() });

    let pods = [marked(drained("a")), marked(drained("b")), busy("c")];
    let condemned: BTreeSet<WorkerId> = names(&["a"]).into_iter().collect();
    let fleet = Fleet { current: 2, condemned: &condemned, pods: &pods, ..fleet };
    assert_eq!(plan(&decision(1, &["b"]), fleet).held, Some(Held::PodsGo));
}

#[test]
fn the_number_goes_down_once_more_for_those_that_kubernetes_left() {
    // It took another pod than a, and is done.
    let long = Known { drain_left: Some(Millis::from_secs(500)), ..drained("a") };
    let pods = [marked(long), busy("b"), drained("c")];
    let condemned: BTreeSet<WorkerId> = names(&["a"]).into_iter().collect();
    let fleet = Fleet { condemned: &condemned, ..fleet(&pods) };
    let found = plan(&decision(1, &["c"]), fleet);
    assert_eq!(found, Plan { scale: Some(2), condemn: names(&["a"]), ..Plan::default() });
    // Not while the number is to stay, or to rise.
    assert_eq!(plan(&decision(3, &[]), fleet).scale, None);
}

#[test]
fn pods_that_are_still_being_made_hold_the_number_unless_they_never_come() {
    let pods = [marked(drained("a")), busy("b")];
    let missing = Fleet { current: 3, ..fleet(&pods) };
    assert_eq!(plan(&decision(2, &["a"]), missing).held, Some(Held::PodsStart));
    let refused = Fleet { are_pods_refused: true, ..missing };
    assert_eq!(
        plan(&decision(2, &["a"]), refused),
        Plan { scale: Some(2), drain: vec![], ..Plan::default() }
    );
    let more = Fleet { current: 9, ..refused };
    assert_eq!(plan(&decision(1, &["a"]), more).scale, Some(2), "as many as there are");
}

#[test]
fn while_another_writes_the_number_nobody_sleeps_for_it() {
    let pods = [marked(drained("a")), busy("b")];
    let fleet = Fleet { may_write: false, ..fleet(&pods) };
    let found = plan(&decision(1, &["a"]), fleet);
    let expected = Plan {
        undrain: names(&["a"]),
        unmark: names(&["a"]),
        held: Some(Held::OtherWriter),
        ..Plan::default()
    };
    assert_eq!(found, expected);
    assert_eq!(plan(&decision(9, &[]), fleet).scale, None);
}

#[test]
fn workers_that_cannot_be_asked_go_when_they_are_named_and_the_queue_is_empty() {
    let pods = [idle("a"), idle("b")];
    let empty = Fleet { leave: Leave::AtOnce, ..fleet(&pods) };
    let found = plan(&decision(1, &["a"]), empty);
    assert_eq!(found, Plan { scale: Some(1), ..Plan::default() });
    let going = plan(&decision(0, &["a"]), Fleet { current: 1, ..empty });
    assert_eq!(going.held, Some(Held::PodsGo));

    // One that found no node could be another by the time Kubernetes chooses.
    let pods = [worker("a", WorkerState::Starting, PodStage::Unscheduled), busy("b")];
    for target in [0, 1] {
        let found = plan(&decision(target, &["a"]), Fleet { leave: Leave::NotNow, ..fleet(&pods) });
        assert_eq!(found, Plan { held: Some(Held::QueueNotEmpty), ..Plan::default() });
    }
}

#[test]
fn one_that_is_about_to_start_is_waited_for() {
    // It could start, and have a job, before Kubernetes takes it; and nobody can ask it to take none.
    let starts = || worker("a", WorkerState::Starting, PodStage::NotStarted);
    let pods = [starts(), marked(drained("b")), busy("c")];
    let found = plan(&decision(1, &["a", "b"]), fleet(&pods));
    assert_eq!(found, Plan { held: Some(Held::PodsStart), ..Plan::default() });
    assert!(plan(&decision(0, &["a", "b"]), fleet(&[starts(), drained("b")])).is_empty());
    let cannot = worker("a", WorkerState::Starting, PodStage::CannotStart);
    assert_eq!(plan(&decision(0, &["a", "b"]), fleet(&[cannot, drained("b")])).scale, Some(0));
}

#[test]
fn the_same_plan_again_changes_nothing() {
    let pods = [busy("a"), idle("b")];
    assert!(plan(&decision(2, &[]), fleet(&pods)).is_empty());
}

/// Any worker in any pod.
fn any_worker(name: usize) -> impl Strategy<Value = Known> {
    let state = prop_oneof![
        1 => Just(WorkerState::Idle),
        1 => Just(WorkerState::Busy),
        1 => Just(WorkerState::Unreachable),
        1 => Just(WorkerState::Starting),
        1 => Just(WorkerState::Draining(DrainStage::Waiting)),
        1 => Just(WorkerState::Draining(DrainStage::Busy)),
        4 => Just(WorkerState::Draining(DrainStage::Drained)),
    ];
    let pod = prop_oneof![
        1 => Just(PodStage::Unscheduled),
        1 => Just(PodStage::NotStarted),
        1 => Just(PodStage::CrashLoop),
        1 => Just(PodStage::CannotStart),
        1 => Just(PodStage::NotReady),
        6 => Just(PodStage::Ready),
    ];
    let template = prop_oneof![9 => Just(HASH), 1 => Just("old")];
    let mark = prop_oneof![
        6 => any::<bool>().prop_map(Mark::Seen),
        1 => any::<bool>().prop_map(Mark::Written),
        1 => Just(Mark::Unsure),
    ];
    (state, pod, template, mark, 0_u64..60).prop_map(move |(state, pod, template, mark, left)| {
        // Nothing runs in a pod that has not started: members see to that.
        let state = if pod.may_run() { state } else { WorkerState::Starting };
        let drains = matches!(state, WorkerState::Draining(_));
        Known {
            id: WorkerId::from(format!("w{name}")),
            state,
            drain_left: drains.then_some(Millis::from_secs(left)),
            stage: pod,
            template: Some(template.into()),
            mark,
        }
    })
}

fn any_fleet() -> impl Strategy<Value = Vec<Known>> {
    (1_usize..9).prop_flat_map(|count| (0..count).map(any_worker).collect::<Vec<_>>())
}

/// The rank by which a ReplicaSet takes pods, the least first: `ActivePodsWithRanks` in Kubernetes'
/// `pkg/controller/controller_utils.go`. What comes after the cost can go either way here.
fn rank(worker: &Known) -> (bool, u8, bool, i32) {
    let phase = match worker.stage {
        PodStage::Unscheduled | PodStage::NotStarted | PodStage::CannotStart => 0,
        PodStage::CrashLoop | PodStage::NotReady | PodStage::Ready => 1,
    };
    let cost = if worker.mark == Mark::Seen(true) { super::super::pods::TO_GO } else { 0 };
    (worker.stage != PodStage::Unscheduled, phase, worker.stage == PodStage::Ready, cost)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, ..ProptestConfig::default() })]

    /// Promise 2: whomever Kubernetes takes when the number goes down, nobody has a job in hand.
    #[test]
    fn no_worker_with_a_job_can_be_taken(
        pods in any_fleet(),
        share in 0_usize..=100,
        left in 0_usize..3,
        missing in 0_u32..2,
        seed in any::<u64>(),
    ) {
        // Some of an earlier step are still there, whom the decision does not know of.
        let drained = |worker: &&Known| worker.state == WorkerState::Draining(DrainStage::Drained);
        let condemned: BTreeSet<WorkerId> =
            pods.iter().filter(drained).take(left).map(|worker| worker.id.clone()).collect();
        let may_go: Vec<&Known> = pods
            .iter()
            .filter(|worker| !worker.state.is_busy() && !condemned.contains(&worker.id))
            .collect();
        let going = may_go.len() * share / 100;
        let target = u32::try_from(pods.len() - condemned.len() - going).unwrap();
        let drain: Vec<WorkerId> = may_go[..going].iter().map(|worker| worker.id.clone()).collect();
        let fleet = Fleet { condemned: &condemned, ..fleet(&pods) };
        let fleet = Fleet { current: fleet.current + missing, ..fleet };
        let found = plan(&Decision { drain, ..decision(target, &[]) }, fleet);
        // Pods that are being made are not among those that are chosen from here.
        prop_assert!(missing == 0 || matches!(found.scale, None | Some(0)), "{found:?}");
        if let Some(replicas) = found.scale {
            let count = pods.len().saturating_sub(usize::try_from(replicas).unwrap());
            // Ties are broken any way.
            let mut order: Vec<(&Known, u64)> = pods.iter().zip(std::iter::successors(Some(seed), |last| {
                Some(last.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407))
            })).collect();
            order.sort_by_key(|(worker, tie)| (rank(worker), *tie));
            for (victim, _) in &order[..count] {
                prop_assert!(!victim.state.is_busy(), "{victim:?} is taken: {found:?}");
                // Nor may it get a job before it is gone.
                let sleeps = matches!(victim.state, WorkerState::Draining(DrainStage::Drained));
                let starts = victim.stage.may_run() || victim.stage == PodStage::NotStarted;
                prop_assert!(sleeps || !starts, "{victim:?} is taken: {found:?}");
            }
            prop_assert!(found.condemn.len() <= going + condemned.len());
        }
        // Nobody is both asked to drain and let back.
        prop_assert!(found.drain.iter().all(|id| !found.undrain.contains(id)));
    }
}
