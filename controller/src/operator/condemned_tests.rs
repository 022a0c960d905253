use k8s_openapi::api::apps::v1::Deployment;

use super::super::pods::PodStage;
use super::*;

fn at(secs: u64) -> Timestamp {
    Timestamp::from_millis(0).plus(Millis::from_secs(secs))
}

fn drained(name: &str, is_marked: bool) -> Known {
    Known {
        id: name.into(),
        state: WorkerState::Draining(DrainStage::Drained),
        drain_left: Some(Millis::from_secs(50)),
        stage: PodStage::Ready,
        template: None,
        mark: Mark::Seen(is_marked),
    }
}

fn ids(names: &[&str]) -> Vec<WorkerId> {
    names.iter().map(|name| WorkerId::from(*name)).collect()
}

fn set(names: &[&str]) -> BTreeSet<WorkerId> {
    ids(names).into_iter().collect()
}

fn deployment(replicas: u32) -> DeploymentView {
    DeploymentView { replicas, ..DeploymentView::from(&Deployment::default()) }
}

fn spare(condemned: &mut Condemned, pods: &[&str], deployment: &DeploymentView, secs: u64) -> Vec<WorkerId> {
    let pods = ids(pods);
    condemned.spare(&pods.iter().collect(), deployment, at(secs))
}

#[test]
fn they_sleep_while_there_are_more_pods_than_asked_for() {
    let mut condemned = Condemned::default();
    let _ = condemned.add(&ids(&["a", "b"]), at(0));
    for secs in [1, 100, 1000] {
        assert!(spare(&mut condemned, &["a", "b", "c"], &deployment(1), secs).is_empty());
        assert_eq!(condemned.ids(), &set(&["a", "b"]));
    }
}

#[test]
fn a_number_that_rises_again_does_not_wake_those_that_kubernetes_is_taking() {
    let mut condemned = Condemned::default();
    let _ = condemned.add(&ids(&["a", "b", "c"]), at(0));
    // Lowered to 1, raised to 4; then one is taken every twenty seconds.
    assert!(spare(&mut condemned, &["a", "b", "c", "d"], &deployment(4), 1).is_empty());
    assert!(spare(&mut condemned, &["b", "c", "d"], &deployment(4), 20).is_empty());
    assert!(spare(&mut condemned, &["c", "d"], &deployment(4), 40).is_empty());
    assert!(spare(&mut condemned, &["c", "d"], &deployment(4), 69).is_empty());
    // Nobody was taken for half a minute: c was spared.
    assert_eq!(spare(&mut condemned, &["c", "d"], &deployment(4), 70), ids(&["c"]));
    assert!(condemned.ids().is_empty());
}

#[test]
fn nobody_wakes_before_the_last_number_was_acted_on() {
    let mut condemned = Condemned::default();
    let _ = condemned.add(&ids(&["a"]), at(0));
    let late = DeploymentView { generation: 8, observed_generation: 7, ..deployment(2) };
    assert!(spare(&mut condemned, &["a", "b"], &late, 500).is_empty());
    let seen = DeploymentView { observed_generation: 8, ..late };
    assert!(spare(&mut condemned, &["a", "b"], &seen, 529).is_empty());
    assert_eq!(spare(&mut condemned, &["a", "b"], &seen, 530), ids(&["a"]));
}

#[test]
fn a_write_of_which_no_answer_came_may_have_been_made() {
    let mut condemned = Condemned::default();
    let _ = condemned.add(&ids(&["a", "b"]), at(0));
    condemned.no_answer(5);
    assert!(condemned.is_unsure());
    condemned.learn(3, at(0));
    assert!(!condemned.is_unsure());
    assert_eq!(condemned.ids(), &set(&["a", "b"]), "it was made");
    condemned.no_answer(5);
    condemned.learn(5, at(100));
    let pods = ["a", "b", "c", "d", "e"];
    assert!(spare(&mut condemned, &pods, &deployment(5), 129).is_empty(), "it may still be on its way");
    assert_eq!(spare(&mut condemned, &pods, &deployment(5), 130), ids(&["a", "b"]));
}

#[test]
fn a_write_that_was_refused_was_made_for_nobody_but_those_of_an_earlier_one_still_go() {
    let mut condemned = Condemned::default();
    assert_eq!(condemned.add(&ids(&["a"]), at(0)), ids(&["a"]));
    let new = condemned.add(&ids(&["a", "b"]), at(1));
    assert_eq!(new, ids(&["b"]));
    condemned.take_back(&new);
    assert_eq!(condemned.ids(), &set(&["a"]));
}

#[test]
fn their_drains_are_renewed_where_there_is_no_pass_but_not_for_ever() {
    let mut condemned = Condemned::default();
    let _ = condemned.add(&ids(&["a", "b"]), at(0));
    let address: SocketAddr = ([10, 0, 0, 1], 8080).into();
    condemned.remember(|id| (id.as_str() == "a").then_some(address));
    let expected = [("a".into(), address)];
    assert_eq!(condemned.to_renew(at(1)), expected);
    assert_eq!(condemned.to_renew(at(15)), []);
    assert_eq!(condemned.to_renew(at(16)), expected);
    assert_eq!(condemned.to_renew(at(600)), []);
    assert!(condemned.ids().is_empty(), "nobody asks for them any more");
}

#[test]
fn those_of_an_operator_before_are_adopted_the_marked_ones_first() {
    let busy = Known { state: WorkerState::Busy, drain_left: None, ..drained("c", false) };
    let known = [drained("a", false), drained("b", true), busy];
    let mut condemned = Condemned::default();
    condemned.adopt(&known, 2, at(0));
    assert_eq!(condemned.ids(), &set(&["b"]));
    condemned.adopt(&known, 2, at(0));
    assert_eq!(condemned.ids(), &set(&["b"]), "no more than are surplus");
    condemned.adopt(&known, 0, at(0));
    assert_eq!(condemned.ids(), &set(&["a", "b"]), "and never one with a job");
    let mut condemned = Condemned::default();
    condemned.adopt(&known, 3, at(0));
    assert!(condemned.ids().is_empty());
}

#[test]
fn those_asleep_for_long_are_inherited_however_many_pods_are_asked_for_but_not_those_we_woke() {
    let for_long = |name| Known { drain_left: Some(Millis::from_secs(580)), ..drained(name, true) };
    let known = [for_long("a"), for_long("b"), drained("c", true)];
    let mut condemned = Condemned::default();
    condemned.inherit(&known, at(0));
    assert_eq!(condemned.ids(), &set(&["a", "b"]), "c was only asked to drain");
    assert!(spare(&mut condemned, &["a", "b", "c"], &deployment(9), 29).is_empty());
    // a is taken; half a minute later b is let back to work, and stays so though its drain holds for some time more.
    assert!(spare(&mut condemned, &["b", "c"], &deployment(9), 30).is_empty());
    assert_eq!(spare(&mut condemned, &["b", "c"], &deployment(9), 60), ids(&["b"]));
    condemned.inherit(&known[1..], at(61));
    assert!(condemned.ids().is_empty());
    // A number that is lowered for it later counts anew.
    let _ = condemned.add(&ids(&["b"]), at(62));
    assert_eq!(condemned.ids(), &set(&["b"]));
    condemned.take_back(&ids(&["b"]));
    condemned.inherit(&known[1..], at(63));
    assert!(condemned.ids().is_empty(), "the write was refused");
}
