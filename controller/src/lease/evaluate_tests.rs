use super::*;

const ME: &str = "me_1";
const OTHER: &str = "other_2";

fn at(seconds: u64) -> Moment {
    Moment::from_start(Duration::from_secs(seconds))
}

fn lease(version: &str, holder: Option<&str>) -> LeaseView {
    LeaseView {
        version: version.to_owned(),
        holder: holder.map(str::to_owned),
        duration: Some(Duration::from_secs(15)),
        transitions: 3,
    }
}

fn seen(version: Option<&str>, at: Moment) -> Observed {
    Observed { version: version.map(str::to_owned), wait: Duration::from_secs(15), at }
}

fn candidate() -> Candidate {
    Candidate::new(ME.to_owned(), Timing::default())
}

#[test]
fn what_is_done_about_a_lease() {
    let free = lease("1", None);
    let mine = lease("1", Some(ME));
    let others = lease("1", Some(OTHER));
    let observed = seen(Some("1"), at(100));
    let gone = seen(None, at(100));
    let take = |transitions| Step::Acquire { transitions };
    let lost = |to: Option<&str>| Step::Lost { to: to.map(str::to_owned) };
    let wait = Step::Wait { until: at(115) };
    for (what, lease, observed, leads_until, now, step) in [
        ("there never was one", None, None, None, 100, take(0)),
        ("free", Some(&free), Some(&observed), None, 100, take(4)),
        ("another's, just seen", Some(&others), Some(&observed), None, 100, wait.clone()),
        ("another's, to the last moment", Some(&others), Some(&observed), None, 114, wait.clone()),
        ("another's, silent for the whole time", Some(&others), Some(&observed), None, 115, take(4)),
        ("another's that was deleted", None, Some(&gone), None, 114, wait),
        ("another's that was deleted long ago", None, Some(&gone), None, 115, take(0)),
        ("mine, though I never heard so", Some(&mine), Some(&observed), None, 100, Step::Renew),
        ("mine", Some(&mine), Some(&observed), Some(at(110)), 109, Step::Renew),
        ("mine, but too late", Some(&mine), Some(&observed), Some(at(110)), 110, lost(None)),
        ("mine, now another's", Some(&others), Some(&observed), Some(at(110)), 105, lost(Some(OTHER))),
        ("mine, deleted", None, Some(&gone), Some(at(110)), 105, take(0)),
        ("mine, cleared by hand", Some(&free), Some(&observed), Some(at(110)), 105, take(4)),
        ("mine, deleted, and too late", None, Some(&gone), Some(at(110)), 200, lost(None)),
    ] {
        assert_eq!(evaluate(lease, ME, observed, leads_until, at(now)), step, "{what}");
    }
}

#[test]
fn the_wait_begins_with_each_change_that_is_seen_and_not_with_each_look() {
    let mut me = candidate();
    let (first, second) = (lease("1", Some(OTHER)), lease("2", Some(OTHER)));
    assert_eq!(me.look(Some(&first), at(100)), Step::Wait { until: at(115) });
    assert_eq!(me.look(Some(&first), at(110)), Step::Wait { until: at(115) });
    assert_eq!(me.look(Some(&second), at(114)), Step::Wait { until: at(129) });
    assert_eq!(me.look(Some(&second), at(129)), Step::Acquire { transitions: 4 });
    // It was deleted meanwhile: that is a change too, and its holder may put it back.
    assert_eq!(me.look(None, at(130)), Step::Wait { until: at(145) });
    assert_eq!(me.look(None, at(144)), Step::Wait { until: at(145) });
    assert_eq!(me.look(None, at(145)), Step::Acquire { transitions: 0 });
}

#[test]
fn a_released_lease_is_taken_at_once() {
    let mut me = candidate();
    assert_eq!(me.look(Some(&lease("1", Some(OTHER))), at(100)), Step::Wait { until: at(115) });
    assert_eq!(me.look(Some(&lease("2", None)), at(101)), Step::Acquire { transitions: 4 });
    // Deleted: another may have taken it in between, unseen.
    assert_eq!(me.look(None, at(102)), Step::Wait { until: at(117) });
}

#[test]
fn a_holder_with_a_longer_lease_is_given_its_time() {
    let mut me = candidate();
    let mut others = lease("1", Some(OTHER));
    others.duration = Some(Duration::from_secs(60));
    assert_eq!(me.look(Some(&others), at(100)), Step::Wait { until: at(160) });
    let mut others = lease("2", Some(OTHER));
    others.duration = Some(Duration::from_secs(1));
    assert_eq!(me.look(Some(&others), at(101)), Step::Wait { until: at(116) }, "never less than my own");
    let mut others = lease("3", Some(OTHER));
    others.duration = None;
    assert_eq!(me.look(Some(&others), at(102)), Step::Wait { until: at(117) });
}

#[test]
fn its_time_counts_from_before_the_write_was_sent() {
    let mut me = candidate();
    me.look(None, at(100));
    me.wrote(&lease("1", Some(ME)), at(100), at(103));
    assert_eq!(me.leads_until(), Some(at(110)));
    assert!(me.leads(at(109)) && !me.leads(at(110)));
    me.wrote(&lease("2", Some(ME)), at(105), at(105));
    assert_eq!(me.leads_until(), Some(at(115)));
}

#[test]
fn an_answer_that_comes_too_late_makes_nobody_a_leader() {
    let mut me = candidate();
    me.look(None, at(100));
    me.wrote(&lease("1", Some(ME)), at(100), at(110));
    assert_eq!(me.leads_until(), None);
    // It may renew what it has written, and leads then.
    assert_eq!(me.look(Some(&lease("1", Some(ME))), at(111)), Step::Renew);
    me.wrote(&lease("2", Some(ME)), at(111), at(111));
    assert!(me.leads(at(112)));
    // What was lost stays lost, though the write was accepted.
    me.wrote(&lease("3", Some(ME)), at(120), at(121));
    assert!(!me.leads(at(122)));
    assert_eq!(me.look(Some(&lease("3", Some(ME))), at(122)), Step::Lost { to: None });
}

#[test]
fn times_that_do_not_go_together_are_refused() {
    let seconds = Duration::from_secs;
    for (lease, renew, retry, fits) in [
        (15, seconds(10), seconds(2), true),
        (3, seconds(2), Duration::from_millis(250), true),
        (15, seconds(12), seconds(2), true),
        (15, seconds(13), seconds(2), false),
        (15, seconds(15), seconds(2), false),
        (15, seconds(10), seconds(6), false),
        (15, seconds(10), seconds(0), false),
        (15, seconds(0), seconds(0), false),
        (0, seconds(1), Duration::from_millis(250), false),
    ] {
        let timing = Timing::new(lease, renew, retry);
        assert_eq!(timing.is_ok(), fits, "{lease} {renew:?} {retry:?}");
    }
    let default = Timing::default();
    assert_eq!(Timing::new(15, default.renew(), default.retry()).unwrap(), default);
    let error = Timing::new(5, seconds(5), seconds(1)).unwrap_err();
    assert_eq!(error.category(), "lease_timing");
    assert!(error.to_string().contains("a lease of 5 s, renewed within 5s, every 1s"), "{error}");
}
