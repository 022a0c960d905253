//! Each call of a message's life with each fault.

use crate::script::Fault::{
    Dawdles, Fails, FailsAlways, Hangs, IsOvertaken, LosesItsAnswer, LosesTheHold, Refuses,
};
use crate::script::Method::{
    self, Beat, Check, Claim, DeadLetter, Delete, Fetch, Identify, Later, ListClaims, Publish, PutIfAbsent,
    Read, ReadClaim, Receive, RemoveAllBut, Renew, Unclaim,
};
use crate::script::Rule;
use crate::{Body, End, Scenario, play};

/// A fault after which the message's jobs are done all the same.
fn done(rules: impl IntoIterator<Item = Rule>) -> Scenario {
    Scenario::new(rules, End::Committed)
}

/// Faults of a step before the commit, in its `nth` call.
fn step(method: Method, nth: usize, verdict: &'static str) -> Vec<Scenario> {
    vec![
        done([method.nth(nth, Fails)]),
        Scenario::new([method.nth(nth, FailsAlways)], End::Hopeless("store_unavailable")).until_given_up(2),
        Scenario::new([method.nth(nth, Refuses)], End::Dead(verdict)),
        done([method.nth(nth, Hangs)]).short(),
        done([method.nth(nth, LosesTheHold)]).short(),
        done([method.nth(nth, IsOvertaken)]),
    ]
}

/// Faults of a call that the job can do without.
fn spare(method: Method, nth: usize) -> Vec<Scenario> {
    [Fails, FailsAlways, Refuses, LosesItsAnswer, IsOvertaken]
        .map(|fault| done([method.nth(nth, fault)]))
        .into_iter()
        .chain([Hangs, LosesTheHold].map(|fault| done([method.nth(nth, fault)]).short()))
        .collect()
}

/// Faults of what settles a message after `cause`; it ends as `end`.
fn settling(method: Method, cause: Option<Rule>, body: Body, end: End) -> Vec<Scenario> {
    // All but the plain failures are mended by the end of the visibility timeout only.
    [Fails, Refuses, FailsAlways, LosesItsAnswer, LosesTheHold, IsOvertaken, Hangs]
        .map(|fault| Scenario::new(cause.into_iter().chain([method.first(fault)]), end).short().of(body))
        .to_vec()
}

#[test]
fn a_receive_or_a_heartbeat_that_goes_wrong() {
    let receives = vec![
        done([Receive.first(Fails)]),
        done([Receive.first(Fails), Receive.nth(2, Fails)]),
        done([Receive.first(Refuses)]),
        done([Receive.first(Hangs)]),
        done([Receive.first(LosesItsAnswer)]).short(),
        done([Receive.first(LosesTheHold)]).short(),
        done([Receive.first(IsOvertaken)]),
    ];
    let faults = [Fails, FailsAlways, Refuses, Hangs, LosesTheHold, LosesItsAnswer];
    let beats = faults.map(|fault| done([Fetch.first(Dawdles), Beat.first(fault)]).short());
    play(receives.into_iter().chain(beats).collect());
}

#[test]
fn a_step_before_the_commit_that_goes_wrong() {
    let identify =
        step(Identify, 1, "master_not_found").into_iter().map(|scenario| scenario.of(Body::Untagged));
    let others = [
        step(Read, 1, "bad_key"),
        // The look after the claim was taken.
        step(Read, 2, "bad_key"),
        step(Fetch, 1, "master_not_found"),
        step(Publish, 2, "bad_key"),
        step(Check, 1, "master_replaced"),
        // What only reads loses nothing with its answer.
        [Fetch, Publish].map(|method| done([method.first(LosesItsAnswer)])).to_vec(),
        vec![done([Publish.first(Hangs)]).short(), done([Publish.first(IsOvertaken)])],
    ];
    play(identify.chain(others.concat()).collect());
}

#[test]
fn a_commit_that_goes_wrong() {
    let in_doubt = |fault| done([PutIfAbsent.first(LosesItsAnswer), Read.nth(3, fault)]);
    play(vec![
        done([PutIfAbsent.first(Fails)]),
        // Each attempt asks for seven seconds.
        Scenario::new([PutIfAbsent.first(FailsAlways)], End::InDoubt("store_unavailable")).until_given_up(1),
        Scenario::new([PutIfAbsent.first(Refuses)], End::Dead("bad_key")),
        Scenario::new(
            [PutIfAbsent.first(LosesItsAnswer), PutIfAbsent.nth(2, Refuses)],
            End::InDoubt("bad_key"),
        ),
        done([PutIfAbsent.first(LosesItsAnswer)]),
        done([PutIfAbsent.first(Hangs)]).short(),
        done([PutIfAbsent.first(LosesTheHold)]).short(),
        done([PutIfAbsent.first(IsOvertaken)]),
        in_doubt(Fails),
        in_doubt(FailsAlways),
        in_doubt(LosesTheHold).short(),
        in_doubt(IsOvertaken),
    ]);
}

#[test]
fn a_clean_up_that_goes_wrong() {
    play([spare(Read, 3), spare(RemoveAllBut, 1)].concat());
}

#[test]
fn a_claim_that_goes_wrong_costs_nothing_but_thrift() {
    // Whether it was taken is asked only where that is in doubt.
    let in_doubt = spare(ReadClaim, 1).into_iter().map(|mut scenario| {
        scenario.rules.push(Claim.first(LosesItsAnswer));
        scenario
    });
    play([spare(ListClaims, 1), spare(Claim, 1)].concat().into_iter().chain(in_doubt).collect());
}

#[test]
fn a_renewal_that_goes_wrong_costs_nothing_but_thrift() {
    let renewal = |fault| done([Fetch.first(Dawdles), Renew.first(fault)]).short();
    let faults = [Fails, FailsAlways, Refuses, Hangs, LosesTheHold, LosesItsAnswer];
    play(faults.map(renewal).to_vec());
}

#[test]
fn a_claim_that_cannot_be_released_lapses() {
    let failed = |rule| done([Fetch.first(Fails), rule]).short();
    let faults = [Fails, Refuses, LosesItsAnswer, IsOvertaken, Hangs];
    let releases = [ListClaims.nth(2, Fails), ReadClaim.first(Fails)].map(failed);
    play(faults.map(|fault| failed(Unclaim.first(fault))).into_iter().chain(releases).collect());
}

#[test]
fn what_a_failed_attempt_leaves_is_removed_by_itself_or_by_the_next() {
    let failed = |fault| done([Publish.nth(2, Fails), RemoveAllBut.first(fault)]);
    // Not one that fails always: the next attempt may be the same worker's.
    let passing = [Fails, Refuses, LosesItsAnswer, IsOvertaken].map(failed);
    let lost = [Hangs, LosesTheHold].map(|fault| failed(fault).short());
    play(passing.into_iter().chain(lost).collect());
}

#[test]
fn a_settlement_that_goes_wrong() {
    let failed = Fetch.first(Fails);
    play(
        [
            settling(Delete, None, Body::Video, End::Committed),
            settling(Later, Some(failed), Body::Video, End::Committed),
            settling(DeadLetter, None, Body::Text, End::Hopeless("not_media")),
        ]
        .concat(),
    );
}

#[test]
fn a_dead_letter_whose_answer_is_lost_is_told_all_the_same() {
    let answer_lost = DeadLetter.first(LosesItsAnswer);
    let mut last_try = Scenario::new([Fetch.first(Fails), answer_lost], End::Dead("store_unavailable"));
    last_try.setup.max_attempts = 1;
    play(vec![last_try, Scenario::new([answer_lost], End::Hopeless("unreadable_message")).of(Body::Garbage)]);
}
