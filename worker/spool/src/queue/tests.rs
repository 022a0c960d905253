use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use super::*;

const MINUTE: Duration = Duration::from_mins(1);
const NOW: Duration = Duration::ZERO;

/// A queue in memory and the hand of its clock, in milliseconds.
pub(super) fn queue(max_receives: u32) -> (Queue, Arc<AtomicI64>) {
    let hand = Arc::new(AtomicI64::new(1_000_000));
    let clock = Clock(Arc::new({
        let hand = Arc::clone(&hand);
        move || hand.load(Ordering::SeqCst)
    }));
    (Queue::in_memory(QueueOptions { max_receives }, clock).unwrap(), hand)
}

fn take(queue: &Queue) -> Received {
    queue.receive(MINUTE).unwrap().expect("a message is waiting")
}

fn is_hold_lost(result: &Result<(), SpoolError>) -> bool {
    matches!(result, Err(SpoolError::HoldLost { .. }))
}

fn counts(waiting: u64, in_flight: u64, delayed: u64, dead: u64) -> Counts {
    Counts { waiting, in_flight, delayed, dead }
}

#[test]
fn a_message_goes_through_its_life() {
    let (queue, _) = queue(5);
    let id = queue.send("one", NOW).unwrap();
    queue.send("two", NOW).unwrap();
    assert_eq!(queue.counts().unwrap(), counts(2, 0, 0, 0));
    let one = take(&queue);
    assert_eq!((&one.id, one.body.as_str(), one.receive_count, one.sent_at_ms), (&id, "one", 1, 1_000_000));
    assert_eq!(one.receipt.message(), &id);
    assert_eq!(take(&queue).body, "two");
    assert_eq!(queue.receive(MINUTE).unwrap(), None);
    assert_eq!(queue.counts().unwrap(), counts(0, 2, 0, 0));
    queue.delete(&one.receipt).unwrap();
    queue.delete(&one.receipt).unwrap();
    assert_eq!(queue.counts().unwrap(), counts(0, 1, 0, 0));
}

#[test]
fn visibility_that_runs_out_shows_the_message_again() {
    let (queue, hand) = queue(5);
    queue.send("m", NOW).unwrap();
    let first = take(&queue);
    hand.fetch_add(59_999, Ordering::SeqCst);
    assert_eq!(queue.receive(MINUTE).unwrap(), None);
    queue.extend(&first.receipt, MINUTE).unwrap();
    hand.fetch_add(59_999, Ordering::SeqCst);
    assert_eq!(queue.receive(MINUTE).unwrap(), None);
    hand.fetch_add(1, Ordering::SeqCst);
    assert_eq!(queue.counts().unwrap(), counts(1, 0, 0, 0));
    assert!(is_hold_lost(&queue.extend(&first.receipt, MINUTE)), "nobody has it, but it is no longer held");
    let second = take(&queue);
    assert_eq!((second.receive_count, &second.id), (2, &first.id));
    assert!(is_hold_lost(&queue.extend(&first.receipt, MINUTE)));
    assert!(is_hold_lost(&queue.retry_after(&first.receipt, NOW)));
    assert!(is_hold_lost(&queue.delete(&first.receipt)));
    assert!(is_hold_lost(&queue.dead_letter(&first.receipt, "r", "d")));
    queue.extend(&second.receipt, MINUTE).unwrap();
}

#[test]
fn the_newest_receipt_deletes_even_after_its_visibility() {
    let (queue, hand) = queue(5);
    queue.send("m", NOW).unwrap();
    let held = take(&queue);
    hand.fetch_add(120_000, Ordering::SeqCst);
    queue.delete(&held.receipt).unwrap();
    assert_eq!(queue.counts().unwrap(), Counts::default());
}

#[test]
fn delays_are_delayed_and_retries_are_in_flight() {
    let (queue, hand) = queue(5);
    queue.send("later", Duration::from_secs(10)).unwrap();
    assert_eq!(queue.counts().unwrap(), counts(0, 0, 1, 0));
    assert_eq!(queue.delayed_due_within(Duration::from_millis(9_999)).unwrap(), 0);
    assert_eq!(queue.delayed_due_within(Duration::from_secs(10)).unwrap(), 1);
    assert_eq!(queue.delayed_due_within(Duration::MAX).unwrap(), 1);
    hand.fetch_add(10_000, Ordering::SeqCst);
    let held = take(&queue);
    queue.retry_after(&held.receipt, Duration::from_secs(5)).unwrap();
    assert_eq!(queue.counts().unwrap(), counts(0, 1, 0, 0));
    assert_eq!(queue.delayed_due_within(MINUTE).unwrap(), 0);
    hand.fetch_add(5_000, Ordering::SeqCst);
    let again = take(&queue);
    queue.retry_after(&again.receipt, NOW).unwrap();
    assert_eq!(queue.counts().unwrap(), counts(1, 0, 0, 0));
    assert_eq!(take(&queue).receive_count, 3);
}

#[test]
fn a_message_received_too_often_dies_and_the_next_one_comes() {
    let (queue, _) = queue(2);
    let poison = queue.send("poison", NOW).unwrap();
    queue.send("good", NOW).unwrap();
    for _ in 0..2 {
        let held = take(&queue);
        assert_eq!(held.id, poison);
        queue.retry_after(&held.receipt, NOW).unwrap();
    }
    assert_eq!(take(&queue).body, "good");
    let dead = queue.dead_letters(10).unwrap();
    assert_eq!(dead.len(), 1);
    assert_eq!(
        (&dead[0].id, dead[0].reason.as_str(), dead[0].receive_count),
        (&poison, RECEIVE_COUNT_EXCEEDED, 2)
    );
    assert_eq!(dead[0].dead_at_ms, 1_000_000);
}

#[test]
fn burying_and_redriving() {
    let (queue, _) = queue(2);
    for body in ["a", "b", "c"] {
        queue.send(body, NOW).unwrap();
        let held = take(&queue);
        queue.dead_letter(&held.receipt, "no_video", "it is a text file").unwrap();
        assert!(is_hold_lost(&queue.delete(&held.receipt)), "a dead letter is not deleted by its old holder");
        assert!(is_hold_lost(&queue.dead_letter(&held.receipt, "x", "y")));
    }
    let dead = queue.dead_letters(2).unwrap();
    assert_eq!(dead.iter().map(|d| d.body.as_str()).collect::<Vec<_>>(), ["c", "b"], "newest first");
    assert_eq!((dead[0].reason.as_str(), dead[0].detail.as_str()), ("no_video", "it is a text file"));
    assert_eq!(queue.redrive(Redrive::One(&dead[1].id)).unwrap(), 1);
    assert_eq!(queue.redrive(Redrive::One(&dead[1].id)).unwrap(), 0);
    assert_eq!(queue.counts().unwrap(), counts(1, 0, 0, 2));
    assert_eq!(queue.redrive(Redrive::All).unwrap(), 2);
    let bodies: Vec<_> = (0..3).map(|_| take(&queue)).map(|m| (m.body, m.receive_count)).collect();
    assert_eq!(bodies, [("b".to_owned(), 1), ("a".to_owned(), 1), ("c".to_owned(), 1)]);
}

#[test]
fn an_identity_is_sent_once_for_ever() {
    let (queue, _) = queue(5);
    assert!(matches!(queue.send_once("k", "m", NOW).unwrap(), Sent::New(_)));
    assert_eq!(queue.send_once("k", "m", NOW).unwrap(), Sent::Already);
    queue.delete(&take(&queue).receipt).unwrap();
    assert_eq!(queue.send_once("k", "m", NOW).unwrap(), Sent::Already);
    assert_eq!(queue.counts().unwrap(), Counts::default());
    assert!(queue.forget("k").unwrap());
    assert!(!queue.forget("k").unwrap());
    assert!(matches!(queue.send_once("k", "m", NOW).unwrap(), Sent::New(_)));
}

#[test]
fn a_clock_set_back_lets_holds_and_delays_run_anew() {
    let (queue, hand) = queue(5);
    queue.send("held", NOW).unwrap();
    let held = take(&queue);
    queue.send("delayed", Duration::from_secs(10)).unwrap();
    queue.send("waiting", NOW).unwrap();
    hand.fetch_sub(900_000, Ordering::SeqCst);
    assert_eq!(take(&queue).body, "waiting");
    queue.extend(&held.receipt, MINUTE).unwrap();
    assert_eq!(queue.counts().unwrap(), counts(0, 2, 1, 0));
    hand.fetch_add(10_000, Ordering::SeqCst);
    assert_eq!(take(&queue).body, "delayed");
    hand.fetch_add(50_000, Ordering::SeqCst);
    assert_eq!(take(&queue).body, "held");
}

#[test]
fn a_clock_set_forth_offers_what_is_held_again_and_hides_nothing_when_it_is_set_back() {
    let (queue, hand) = queue(5);
    queue.send("held", NOW).unwrap();
    let held = take(&queue);
    hand.fetch_add(900_000, Ordering::SeqCst);
    // Someone else has it, and the first holder notices at its next beat.
    let again = take(&queue);
    assert_eq!((again.body.as_str(), again.receive_count), ("held", 2));
    assert!(is_hold_lost(&queue.extend(&held.receipt, MINUTE)));
    hand.fetch_sub(900_000, Ordering::SeqCst);
    assert_eq!(queue.receive(MINUTE).unwrap(), None, "it is held as before");
    queue.extend(&again.receipt, MINUTE).unwrap();
    hand.fetch_add(61_000, Ordering::SeqCst);
    assert_eq!(take(&queue).body, "held");
}

#[test]
fn the_longest_durations_do_not_overflow() {
    let (queue, _) = queue(5);
    queue.send("never", Duration::MAX).unwrap();
    queue.send("m", NOW).unwrap();
    let held = queue.receive(Duration::MAX).unwrap().unwrap();
    queue.extend(&held.receipt, Duration::MAX).unwrap();
    assert_eq!(queue.counts().unwrap(), counts(0, 1, 1, 0));
}

#[test]
fn receipts_are_text_and_back() {
    let (queue, _) = queue(5);
    queue.send("m", NOW).unwrap();
    let held = take(&queue);
    let again: Receipt = held.receipt.to_string().parse().unwrap();
    assert_eq!(again, held.receipt);
    queue.delete(&again).unwrap();
    for text in ["", ".", "a.", ".b", "ab"] {
        assert_eq!(text.parse::<Receipt>(), Err(ReceiptError), "{text}");
    }
    queue.delete(&"none.none".parse().unwrap()).unwrap();
    assert!(is_hold_lost(&queue.extend(&"none.none".parse().unwrap(), MINUTE)));
}

#[test]
fn too_long_a_body_is_refused() {
    let (queue, _) = queue(5);
    let body = "x".repeat(MAX_BODY_BYTES + 1);
    assert!(matches!(queue.send(&body, NOW), Err(SpoolError::BodyTooLong { .. })));
    assert!(matches!(queue.send_once("k", &body, NOW), Err(SpoolError::BodyTooLong { .. })));
    queue.send(&body[1..], NOW).unwrap();
    assert_eq!(take(&queue).body.len(), MAX_BODY_BYTES);
}

#[test]
fn a_full_disk_is_said_so_and_leaves_the_queue_whole() {
    let (queue, _) = queue(5);
    queue.send("before", NOW).unwrap();
    queue.connection().execute_batch("PRAGMA max_page_count = 1").unwrap();
    let error = queue.send(&"x".repeat(200_000), NOW).unwrap_err();
    assert!(matches!(error, SpoolError::NoSpace { .. }), "{error}");
    assert_eq!(queue.counts().unwrap(), counts(1, 0, 0, 0));
    queue.connection().execute_batch("PRAGMA max_page_count = 100000").unwrap();
    queue.send(&"x".repeat(200_000), NOW).unwrap();
    assert_eq!(queue.integrity_check().unwrap(), Vec::<String>::new());
}

#[test]
fn what_was_written_is_there_after_opening_again() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("deep/queue");
    assert!(matches!(
        Queue::open_existing(&folder, QueueOptions::default()),
        Err(SpoolError::NoQueue { .. })
    ));
    let queue = Queue::open(&folder, QueueOptions::default()).unwrap();
    assert_eq!(queue.path(), folder.join(FILE_NAME));
    queue.send("m", NOW).unwrap();
    let mode: String = queue.connection().query_row("PRAGMA journal_mode", [], |row| row.get(0)).unwrap();
    let sync: i64 = queue.connection().query_row("PRAGMA synchronous", [], |row| row.get(0)).unwrap();
    assert_eq!((mode.as_str(), sync), ("wal", 2));
    drop(queue);
    let queue = Queue::open_existing(&folder, QueueOptions::default()).unwrap();
    assert_eq!(take(&queue).body, "m");
    assert_eq!(queue.integrity_check().unwrap(), Vec::<String>::new());
}

#[test]
fn databases_of_others_are_refused_untouched() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(FILE_NAME);
    let open = || Queue::open(dir.path(), QueueOptions::default());
    drop(open().unwrap());
    let raw = || Connection::open(&path).unwrap();
    raw().pragma_update(None, "user_version", 99).unwrap();
    let error = open().unwrap_err();
    assert!(matches!(error, SpoolError::NewerSchema { found: 99, supported: 1, .. }), "{error}");
    std::fs::remove_file(&path).unwrap();
    raw().execute_batch("CREATE TABLE cats (name TEXT)").unwrap();
    let error = open().unwrap_err();
    assert!(matches!(error, SpoolError::NotAQueue { .. }), "{error}");
    std::fs::write(&path, "A text file, and a long one, so that it cannot be a database.".repeat(100))
        .unwrap();
    let before = std::fs::read(&path).unwrap();
    let error = open().unwrap_err();
    assert!(matches!(error, SpoolError::NotAQueue { .. }), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[test]
fn damage_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let queue = Queue::open(dir.path(), QueueOptions::default()).unwrap();
    for _ in 0..50 {
        queue.send(&"x".repeat(1000), NOW).unwrap();
    }
    let path = queue.path().to_owned();
    drop(queue);
    let mut bytes = std::fs::read(&path).unwrap();
    for byte in bytes.iter_mut().skip(5 * 4096).take(8 * 4096) {
        *byte = 0xa5;
    }
    std::fs::write(&path, bytes).unwrap();
    match Queue::open(dir.path(), QueueOptions::default()).and_then(|queue| queue.integrity_check()) {
        Ok(problems) => assert!(!problems.is_empty()),
        Err(error) => assert!(matches!(error, SpoolError::Damaged { .. }), "{error}"),
    }
}

#[test]
fn waiting_ends_with_a_message_a_timeout_or_a_cancel() {
    let (queue, _) = queue(5);
    let never = || false;
    let start = Instant::now();
    assert_eq!(queue.receive_wait(MINUTE, Duration::from_millis(120), never).unwrap(), None);
    assert!(start.elapsed() >= Duration::from_millis(120));
    assert_eq!(queue.receive_wait(MINUTE, NOW, never).unwrap(), None, "no wait is one look");

    let cancelled = AtomicBool::new(false);
    thread::scope(|scope| {
        let waiter =
            scope.spawn(|| queue.receive_wait(MINUTE, MINUTE, || cancelled.load(Ordering::SeqCst)).unwrap());
        let other = scope.spawn(|| queue.receive_wait(MINUTE, MINUTE, never).unwrap());
        cancelled.store(true, Ordering::SeqCst);
        assert_eq!(waiter.join().unwrap(), None);
        queue.send("m", NOW).unwrap();
        assert_eq!(other.join().unwrap().unwrap().body, "m");
    });

    queue.send("n", NOW).unwrap();
    assert_eq!(queue.receive_wait(MINUTE, MINUTE, || true).unwrap(), None, "a cancelled wait takes nothing");
    assert_eq!(queue.counts().unwrap(), counts(1, 1, 0, 0));
}
