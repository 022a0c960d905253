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
