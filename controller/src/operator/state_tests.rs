use super::*;

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

#[test]
fn who_changes_a_deployment_again_and_again_is_not_answered_each_time() {
    let at = |secs: i64| Timestamp::from_millis(secs * 1000);
    let mut corrections = Corrections::default();
    for second in 100..110 {
        assert!(corrections.may_be_made(at(second)));
        corrections.made(at(second));
    }
    assert!(!corrections.may_be_made(at(110)));
    assert!(corrections.may_be_made(at(139)));
    corrections.made(at(139));
    assert!(!corrections.may_be_made(at(140)));
    // After a minute of peace it begins anew.
    corrections.made(at(200));
    assert!(corrections.may_be_made(at(201)));
}
