use super::*;

const START: Duration = Duration::from_secs(100);

fn at(ms: u64) -> Duration {
    START + Duration::from_millis(ms)
}

fn version(etag: &str) -> Version {
    Version { etag: etag.to_owned(), size: 10, ladder: None }
}

fn seen(etag: &str) -> Seen {
    Seen { version: version(etag), unchanged_for: Duration::ZERO }
}

/// Looks at `a`, as the shell does before it asks.
fn complete_after_look(files: &mut Settling, etag: &str, now: Duration) -> bool {
    files.look("a", seen(etag), now);
    files.complete("a", now).is_some()
}

#[test]
fn moved_in_is_complete_at_once_and_only_once() {
    let mut files = Settling::new(true);
    files.notice("a", Notice::MovedIn, at(0));
    assert_eq!(files.due(at(0), 9), ["a"]);
    assert!(complete_after_look(&mut files, "1", at(0)));
    files.settle("a", version("1"));
    assert!(files.due(at(60_000), 9).is_empty());
    assert!(!complete_after_look(&mut files, "1", at(60_000)));
    assert_eq!((files.unsettled(), files.next()), (0, None));
}

#[test]
fn a_writer_that_pauses_is_not_done_until_it_closes() {
    let mut files = Settling::new(true);
    files.notice("a", Notice::Created, at(0));
    files.notice("a", Notice::Written, at(10));
    assert!(!complete_after_look(&mut files, "1", at(3_600_000)), "an hour's pause is not an end");
    assert_eq!(files.next(), None);
    assert_eq!(files.unsettled(), 1);
    files.notice("a", Notice::Written, at(3_600_001));
    files.notice("a", Notice::Closed, at(3_600_002));
    assert!(!complete_after_look(&mut files, "2", at(3_600_003)));
    assert_eq!(files.next(), Some(at(3_601_002)));
    assert!(complete_after_look(&mut files, "2", at(3_601_002)));
}

#[test]
fn closed_and_opened_again_counts_from_the_last_close() {
    let mut files = Settling::new(true);
    files.notice("a", Notice::Closed, at(0));
    files.notice("a", Notice::Written, at(900));
    assert!(!complete_after_look(&mut files, "2", at(5000)));
    files.notice("a", Notice::Closed, at(6000));
    assert!(!complete_after_look(&mut files, "2", at(6999)));
    assert!(complete_after_look(&mut files, "2", at(7000)));
}

#[test]
fn found_files_need_silence_that_the_file_system_may_vouch_for() {
    let mut files = Settling::new(true);
    files.look("a", seen("1"), at(0));
    assert!(files.complete("a", at(2999)).is_none());
    assert!(complete_after_look(&mut files, "1", at(3000)));

    let mut files = Settling::new(true);
    let old = Seen { version: version("1"), unchanged_for: Duration::from_secs(3600) };
    files.look("a", old, at(0));
    assert!(files.complete("a", at(0)).is_some(), "unchanged for an hour");
}

#[test]
fn a_found_file_that_changes_waits_anew() {
    let mut files = Settling::new(true);
    files.look("a", seen("1"), at(0));
    assert!(!complete_after_look(&mut files, "2", at(3000)));
    assert!(!complete_after_look(&mut files, "2", at(5999)));
    assert!(complete_after_look(&mut files, "2", at(6000)));
}

#[test]
fn a_change_nobody_noticed_waits_for_silence() {
    let mut files = Settling::new(true);
    files.notice("a", Notice::MovedIn, at(0));
    files.look("a", seen("1"), at(0));
    assert!(!complete_after_look(&mut files, "2", at(1)));
    assert!(complete_after_look(&mut files, "2", at(3001)));
}

#[test]
fn overwritten_later_is_a_new_master() {
    let mut files = Settling::new(true);
    files.notice("a", Notice::MovedIn, at(0));
    files.look("a", seen("1"), at(0));
    files.settle("a", version("1"));
    files.notice("a", Notice::Written, at(100));
    files.notice("a", Notice::Closed, at(200));
    assert!(complete_after_look(&mut files, "2", at(1200)));
    files.settle("a", version("2"));
    // Opened for writing and closed with nothing changed: the same master.
    files.notice("a", Notice::Closed, at(2000));
    assert!(!complete_after_look(&mut files, "2", at(4000)));
    assert_eq!(files.unsettled(), 0);
}

#[test]
fn a_ladder_that_changes_asks_for_other_renditions_of_the_same_master() {
    let mut files = Settling::new(true);
    files.notice("a", Notice::MovedIn, at(0));
    files.look("a", seen("1"), at(0));
    files.settle("a", version("1"));
    let with_ladder = Version { ladder: Some("l".to_owned()), ..version("1") };
    files.look("a", Seen { version: with_ladder.clone(), unchanged_for: Duration::ZERO }, at(10));
    assert!(files.complete("a", at(10)).is_none());
    assert_eq!(files.complete("a", at(3010)), Some(&with_ladder));
}

#[test]
fn lost_notices_are_made_up_for_by_silence() {
    let mut files = Settling::new(true);
    files.notice("a", Notice::Written, at(0));
    files.look("a", seen("1"), at(0));
    files.lost(at(500));
    assert!(!complete_after_look(&mut files, "1", at(3499)));
    assert!(complete_after_look(&mut files, "1", at(3500)));
}

#[test]
fn a_hard_link_is_complete_without_a_close_and_an_empty_file_awaits_its_writer() {
    let mut files = Settling::new(true);
    files.notice("a", Notice::Created, at(0));
    assert!(complete_after_look(&mut files, "1", at(3000)));

    let mut files = Settling::new(true);
    files.notice("a", Notice::Created, at(0));
    let empty = Version { size: 0, ..version("0") };
    files.look("a", Seen { version: empty, unchanged_for: Duration::ZERO }, at(0));
    assert!(files.complete("a", at(60_000)).is_none());
}

#[test]
fn where_closing_is_not_told_silence_must_do() {
    let mut files = Settling::new(false);
    files.notice("a", Notice::Written, at(0));
    assert!(!complete_after_look(&mut files, "1", at(2999)));
    assert!(complete_after_look(&mut files, "1", at(3000)));
}

#[test]
fn what_is_gone_is_forgotten() {
    let mut files = Settling::new(true);
    files.notice("a", Notice::Written, at(0));
    files.notice("b", Notice::Written, at(0));
    files.gone("a");
    files.only(&["c".to_owned()].into());
    assert_eq!(files.unsettled(), 0);
}

/// Random writers: whatever they do, no version is complete while a writer has it open, every version that stays
/// is settled in the end, and none is settled twice.
#[test]
fn random_writers() {
    for seed in 0..2000 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut files = Settling::new(true);
        let (mut now, mut content, mut open) = (START, 0_u32, false);
        let mut settled: Vec<String> = Vec::new();
        let look = |files: &mut Settling, content: u32, now, open: bool, settled: &mut Vec<String>| {
            for key in files.due(now, 9) {
                files.look(&key, seen(&content.to_string()), now);
                if let Some(version) = files.complete(&key, now).cloned() {
                    assert!(!open, "seed {seed}: complete while open");
                    assert_eq!(version.etag, content.to_string());
                    assert!(!settled.contains(&version.etag), "seed {seed}: twice");
                    settled.push(version.etag.clone());
                    files.settle(&key, version);
                }
            }
        };
        for _ in 0..random.usize(1..40) {
            now += Duration::from_millis(random.u64(0..4000));
            match random.u8(0..5) {
                0 if !open => {
                    content += 1;
                    files.notice("a", Notice::MovedIn, now);
                }
                1 if !open => {
                    content += 1;
                    open = true;
                    files.notice("a", Notice::Written, now);
                }
                2 if open => {
                    content += 1;
                    files.notice("a", Notice::Written, now);
                }
                3 if open => {
                    open = false;
                    files.notice("a", Notice::Closed, now);
                }
                _ => {}
            }
            look(&mut files, content, now, open, &mut settled);
        }
        if open {
            files.notice("a", Notice::Closed, now);
        }
        look(&mut files, content, now + Duration::from_secs(1), false, &mut settled);
        assert_eq!(files.unsettled(), 0, "seed {seed}");
        assert!(content == 0 || settled.last() == Some(&content.to_string()), "seed {seed}");
    }
}

#[test]
fn what_is_being_written_is_open_until_it_is_closed() {
    let mut files = Settling::new(true);
    files.notice("a", Notice::Written, at(0));
    files.look("b", seen("1"), at(0));
    assert_eq!(files.open().collect::<Vec<_>>(), ["a"]);
    files.notice("a", Notice::Closed, at(1000));
    assert_eq!(files.open().count(), 0);
}
