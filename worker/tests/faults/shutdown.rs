//! A SIGTERM at each call of a message's life. One at a time: it reaches every worker of the process.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use reelpool_protocol::status::Totals;

use crate::script::Fault::{
    Dawdles, Fails, FailsAlways, LosesItsAnswer, LosesTheHold, MeetsShutdown, Refuses, WaitsAtGate,
};
use crate::script::Method::{
    Beat, Check, Claim, DeadLetter, Delete, Fetch, HandBack, Identify, Later, ListClaims, Publish,
    PutIfAbsent, Read, Receive, RemoveAllBut, Renew,
};
use crate::script::{Rule, Script};
use crate::worker::{SHORT, Setup, block_on};
use crate::world::World;

/// Who may signal the process now.
static ALONE: Mutex<()> = Mutex::new(());

/// What is asked of the message, and where it is when the worker has gone.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    HandedBack,
    Committed,
    Dead,
}

/// A worker that has no time left when it is asked to stop.
fn at_once() -> Setup {
    Setup { grace: Some(Duration::ZERO), ..Setup::default() }
}

/// A worker is asked to stop at the call that the rules name; then a healthy one finishes what is left.
fn stops(rules: &[Rule], setup: &Setup, then: Then) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    block_on(async {
        let world = World::new();
        let uses = |method| rules.iter().any(|rule| rule.method == method);
        world.send(&[match () {
            () if uses(DeadLetter) => world.text("notes.mp4"),
            () if uses(Identify) => world.untagged("clip.mp4"),
            () => world.video("clip.mp4"),
        }]);
        let script = Script::new(&world, rules.to_vec());
        let worker = world.worker("faulty", setup, &script);
        let state = worker.state();
        // It ends by itself.
        worker.run_until(|| false).await.unwrap();
        script.assert_all_fired();
        let Totals { committed, handed_back, .. } = state.state.status().totals;
        match then {
            Then::HandedBack => {
                assert_eq!((committed, script.calls(HandBack) > 0), (0, true), "{rules:?}\n{world}");
                assert!(handed_back == 1 || uses(Receive), "{rules:?}\n{world}");
                if !uses(HandBack) {
                    assert_eq!(world.waiting(), 1, "{rules:?}\n{world}");
                }
                world.assert_no_outputs();
            }
            Then::Committed => world.assert_committed(),
            Then::Dead => world.assert_dead("not_media"),
        }
        world.finish().await;
        match then {
            Then::Dead => world.assert_dead("not_media"),
            _ => world.assert_committed(),
        }
        world.assert_no_violation();
    });
}

#[test]
fn before_the_commit_the_message_is_handed_back() {
    for rule in [
        Receive.first(MeetsShutdown),
        Identify.first(MeetsShutdown),
        Read.first(MeetsShutdown),
        ListClaims.first(MeetsShutdown),
        Claim.first(MeetsShutdown),
        Read.nth(2, MeetsShutdown),
        Fetch.first(MeetsShutdown),
        Publish.first(MeetsShutdown),
        Publish.nth(2, MeetsShutdown),
    ] {
        stops(&[rule], &at_once(), Then::HandedBack);
    }
}

#[test]
fn a_heartbeat_does_not_keep_what_is_handed_back() {
    let setup = Setup { visibility: SHORT, ..at_once() };
    stops(&[Fetch.first(Dawdles), Beat.first(MeetsShutdown)], &setup, Then::HandedBack);
    stops(&[Fetch.first(Dawdles), Renew.first(MeetsShutdown)], &setup, Then::HandedBack);
}

#[test]
fn from_the_commit_on_the_job_is_finished() {
    for method in [Check, PutIfAbsent, RemoveAllBut, Delete] {
        stops(&[method.first(MeetsShutdown)], &at_once(), Then::Committed);
    }
    stops(&[Read.nth(3, MeetsShutdown)], &at_once(), Then::Committed);
}

#[test]
fn a_message_that_is_given_up_is_given_up() {
    stops(&[DeadLetter.first(MeetsShutdown)], &at_once(), Then::Dead);
}

#[test]
fn a_hand_back_that_goes_wrong_loses_nothing() {
    let setup = Setup { visibility: SHORT, ..at_once() };
    for fault in [Fails, FailsAlways, Refuses, LosesItsAnswer, LosesTheHold] {
        stops(&[Fetch.first(MeetsShutdown), HandBack.first(fault)], &setup, Then::HandedBack);
    }
}

#[test]
fn a_message_that_is_to_be_tried_again_stays_so() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    block_on(async {
        let world = World::new();
        world.send(&[world.video("clip.mp4")]);
        let script = Script::new(&world, vec![Fetch.first(Fails), Later.first(MeetsShutdown)]);
        let worker = world.worker("faulty", &at_once(), &script);
        let state = worker.state();
        worker.run_until(|| false).await.unwrap();
        script.assert_all_fired();
        assert_eq!(state.state.status().totals.retried, 1, "{world}");
        world.finish().await;
        world.assert_committed();
        world.assert_no_violation();
    });
}

#[test]
fn a_job_that_can_be_done_in_the_grace_period_is_done() {
    let setup = Setup { grace: Some(Duration::from_secs(40)), ..Setup::default() };
    stops(&[Fetch.first(MeetsShutdown)], &setup, Then::Committed);
}

#[test]
fn a_second_signal_ends_the_grace_period() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    block_on(async {
        let world = World::new();
        world.send(&[world.video("clip.mp4")]);
        let script = Script::new(&world, vec![Fetch.first(WaitsAtGate)]);
        let setup = Setup { grace: Some(Duration::from_secs(3600)), ..Setup::default() };
        let worker = world.worker("faulty", &setup, &script);
        let signals = async {
            script.at_gate.notified().await;
            script.signal().await;
            assert_eq!(script.calls(HandBack), 0, "{world}");
            script.signal().await;
        };
        let (ended, ()) = tokio::join!(worker.run_until(|| false), signals);
        ended.unwrap();
        assert_eq!((script.calls(HandBack), world.waiting()), (1, 1), "{world}");
        world.assert_no_outputs();
        world.finish().await;
        world.assert_committed();
        world.assert_no_violation();
    });
}
