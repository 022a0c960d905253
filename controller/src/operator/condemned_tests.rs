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
    assert!(spare(&mut condemned, &pods, &deployment(5), 189).is_empty(), "it may still be on its way");
    assert_eq!(spare(&mut condemned, &pods, &deployment(5), 190), ids(&["a", "b"]));
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
fn those_of_an_operator_before_are_known_by_their_long_drains_whatever_the_number_is() {
    let long = |name: &str| Known { drain_left: Some(Millis::from_secs(500)), ..drained(name, false) };
    let known = [long("a"), drained("b", true)];
    let mut condemned = Condemned::default();
    condemned.recognise(&known, at(0));
    assert_eq!(condemned.ids(), &set(&["a"]));
    assert!(
        spare(&mut condemned, &["a", "b"], &deployment(2), 89).is_empty(),
        "a write may still be on its way"
    );
    assert_eq!(spare(&mut condemned, &["a", "b"], &deployment(2), 90), ids(&["a"]));
    condemned.recognise(&known, at(91));
    assert!(condemned.ids().is_empty(), "it was let back and does not know it yet");
    condemned.recognise(&[drained("a", false)], at(92));
    condemned.recognise(&known, at(93));
    assert_eq!(condemned.ids(), &set(&["a"]), "it was asked anew");
}

#[test]
fn those_who_were_asked_in_vain_and_those_of_a_refused_write_are_not_taken_for_anothers() {
    let known =
        ["a", "b"].map(|name| Known { drain_left: Some(Millis::from_secs(500)), ..drained(name, true) });
    let mut condemned = Condemned::default();
    condemned.let_back(&ids(&["a"]));
    let new = condemned.add(&ids(&["b"]), at(0));
    condemned.take_back(&new);
    condemned.recognise(&known, at(1));
    assert!(condemned.ids().is_empty());
}

#[test]
fn a_number_that_was_raised_late_in_a_pass_counts_from_then() {
    let mut condemned = Condemned::default();
    let _ = condemned.add(&ids(&["a"]), at(0));
    condemned.number_rose(at(25));
    assert!(spare(&mut condemned, &["a", "b"], &deployment(2), 54).is_empty());
    assert_eq!(spare(&mut condemned, &["a", "b"], &deployment(2), 55), ids(&["a"]));
}

#[test]
fn a_number_that_is_seen_to_have_risen_counts_from_then_whoever_wrote_it_and_however_late() {
    let mut condemned = Condemned::default();
    let _ = condemned.add(&ids(&["a"]), at(0));
    assert!(spare(&mut condemned, &["a", "b"], &deployment(1), 10).is_empty());
    assert!(spare(&mut condemned, &["a", "b"], &deployment(2), 35).is_empty());
    assert!(spare(&mut condemned, &["a", "b"], &deployment(2), 64).is_empty());
    assert_eq!(spare(&mut condemned, &["a", "b"], &deployment(2), 65), ids(&["a"]));
}

#[test]
fn after_half_a_minute_without_a_look_it_is_not_known_to_have_been_quiet() {
    let mut condemned = Condemned::default();
    let _ = condemned.add(&ids(&["a"]), at(0));
    assert!(spare(&mut condemned, &["a", "b"], &deployment(2), 10).is_empty());
    assert!(spare(&mut condemned, &["a", "b"], &deployment(2), 40).is_empty());
    assert!(spare(&mut condemned, &["a", "b"], &deployment(2), 69).is_empty());
    assert_eq!(spare(&mut condemned, &["a", "b"], &deployment(2), 70), ids(&["a"]));
}

#[test]
fn while_anybody_is_taken_the_others_sleep_on_for_they_may_have_been_chosen_together() {
    let mut condemned = Condemned::default();
    let _ = condemned.add(&ids(&["a"]), at(0));
    assert!(spare(&mut condemned, &["a", "b", "c"], &deployment(2), 10).is_empty());
    assert!(spare(&mut condemned, &["a", "b"], &deployment(2), 30).is_empty(), "c was not even to go");
    assert!(spare(&mut condemned, &["a", "b"], &deployment(2), 59).is_empty());
    assert_eq!(spare(&mut condemned, &["a", "b"], &deployment(2), 60), ids(&["a"]));
}
