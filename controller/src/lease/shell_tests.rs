use std::cell::Cell;

use serde_json::json;
use tokio::time::Instant;

use super::fake_api::{FakeApi, Fault};
use super::*;

const OTHER: &str = "other_2";

thread_local! {
    static BEGAN: Cell<Option<Instant>> = const { Cell::new(None) };
    /// For how long the machine slept: its timers did not run, but its clock did.
    static SLEPT: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// Tokio's paused time as the machine's clock.
fn clock() -> Moment {
    let began = BEGAN.get().unwrap_or_else(Instant::now);
    BEGAN.set(Some(began));
    Moment::from_start(Duration::from_secs(1000) + began.elapsed() + SLEPT.get())
}

fn keeper(api: &FakeApi, identity: &str) -> (Keeper, Health) {
    let health = Health::default();
    let config = LeaseConfig {
        client: api.client(),
        namespace: "system".to_owned(),
        name: "reelpool-operator".to_owned(),
        identity: identity.to_owned(),
        timing: Timing::default(),
        health: health.clone(),
    };
    (Keeper::new(config, clock), health)
}

async fn leader(api: &FakeApi) -> (Leadership, Health) {
    let (mut keeper, health) = keeper(api, "me_1");
    keeper.win().await.unwrap();
    api.calls();
    (keeper.lead(), health)
}

fn held_by_other(renewed: u64) -> serde_json::Value {
    json!({
        "holderIdentity": OTHER, "leaseDurationSeconds": 15, "leaseTransitions": 7,
        "acquireTime": "2026-01-01T00:00:00.000000Z", "renewTime": format!("2026-01-01T00:00:{renewed:02}.000000Z"),
    })
}

#[tokio::test(start_paused = true)]
async fn the_first_makes_the_lease_and_renews_it_with_one_call_each_time() {
    let api = FakeApi::default();
    let (mut keeper, health) = keeper(&api, "me_1");
    assert!(!health.missing().is_empty());
    keeper.win().await.unwrap();
    assert_eq!(api.calls(), ["GET 404", "POST 201"]);
    let spec = api.spec().unwrap();
    assert_eq!((&spec["holderIdentity"], &spec["leaseTransitions"]), (&json!("me_1"), &json!(0)));
    assert_eq!(spec["leaseDurationSeconds"], 15);
    assert_eq!(spec["acquireTime"], spec["renewTime"]);
    assert_eq!(health.role(), Role::Leader);
    let leads = keeper.lead();
    sleep(Duration::from_secs(7)).await;
    assert_eq!(api.calls(), ["PUT 200", "PUT 200", "PUT 200"]);
    assert!(leads.is_valid_now());
    let now = api.spec().unwrap();
    assert_eq!(now["acquireTime"], spec["acquireTime"]);
    assert_ne!(now["renewTime"], spec["renewTime"]);
}

#[tokio::test(start_paused = true)]
async fn another_is_given_its_time_from_when_its_last_sign_was_seen() {
    let api = FakeApi::default();
    // Its clock is far behind: what the lease says of time does not count.
    api.put(&held_by_other(1));
    let (mut keeper, health) = keeper(&api, "me_1");
    let began = Instant::now();
    let renewed = api.clone();
    tokio::spawn(async move {
        sleep(Duration::from_secs(5)).await;
        renewed.put(&held_by_other(2));
    });
    keeper.win().await.unwrap();
    // Seen at 6 s, in the rhythm of 2 s; over at 21 s, seen at 22 s.
    assert_eq!(began.elapsed().as_secs(), 22);
    let spec = api.spec().unwrap();
    assert_eq!((&spec["holderIdentity"], &spec["leaseTransitions"]), (&json!("me_1"), &json!(8)));
    assert_eq!(health.role(), Role::Leader);
    drop(keeper.lead());
}

#[tokio::test(start_paused = true)]
async fn a_standby_is_ready_and_knows_who_leads() {
    let api = FakeApi::default();
    api.put(&held_by_other(1));
    let (mut keeper, health) = keeper(&api, "me_1");
    assert!(timeout(Duration::from_secs(10), keeper.win()).await.is_err());
    assert_eq!(health.role(), Role::Standby { leader: Some(OTHER.to_owned()) });
    assert!(health.missing().is_empty() && health.stuck().is_empty());
    assert_eq!(api.holder().as_deref(), Some(OTHER));
}

#[tokio::test(start_paused = true)]
async fn it_is_handed_back_and_the_next_leads_at_once() {
    let api = FakeApi::default();
    let (leads, _) = leader(&api).await;
    let validity = leads.validity();
    sleep(Duration::from_secs(3)).await;
    assert!(validity.is_valid_now());
    leads.release().await;
    assert!(!validity.is_valid_now());
    assert_eq!(api.holder().as_deref(), Some(""));
    assert_eq!(api.spec().unwrap()["leaseTransitions"], 0);
    sleep(Duration::from_secs(60)).await;
    assert_eq!(api.holder().as_deref(), Some(""), "nobody renews it any more");
    let (mut next, _) = keeper(&api, "next_2");
    let began = Instant::now();
    next.win().await.unwrap();
    assert_eq!(began.elapsed().as_secs(), 0);
    assert_eq!(api.spec().unwrap()["leaseTransitions"], 1);
}

#[tokio::test(start_paused = true)]
async fn it_is_handed_back_though_a_renewal_was_under_way() {
    let api = FakeApi::default();
    let (leads, _) = leader(&api).await;
    api.next(&[Fault::AnswerLost]);
    sleep(Duration::from_millis(2500)).await;
    assert_eq!(api.calls(), ["PUT 200"]);
    leads.release().await;
    assert_eq!(api.holder().as_deref(), Some(""));
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_fails_for_a_while_does_not_take_it_away() {
    let api = FakeApi::default();
    let (leads, _) = leader(&api).await;
    for faults in [
        [Fault::Status(500), Fault::Status(429), Fault::Status(503)],
        [Fault::Status(403), Fault::Status(401), Fault::None],
        [Fault::AnswerLost, Fault::Status(500), Fault::None],
        [Fault::Hangs, Fault::Hangs, Fault::None],
        [Fault::Status(409), Fault::Status(409), Fault::None],
    ] {
        api.next(&faults);
        sleep(Duration::from_secs(20)).await;
        assert!(leads.is_valid_now(), "{faults:?}: {:?}", api.calls());
        assert_eq!(api.holder().as_deref(), Some("me_1"));
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_cannot_renew_has_lost_before_others_may_lead() {
    for fault in [Fault::Hangs, Fault::Status(500), Fault::Status(403)] {
        let api = FakeApi::default();
        let (leads, _) = leader(&api).await;
        sleep(Duration::from_secs(5)).await;
        api.always(fault);
        let began = Instant::now();
        let error = leads.lost().await;
        // The last renewal was up to 2 s before.
        let after = began.elapsed().as_secs_f64();
        assert!((8.0..=10.0).contains(&after), "{fault:?}: {after}");
        assert!(!leads.is_valid_now());
        assert_eq!(error.category(), "lease_not_renewed");
        assert!(!error.to_string().contains("stopped for a while"), "{error}");
        // It stays lost.
        api.always(Fault::None);
        sleep(Duration::from_secs(60)).await;
        assert!(!leads.is_valid_now());
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_hears_of_another_stops_at_once() {
    let api = FakeApi::default();
    let (leads, _) = leader(&api).await;
    api.put(&held_by_other(1));
    let began = Instant::now();
    let error = leads.lost().await;
    assert!(began.elapsed() <= Duration::from_secs(4));
    assert!(!leads.is_valid_now());
    assert_eq!(error.category(), "lease_taken");
    assert!(error.to_string().contains("the lease system/reelpool-operator was taken by other_2"), "{error}");
    assert_eq!(api.holder().as_deref(), Some(OTHER));
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_slept_finds_that_its_time_is_over_before_anything_else_runs() {
    let api = FakeApi::default();
    let (leads, _) = leader(&api).await;
    sleep(Duration::from_secs(5)).await;
    assert!(leads.is_valid_now());
    SLEPT.set(Duration::from_secs(60));
    // No task has run since.
    assert!(!leads.is_valid_now());
    api.calls();
    let error = leads.lost().await;
    assert_eq!(error.category(), "lease_not_renewed");
    assert!(api.calls().is_empty(), "it does not even try");
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_is_deleted_is_put_back_by_its_leader() {
    let api = FakeApi::default();
    let (leads, _) = leader(&api).await;
    api.delete();
    sleep(Duration::from_secs(5)).await;
    assert!(leads.is_valid_now());
    assert_eq!(api.holder().as_deref(), Some("me_1"));
    assert_eq!(api.calls(), ["PUT 404", "GET 404", "POST 201"]);
}

#[tokio::test(start_paused = true)]
async fn what_others_have_written_into_it_is_kept() {
    let api = FakeApi::default();
    api.put(&json!({"holderIdentity": "", "leaseTransitions": 4, "preferredHolder": "someone"}));
    let (leads, _) = leader(&api).await;
    let spec = api.spec().unwrap();
    assert_eq!((&spec["leaseTransitions"], &spec["preferredHolder"]), (&json!(5), &json!("someone")));
    drop(leads);
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_can_never_be_written_is_an_error() {
    for faults in [[Fault::None, Fault::Status(404)], [Fault::None, Fault::Status(422)]] {
        let api = FakeApi::default();
        api.next(&faults);
        let (mut keeper, _) = keeper(&api, "me_1");
        let error = keeper.win().await.unwrap_err();
        assert_eq!(error.category(), "lease_refused");
        let said = error.to_string();
        assert!(
            said.contains("system/reelpool-operator cannot be written") && !said.contains('\n'),
            "{said}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_permission_that_is_missing_is_waited_for() {
    let api = FakeApi::default();
    api.next(&[Fault::Status(403); 20]);
    let (mut keeper, _) = keeper(&api, "me_1");
    keeper.win().await.unwrap();
    assert_eq!(api.calls().len(), 22);
}

#[tokio::test(start_paused = true)]
async fn a_leadership_that_is_dropped_is_not_renewed() {
    let api = FakeApi::default();
    let (leads, _) = leader(&api).await;
    let (validity, lost) = (leads.validity(), leads.lost());
    drop(leads);
    assert_eq!(lost.await.category(), "lease_ended");
    assert!(!validity.is_valid_now());
    api.calls();
    sleep(Duration::from_secs(30)).await;
    assert!(api.calls().is_empty());
    assert_eq!(api.holder().as_deref(), Some("me_1"));
}

#[tokio::test(start_paused = true)]
async fn of_three_one_leads_and_each_takes_over_in_turn() {
    let api = FakeApi::default();
    let mut tasks = Vec::new();
    for index in 1..=3 {
        let api = api.clone();
        tasks.push(tokio::spawn(async move {
            let (mut keeper, _) = keeper(&api, &format!("candidate_{index}"));
            keeper.win().await.unwrap();
            let leads = keeper.lead();
            for _ in 0..30 {
                assert!(leads.is_valid_now());
                assert_eq!(api.holder(), Some(format!("candidate_{index}")));
                sleep(Duration::from_secs(1)).await;
            }
            leads.release().await;
        }));
    }
    let began = Instant::now();
    for task in tasks {
        task.await.unwrap();
    }
    assert!((90..100).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
}

#[test]
fn two_processes_of_one_name_are_two() {
    let (first, second) = (unique_identity("pod"), unique_identity("pod"));
    assert!(first.starts_with("pod_") && first != second);
}
