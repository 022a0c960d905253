use super::*;

fn transient() -> Fact {
    Fact::Failed(Failure::transient("store_unavailable", "503"))
}

fn permanent() -> Fact {
    Fact::Failed(Failure::permanent("no_video", "there is no picture"))
}

/// Another worker has the job for another while.
const ELSEWHERE: Fact = Fact::ClaimedElsewhere(Duration::from_secs(90));

/// What can come of an action.
fn facts(action: &Action) -> Vec<Fact> {
    let mut facts = vec![Fact::Done, transient(), permanent(), Fact::HoldLost, Fact::Stopped];
    match action {
        Action::Parse => {
            facts.remove(0);
            facts.extend((0..=3).map(|jobs| Fact::Parsed { jobs }));
        }
        Action::Claim { regardless, .. } => {
            facts.push(Fact::FoundDone);
            if !regardless {
                facts.push(ELSEWHERE);
            }
        }
        Action::Commit => facts.push(Fact::CommitLost),
        _ => {}
    }
    facts
}

/// What was asked for and what came of it, in order.
type Path = [(Action, Fact)];

/// Follows every order of facts; calls `end` with the actions and facts of each.
fn every_life(receives: u32, end: &mut dyn FnMut(&Path)) -> usize {
    fn follow(path: &mut Vec<(Action, Fact)>, receives: u32, end: &mut dyn FnMut(&Path)) -> usize {
        assert!(path.len() < 64, "a life must end: {path:?}");
        let mut life = Life::new(receives, 3);
        let alive = path.iter().all(|(action, fact)| {
            assert_eq!(life.action(), action);
            life.advance(fact.clone())
        });
        if !alive {
            end(path);
            return 1;
        }
        let action = life.action().clone();
        let mut lives = 0;
        for fact in facts(&action) {
            path.push((action.clone(), fact));
            lives += follow(path, receives, end);
            path.pop();
        }
        lives
    }
    follow(&mut Vec::new(), receives, end)
}

#[test]
fn the_plain_life() {
    let mut life = Life::new(1, 20);
    let mut seen = vec![life.action().clone()];
    while life.advance(match life.action() {
        Action::Parse => Fact::Parsed { jobs: 1 },
        _ => Fact::Done,
    }) {
        seen.push(life.action().clone());
    }
    let expected = [
        Action::Parse,
        Action::Claim { job: 0, regardless: false },
        Action::Fetch,
        Action::Probe,
        Action::Transcode,
        Action::Publish,
        Action::Commit,
        Action::CleanUp,
        Action::Delete,
    ];
    assert_eq!(seen, expected);
}

#[test]
fn a_message_is_deleted_only_when_every_job_is_committed_or_was_found_so() {
    let mut deleted = 0;
    let lives = every_life(1, &mut |path| {
        if !path.iter().any(|(action, _)| *action == Action::Delete) {
            return;
        }
        deleted += 1;
        let jobs = path.iter().find_map(|(_, fact)| match fact {
            Fact::Parsed { jobs } => Some(*jobs),
            _ => None,
        });
        let finished = path.iter().filter(|(action, fact)| {
            matches!(
                (action, fact),
                (Action::Claim { .. }, Fact::FoundDone) | (Action::Commit, Fact::Done | Fact::CommitLost)
            )
        });
        assert_eq!(jobs, Some(finished.count()), "{path:?}");
    });
    assert!(deleted > 100 && lives > deleted, "{deleted} of {lives}");
}

#[test]
fn every_life_settles_its_message_exactly_once() {
    every_life(1, &mut |path| {
        let settled: Vec<_> = path.iter().filter(|(action, _)| action.settles()).collect();
        match settled.as_slice() {
            // A dead letter that could not be written is tried again later: nothing is lost.
            [_] | [(Action::DeadLetter(_), Fact::Failed(_)), (Action::TryAgain(_), _)] => {}
            other => panic!("settled {other:?} in {path:?}"),
        }
    });
}

#[test]
fn a_permanent_failure_ends_in_the_dead_letter_queue_with_its_reason_and_the_other_jobs_are_done() {
    let mut life = Life::new(1, 3);
    let mut claimed = Vec::new();
    let mut fact = Fact::Parsed { jobs: 2 };
    while life.advance(fact) {
        fact = match life.action() {
            Action::Claim { job, .. } => {
                claimed.push(*job);
                Fact::Done
            }
            Action::Probe if claimed == [0] => permanent(),
            Action::DeadLetter(failure) => {
                assert_eq!(failure.reason, "no_video");
                Fact::Done
            }
            Action::Delete => panic!("a failed job's message must not be deleted"),
            _ => Fact::Done,
        };
    }
    assert_eq!(claimed, [0, 1]);
    assert!(matches!(life.action(), Action::DeadLetter(_)));
}

#[test]
fn a_message_that_kills_its_workers_is_given_up() {
    assert_eq!(Life::new(15, 3).action(), &Action::Parse);
    let mut life = Life::new(16, 3);
    let Action::DeadLetter(failure) = life.action() else { panic!("{:?}", life.action()) };
    assert_eq!(failure.reason, "receive_count_exceeded");
    assert!(!life.advance(Fact::Done));
}

#[test]
fn the_last_attempt_gives_up_with_the_reason_of_its_failure() {
    let mut life = Life::new(3, 3);
    life.advance(Fact::Parsed { jobs: 1 });
    life.advance(transient());
    let Action::DeadLetter(failure) = life.action() else { panic!("{:?}", life.action()) };
    assert_eq!(failure.reason, "store_unavailable");
    assert_eq!(failure.detail, "given up after 3 attempts: 503");
}

#[test]
fn a_lost_hold_touches_the_message_no_more() {
    every_life(1, &mut |path| {
        if let Some(lost) = path.iter().position(|(_, fact)| *fact == Fact::HoldLost) {
            let after: Vec<_> = path[lost + 1..].iter().map(|(action, _)| action).collect();
            assert!(after.is_empty() || after == [&Action::LetGo], "{path:?}");
        }
    });
}

#[test]
fn a_shutdown_hands_back_all_that_is_not_committed() {
    every_life(1, &mut |path| {
        if let Some(stop) = path.iter().position(|(_, fact)| *fact == Fact::Stopped) {
            let (stopped_in, _) = &path[stop];
            let next = path.get(stop + 1).map(|(action, _)| action);
            if matches!(stopped_in, Action::Parse | Action::Claim { .. } | Action::Transcode | Action::Commit)
            {
                assert_eq!(next, Some(&Action::HandBack), "{path:?}");
            }
        }
    });
}

#[test]
fn a_job_that_another_worker_has_is_waited_for_and_the_others_are_done() {
    let mut life = Life::new(1, 20);
    let mut claimed = Vec::new();
    let mut fact = Fact::Parsed { jobs: 3 };
    while life.advance(fact) {
        fact = match life.action() {
            Action::Claim { job, regardless: false } => {
                claimed.push(*job);
                if *job == 1 { ELSEWHERE } else { Fact::Done }
            }
            // The message is neither deleted nor given up while a job of it is not done.
            Action::Probe if claimed == [0] => permanent(),
            Action::Delete | Action::DeadLetter(_) => panic!("{:?}", life.action()),
            _ => Fact::Done,
        };
    }
    assert_eq!(claimed, [0, 1, 2]);
    assert_eq!(life.action(), &Action::Wait(Duration::from_secs(90)));
}

#[test]
fn nothing_is_waited_for_but_another_workers_job_and_that_always() {
    let mut waited = 0;
    every_life(1, &mut |path| {
        let waits = path.iter().any(|(action, _)| matches!(action, Action::Wait(_)));
        let elsewhere = path.iter().any(|(_, fact)| *fact == ELSEWHERE);
        waited += usize::from(waits);
        assert!(!waits || elsewhere, "{path:?}");
        let gone = path.iter().any(|(action, _)| matches!(action, Action::Delete | Action::DeadLetter(_)));
        assert!(!(elsewhere && gone), "the message is gone, and a job of it is another worker's: {path:?}");
    });
    assert!(waited > 100, "{waited}");
}

#[test]
fn the_last_receives_are_for_work() {
    let waits = |receives, max_attempts| {
        let mut life = Life::new(receives, max_attempts);
        life.advance(Fact::Parsed { jobs: 1 });
        matches!(life.action(), Action::Claim { regardless: false, .. })
    };
    for (max_attempts, last_wait) in [(1, 0), (2, 0), (3, 1), (5, 3), (20, 18)] {
        for receives in 1..=max_attempts + 2 {
            assert_eq!(waits(receives, max_attempts), receives <= last_wait, "{receives} of {max_attempts}");
        }
    }
}
