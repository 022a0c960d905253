use super::super::pods::PodStage;
use super::*;

fn drained(name: &str, is_marked: bool) -> Known {
    Known {
        id: name.into(),
        state: WorkerState::Draining(DrainStage::Drained),
        drain_left: Some(Millis::from_secs(50)),
        stage: PodStage::Ready,
        template: None,
        is_marked,
    }
}

fn ids(names: &[&str]) -> BTreeSet<WorkerId> {
    names.iter().map(|name| WorkerId::from(*name)).collect()
}

#[test]
fn the_condemned_stay_so_until_there_are_no_more_pods_than_asked_for() {
    let mut state = PoolState { condemned: ids(&["a", "b"]), ..PoolState::default() };
    let pods = ids(&["a", "b", "c"]);
    let pods: BTreeSet<&WorkerId> = pods.iter().collect();
    assert!(state.keep_condemned(&pods, 1).is_empty());
    assert_eq!(state.condemned, ids(&["a", "b"]));
    // Kubernetes took c and a: b was spared.
    let left = ids(&["b"]);
    assert_eq!(state.keep_condemned(&left.iter().collect(), 1), ["b".into()]);
    assert!(state.condemned.is_empty());
}

#[test]
fn those_of_an_operator_before_are_adopted_the_marked_ones_first() {
    let busy = Known { state: WorkerState::Busy, drain_left: None, ..drained("c", false) };
    let known = [drained("a", false), drained("b", true), busy];
    let mut state = PoolState::default();
    state.adopt_condemned(&known, 2);
    assert_eq!(state.condemned, ids(&["b"]));
    state.adopt_condemned(&known, 2);
    assert_eq!(state.condemned, ids(&["b"]), "no more than are surplus");
    state.adopt_condemned(&known, 0);
    assert_eq!(state.condemned, ids(&["a", "b"]), "and never one with a job");
    let mut state = PoolState::default();
    state.adopt_condemned(&known, 3);
    assert!(state.condemned.is_empty());
}

#[test]
fn a_queue_that_is_not_known_is_missing_since_the_first_time() {
    let mut state = PoolState::default();
    let at = Timestamp::from_millis;
    state.take_queue(Err("gone".into()), at(5));
    let again = state.take_queue(Err("still gone".into()), at(9));
    assert_eq!(again, Sample::Missing { cause: "still gone".into(), since: at(5) });
    state.take_queue(Ok(QueueDepth::default()), at(12));
    let anew = state.take_queue(Err("gone".into()), at(15));
    assert_eq!(anew, Sample::Missing { cause: "gone".into(), since: at(15) });
}
