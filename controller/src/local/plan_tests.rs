use super::*;
use proptest::prelude::*;
use reelpool_core::{Explain, Memory, Reason};

fn decision(target: u32, drain: &[&str]) -> Decision {
    Decision {
        target,
        drain: drain.iter().map(|id| WorkerId::from(*id)).collect(),
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

const DRAINED: WorkerState = WorkerState::Draining(DrainStage::Drained);
const WAITING: WorkerState = WorkerState::Draining(DrainStage::Waiting);
const DRAINING_BUSY: WorkerState = WorkerState::Draining(DrainStage::Busy);

fn worker(id: &str, state: WorkerState, left: Option<u64>) -> KnownWorker {
    KnownWorker { id: id.into(), state, drain_left: left.map(Millis::from_secs) }
}

fn ids(ids: &[&str]) -> Vec<WorkerId> {
    ids.iter().map(|id| WorkerId::from(*id)).collect()
}

#[test]
fn table() {
    let idle = |id| worker(id, WorkerState::Idle, None);
    let drained = |id| worker(id, DRAINED, Some(60));
    for (name, decision, fleet, expected) in [
        ("from zero at once", decision(3, &[]), vec![], vec![Effect::Start(3)]),
        ("as it should be", decision(1, &[]), vec![idle("a")], vec![]),
        ("ask before stopping", decision(0, &["a"]), vec![idle("a")], vec![Effect::Drain(ids(&["a"]))]),
        ("stop who is drained", decision(0, &["a"]), vec![drained("a")], vec![Effect::Stop(ids(&["a"]))]),
        ("wait for a receive", decision(0, &["a"]), vec![worker("a", WAITING, Some(60))], vec![]),
        (
            "a job came: its drain is void",
            decision(0, &["a"]),
            vec![worker("a", DRAINING_BUSY, Some(60))],
            vec![],
        ),
        (
            "renew a drain that runs out",
            decision(0, &["a"]),
            vec![worker("a", WAITING, Some(20))],
            vec![Effect::Drain(ids(&["a"]))],
        ),
        (
            "a drain about to lapse is no ground to stop",
            decision(0, &["a"]),
            vec![worker("a", DRAINED, Some(9))],
            vec![Effect::Drain(ids(&["a"]))],
        ),
        (
            "some are drained, some not yet",
            decision(1, &["a", "b"]),
            vec![drained("a"), idle("b"), worker("c", WorkerState::Busy, None)],
            vec![Effect::Drain(ids(&["b"])), Effect::Stop(ids(&["a"]))],
        ),
        (
            "work came back: un-drain before starting anyone",
            decision(3, &[]),
            vec![drained("a"), idle("b")],
            vec![Effect::Undrain(ids(&["a"])), Effect::Start(1)],
        ),
        (
            "another is to go",
            decision(1, &["b"]),
            vec![worker("a", WAITING, Some(60)), idle("b")],
            vec![Effect::Undrain(ids(&["a"])), Effect::Drain(ids(&["b"]))],
        ),
        (
            "never more than the target leaves, whoever is named",
            decision(1, &["a", "b"]),
            vec![drained("a"), drained("b")],
            vec![Effect::Stop(ids(&["a"]))],
        ),
        (
            "nobody unknown is stopped",
            decision(0, &["z"]),
            vec![drained("a")],
            vec![Effect::Undrain(ids(&["a"]))],
        ),
    ] {
        assert_eq!(plan(&decision, &fleet), expected, "{name}");
    }
}

fn states() -> impl Strategy<Value = WorkerState> {
    prop_oneof![
        Just(WorkerState::Starting),
        Just(WorkerState::Idle),
        Just(WorkerState::Busy),
        Just(WorkerState::Unreachable),
        Just(WAITING),
        Just(DRAINING_BUSY),
        Just(DRAINED),
    ]
}

/// Any fleet and any decision, also ones that do not fit together.
fn any_case() -> impl Strategy<Value = (Decision, Vec<KnownWorker>)> {
    let fleet = prop::collection::vec((states(), prop::option::of(0_u64..120)), 0..12);
    (fleet, 0_u32..15, prop::collection::vec(0_usize..14, 0..8)).prop_map(|(fleet, target, named)| {
        let fleet: Vec<_> = fleet
            .into_iter()
            .enumerate()
            .map(|(i, (state, left))| worker(&format!("w{i}"), state, left))
            .collect();
        let mut named: Vec<String> = named.into_iter().map(|i| format!("w{i}")).collect();
        named.sort();
        named.dedup();
        let named: Vec<&str> = named.iter().map(String::as_str).collect();
        (decision(target, &named), fleet)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, ..ProptestConfig::default() })]

    #[test]
    fn only_named_and_drained_workers_are_stopped_and_the_target_is_left((decision, fleet) in any_case()) {
        let effects = plan(&decision, &fleet);
        let mut stopped = 0;
        for effect in &effects {
            let Effect::Stop(ids) = effect else { continue };
            for id in ids {
                let worker = fleet.iter().find(|worker| worker.id == *id).expect("known");
                prop_assert_eq!(worker.state, DRAINED);
                prop_assert!(decision.drain.contains(id));
                stopped += 1;
            }
        }
        prop_assert!(stopped == 0 || fleet.len() - stopped >= decision.target as usize);
    }

    #[test]
    fn nobody_is_asked_two_things_and_the_order_is_kept((decision, fleet) in any_case()) {
        let effects = plan(&decision, &fleet);
        let mut asked: Vec<&WorkerId> = Vec::new();
        for effect in &effects {
            if let Effect::Undrain(ids) | Effect::Drain(ids) | Effect::Stop(ids) = effect {
                prop_assert!(!ids.is_empty());
                asked.extend(ids);
            }
        }
        let count = asked.len();
        asked.sort();
        asked.dedup();
        prop_assert_eq!(asked.len(), count);
        let rank = |effect: &Effect| match effect {
            Effect::Undrain(_) => 0,
            Effect::Start(_) => 1,
            Effect::Drain(_) => 2,
            Effect::Stop(_) => 3,
        };
        prop_assert!(effects.windows(2).all(|pair| rank(&pair[0]) < rank(&pair[1])));
        let started: u32 = effects.iter().map(|e| if let Effect::Start(n) = e { *n } else { 0 }).sum();
        prop_assert!(started == 0 || fleet.len() + started as usize == decision.target as usize);
    }

    /// Carried out faithfully, the plan brings about the decision and then does nothing more.
    #[test]
    fn it_leads_to_the_target_and_rests((decision, mut fleet) in any_case()) {
        let mut next = 100;
        for round in 0..6 {
            let effects = plan(&decision, &fleet);
            if effects.is_empty() {
                break;
            }
            prop_assert!(round < 5, "never rests: {:?}", effects);
            for effect in effects {
                match effect {
                    Effect::Undrain(ids) => fleet.iter_mut().filter(|w| ids.contains(&w.id)).for_each(|w| {
                        w.state = if w.state == DRAINING_BUSY { WorkerState::Busy } else { WorkerState::Idle };
                        w.drain_left = None;
                    }),
                    Effect::Start(n) => fleet.extend((0..n).map(|_| {
                        next += 1;
                        worker(&format!("w{next}"), WorkerState::Idle, None)
                    })),
                    Effect::Drain(ids) => fleet.iter_mut().filter(|w| ids.contains(&w.id)).for_each(|w| {
                        w.state = if matches!(w.state, WorkerState::Busy | WorkerState::Unreachable | DRAINING_BUSY) {
                            DRAINING_BUSY
                        } else {
                            DRAINED
                        };
                        w.drain_left = Some(Millis::from_secs(60));
                    }),
                    Effect::Stop(ids) => fleet.retain(|worker| !ids.contains(&worker.id)),
                }
            }
        }
        prop_assert!(fleet.len() >= decision.target as usize);
        let named_left = fleet.iter().any(|w| decision.drain.contains(&w.id) && w.state == DRAINED);
        prop_assert!(fleet.len() == decision.target as usize || !named_left);
    }
}
