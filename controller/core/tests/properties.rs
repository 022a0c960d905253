//! What holds of a single decision, for all inputs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "tests")]

mod common;

use common::*;
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use reelpool_core::{
    Decision, Difference, DrainStage, Memory, Millis, Observation, Reason, Record, Sample, Source, Timestamp,
    WorkerObservation, WorkerState, check, decide, replay,
};

fn cases() -> ProptestConfig {
    ProptestConfig {
        cases: 2000,
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        ..ProptestConfig::default()
    }
}

fn now() -> Timestamp {
    at(0)
}

/// What a shell acts on.
fn acts(decision: &Decision) -> (u32, &[reelpool_core::WorkerId], Reason) {
    (decision.target, &decision.drain, decision.reason)
}

/// The observation with the workers that `decision` starts asked for.
fn grown(observation: &Observation, decision: &Decision) -> Observation {
    let mut seen = observation.clone();
    seen.current = seen.current.max(decision.target);
    seen
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn bounds_hold(policy in any_policy(), memory in any_memory(), seen in any_observation()) {
        let decision = decide(&policy, &memory, &seen, now());
        if policy.spec().paused {
            prop_assert_eq!(decision.target, seen.current);
        } else {
            prop_assert!(decision.target >= policy.minimum());
            // Above the maximum nobody is started; who is there already leaves only when idle.
            prop_assert!(decision.target <= policy.maximum() || decision.target <= seen.current);
        }
    }

    #[test]
    fn deterministic(
        policy in any_policy(),
        memory in any_memory(),
        (seen, shuffled) in any_observation().prop_flat_map(|seen| {
            let workers = match &seen.workers {
                Sample::Known { value, .. } => value.clone(),
                Sample::Missing { .. } => Vec::new(),
            };
            (Just(seen), Just(workers).prop_shuffle())
        }),
    ) {
        let first = decide(&policy, &memory, &seen, now());
        prop_assert_eq!(&first, &decide(&policy, &memory, &seen.clone(), now()));
        // Nor does the order in which the workers are listed decide anything.
        let mut other = seen.clone();
        if let Sample::Known { value, .. } = &mut other.workers {
            *value = shuffled;
        }
        let mut second = decide(&policy, &memory, &other, now());
        let mut expected = first;
        expected.drain.sort();
        second.drain.sort();
        prop_assert_eq!(expected, second);
    }

    #[test]
    fn monotone_in_backlog(
        policy in any_policy(),
        memory in any_memory(),
        seen in any_observation(),
        more in prop_oneof![1u64..50, any::<u64>()],
    ) {
        let fewer = decide(&policy, &memory, &seen, now()).target;
        let mut seen = seen;
        if let Sample::Known { value, .. } = &mut seen.queue {
            value.backlog = value.backlog.saturating_add(more);
        }
        prop_assert!(decide(&policy, &memory, &seen, now()).target >= fewer);
    }

    #[test]
    fn no_data_no_shrink(
        policy in any_policy(),
        memory in any_memory(),
        seen in any_observation(),
        lose_queue in any::<bool>(),
        how in 0u8..3,
        past in 0u64..100_000,
    ) {
        fn lose<T>(sample: &mut Sample<T>, limit: Millis, how: u8, past: u64) {
            let beyond = limit.plus(Millis::new(past + 1));
            match sample {
                Sample::Known { observed_at, .. } if how == 0 => *observed_at = now().minus(beyond),
                Sample::Known { observed_at, .. } if how == 1 => *observed_at = now().plus(beyond),
                sample => *sample = missing("gone"),
            }
        }
        let mut seen = seen;
        let limits = policy.spec().freshness;
        if lose_queue {
            lose(&mut seen.queue, limits.queue, how, past);
        } else {
            lose(&mut seen.workers, limits.workers, how, past);
        }
        let decision = decide(&policy, &memory, &seen, now());
        prop_assert!(decision.target >= seen.current);
        prop_assert!(decision.drain.is_empty());
        let source = if lose_queue { Source::Queue } else { Source::Workers };
        prop_assert!(decision.explain.not_fresh.iter().any(|n| n.source == source));
    }

    #[test]
    fn never_below_busy(policy in any_policy(), memory in any_memory(), seen in any_observation()) {
        let decision = decide(&policy, &memory, &seen, now());
        prop_assert!(decision.target >= busy(&seen).min(seen.current));
        if let (Sample::Known { value, .. }, Sample::Known { value: depth, .. }) = (&seen.workers, &seen.queue) {
            let jobs = u64::from(policy.spec().jobs_per_worker.get());
            if decision.target < seen.current {
                prop_assert!(u64::from(decision.target) * jobs >= depth.in_flight.min(u64::from(seen.current)));
            }
            for worker in value.iter().filter(|w| decision.drain.contains(&w.id)) {
                let free = matches!(
                    worker.state,
                    WorkerState::Idle
                        | WorkerState::Starting
                        | WorkerState::Draining(DrainStage::Waiting | DrainStage::Drained)
                );
                prop_assert!(free, "{:?} was to drain", worker);
            }
        }
    }

    #[test]
    fn a_restart_is_no_less_conservative(
        policy in any_policy(),
        memory in any_memory(),
        seen in any_observation(),
    ) {
        let kept = decide(&policy, &memory, &seen, now());
        let lost = decide(&policy, &Memory::default(), &seen, now());
        prop_assert!(lost.target >= kept.target);
        prop_assert!(lost.drain.iter().all(|id| kept.drain.contains(id)));
        prop_assert!(lost.target > 0 || seen.current == 0, "a restart emptied the fleet");
    }

    #[test]
    fn next_check_is_sound(
        policy in any_policy(),
        memory in any_memory(),
        seen in any_observation(),
        part in 0u64..1000,
    ) {
        let first = decide(&policy, &memory, &seen, now());
        prop_assert!(first.next_check > Millis::ZERO);
        prop_assert!(first.next_check <= policy.spec().poll.longest);
        let last = first.next_check.get() - 1;
        for wait in [last * part / 1000, last] {
            let again = decide(&policy, &first.memory, &seen, now().plus(Millis::new(wait)));
            prop_assert_eq!(acts(&first), acts(&again), "{} ms later", wait);
            prop_assert_eq!(&first.limits, &again.limits);
            prop_assert_eq!(first.memory, again.memory);
        }
    }

    #[test]
    fn nothing_is_created_twice_for_the_same_backlog(
        policy in any_policy(),
        memory in any_memory(),
        seen in any_observation(),
        received in 0u64..60,
    ) {
        let first = decide(&policy, &memory, &seen, now());
        prop_assume!(first.target >= seen.current);
        // Those started are asked for, and not listed yet.
        let mut started = grown(&seen, &first);
        prop_assert_eq!(decide(&policy, &first.memory, &started, now()).target, first.target);
        // They report, and take messages: what waited is in flight.
        if let Sample::Known { value, .. } = &mut started.workers {
            let missing = usize::try_from(started.current).unwrap().saturating_sub(value.len());
            let new = (0..missing).map(|i| worker(&format!("new-{i}"), WorkerState::Starting, 0));
            value.extend(new.collect::<Vec<WorkerObservation>>());
        }
        prop_assert_eq!(decide(&policy, &first.memory, &started, now()).target, first.target);
        if let Sample::Known { value, .. } = &mut started.queue {
            let received = received.min(value.backlog);
            value.backlog -= received;
            value.in_flight += received;
        }
        prop_assert_eq!(decide(&policy, &first.memory, &started, now()).target, first.target);
    }

    #[test]
    fn the_oracle_agrees_on_need(
        policy in any_policy(),
        depth in any_depth(),
        service_ms in proptest::option::of(1_000u64..900_000),
    ) {
        let service_time = service_ms.map(Millis::new);
        let mut seen = observation(depth, Vec::new());
        seen.service_time = service_time;
        let decision = decide(&policy, &Memory::default(), &seen, now());
        let needed = oracle(&policy, depth, service_time);
        prop_assert_eq!(decision.explain.need.unwrap().workers, needed);
        if !policy.spec().paused && policy.spec().max_step_out.is_none() {
            let bounded = needed.max(u64::from(policy.minimum())).min(u64::from(policy.maximum()));
            prop_assert_eq!(u64::from(decision.target), bounded);
        }
    }

    #[test]
    fn check_finds_nothing(policy in any_policy(), memory in any_memory(), seen in any_observation()) {
        let decision = decide(&policy, &memory, &seen, now());
        prop_assert_eq!(check(&policy, &seen, &decision, now()), vec![]);
        prop_assert!(!decision.to_string().is_empty() && !decision.to_string().contains('\n'));
    }

    #[test]
    fn a_clock_set_back_is_harmless(
        policy in any_policy(),
        memory in any_memory(),
        seen in any_observation(),
        back in 0u64..200_000,
    ) {
        let first = decide(&policy, &memory, &seen, now());
        let earlier = now().minus(Millis::new(back));
        let second = decide(&policy, &first.memory, &seen, earlier);
        prop_assert_eq!(check(&policy, &seen, &second, earlier), vec![]);
        // The same samples look younger, or come from the future: no window grows by that.
        if let (Some(before), Some(after)) = (first.memory.empty, second.memory.empty) {
            prop_assert!(after.span() <= before.span());
        }
        // Nobody leaves for it, except where samples were too old by the clock that is not any more.
        if second.target < first.target.min(seen.current) {
            prop_assert!(!first.explain.not_fresh.is_empty() && second.explain.not_fresh.is_empty());
        }
    }

    #[test]
    fn total(
        policy in any_policy(),
        numbers in any::<[u64; 4]>(),
        times in any::<[i64; 6]>(),
        spans in any::<[u64; 2]>(),
        current in any::<u32>(),
        states in proptest::collection::vec(any_state(), 0..8),
        same_name in any::<bool>(),
    ) {
        let [backlog, in_flight, delayed, due] = numbers;
        let [t0, t1, t2, t3, t4, t5] = times.map(Timestamp::from_millis);
        let name = |i: usize| if same_name { "w".to_owned() } else { format!("w{i}") };
        let listed = states.into_iter().enumerate().map(|(i, state)| {
            WorkerObservation { id: name(i).into(), state, since: t0 }
        });
        let depth = reelpool_core::QueueDepth { backlog, in_flight, delayed, delayed_due_soon: Some(due) };
        let seen = Observation {
            queue: Sample::Known { value: depth, observed_at: t1 },
            workers: Sample::Known { value: listed.collect(), observed_at: t2 },
            current,
            service_time: Some(Millis::new(spans[0])),
            start_up_time: Some(Millis::new(spans[1])),
        };
        let memory = Memory { empty: Some(reelpool_core::EmptyWindow { since: t3, until: t4 }) };
        for now in [t5, t1, t2, Timestamp::from_millis(i64::MIN), Timestamp::from_millis(i64::MAX)] {
            let decision = decide(&policy, &memory, &seen, now);
            prop_assert!(same_name || check(&policy, &seen, &decision, now).is_empty());
        }
    }

    #[test]
    fn a_record_survives_its_journey_and_replays(
        policy in any_policy(),
        memory in any_memory(),
        seen in any_observation(),
    ) {
        let record = Record::make(policy, memory, seen, now());
        let json = serde_json::to_string(&record).unwrap();
        let back: Record = serde_json::from_str(&json).unwrap();
        prop_assert_eq!(&record, &back);
        prop_assert_eq!(replay(&back), Ok(()));
    }

    #[test]
    fn replay_tells_what_differs(policy in any_policy(), memory in any_memory(), seen in any_observation()) {
        let mut record = Record::make(policy, memory, seen, now());
        record.decision.target = record.decision.target.wrapping_add(1);
        record.decision.next_check = record.decision.next_check.plus(Millis::new(1));
        let Err(Difference::Decision(parts)) = replay(&record) else { panic!("no difference found") };
        prop_assert_eq!(parts.iter().map(|p| p.name).collect::<Vec<_>>(), vec!["target", "next_check"]);
        record.version += 1;
        prop_assert_eq!(replay(&record), Err(Difference::Version(2)));
    }
}
