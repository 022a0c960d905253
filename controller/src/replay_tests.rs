use super::*;
use reelpool_core::{
    Memory, Observation, Policy, PolicySpec, QueueDepth, Sample, Timestamp, WorkerId, WorkerObservation,
    WorkerState,
};
use serde_json::{Value, json};
use std::io::Cursor;

use crate::decisions::Decisions;
use crate::pool_name::PoolName;

fn record(backlog: u64, workers: usize) -> Record {
    let now = Timestamp::from_millis(1_795_271_696_789);
    let policy = Policy::try_from(PolicySpec { max_workers: 2000, ..PolicySpec::default() }).unwrap();
    let workers: Vec<WorkerObservation> = (0..workers)
        .map(|number| WorkerObservation {
            id: WorkerId::from(format!("worker-{number}")),
            state: WorkerState::Busy,
            since: now,
        })
        .collect();
    let observation = Observation {
        queue: Sample::Known { value: QueueDepth { backlog, ..QueueDepth::default() }, observed_at: now },
        current: u32::try_from(workers.len()).unwrap(),
        workers: Sample::Known { value: workers, observed_at: now },
        service_time: None,
        start_up_time: None,
    };
    Record::make(policy, Memory::default(), observation, now)
}

fn bare(record: &Record) -> Value {
    serde_json::to_value(record).unwrap()
}

fn of_pool(record: &Record) -> Value {
    let decisions = Decisions::new(1, 1_000_000, None);
    let pool = PoolName::new("cattube".to_owned(), "masters".to_owned());
    decisions.take(&pool, record);
    serde_json::from_slice(&decisions.lines(&pool, 1).unwrap()[0]).unwrap()
}

fn replayed(text: &[u8]) -> Result<(Summary, String), ReplayError> {
    let mut out = Vec::new();
    let summary = replay_all(Cursor::new(text), "decisions.jsonl", &mut out)?;
    Ok((summary, String::from_utf8(out).unwrap()))
}

fn lines(values: &[Value]) -> Vec<u8> {
    values.iter().map(|value| format!("{value}\n")).collect::<Vec<_>>().concat().into_bytes()
}

#[test]
fn decisions_of_today_do_not_differ_in_either_form() {
    let text = lines(&[bare(&record(1, 0)), of_pool(&record(2, 1)), bare(&record(3, 7))]);
    let (summary, told) = replayed(&text).unwrap();
    assert_eq!(summary, Summary { decisions: 3, ..Summary::default() });
    assert_eq!((told.as_str(), summary.to_string().as_str()), ("", "3 decisions, 0 differ"));
    assert!(summary.is_fine());
    assert_eq!(replayed(b"").unwrap().0.to_string(), "0 decisions, 0 differ");
    assert_eq!(replayed(b"\n\r\n  \n").unwrap().0.decisions, 0);
}

#[test]
fn a_difference_is_told_with_its_line_its_pool_and_its_parts() {
    let mut bare = bare(&record(3, 0));
    bare["decision"]["reason"] = json!("Time");
    let mut of_pool = of_pool(&record(3, 0));
    of_pool["record"]["decision"]["next_check"] = json!(7);
    let (summary, told) = replayed(&lines(&[bare, json!(of_pool)])).unwrap();
    assert_eq!(summary.to_string(), "2 decisions, 2 differ");
    assert!(!summary.is_fine());
    let told: Vec<&str> = told.lines().collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert_eq!(told[0], "line 1: reason: Time was recorded, today Backlog");
    assert!(
        told[1].starts_with("line 2 cattube/masters: next_check: Millis(7) was recorded, today Millis("),
        "{}",
        told[1]
    );
}

#[test]
fn a_broken_rule_is_told_whoever_broke_it() {
    let mut recorded = bare(&record(0, 3));
    // Today's code holds them, as they are busy.
    recorded["decision"]["target"] = json!(1);
    recorded["decision"]["drain"] = json!(["worker-0", "worker-1"]);
    let (summary, told) = replayed(&lines(&[recorded])).unwrap();
    assert_eq!((summary.differ, summary.break_a_rule), (1, 1));
    assert!(
        told.contains("line 1: the recorded decision breaks a rule: the target 1 is below the 3 workers"),
        "{told}"
    );
    assert!(!told.contains("today's decision breaks"), "{told}");
    assert_eq!(summary.to_string(), "1 decision, 1 differs, 1 breaks a rule");
}

#[test]
fn a_long_difference_is_shortened() {
    let mut recorded = bare(&record(0, 500));
    recorded["decision"]["drain"] = json!((0..500).map(|n| format!("worker-{n}")).collect::<Vec<_>>());
    let (_, told) = replayed(&lines(&[recorded])).unwrap();
    let first = told.lines().next().unwrap();
    assert!(first.contains("… was recorded, today []") && first.len() < 2 * MAX_TOLD, "{first}");
}

#[test]
fn another_version_differs_and_is_not_read_further() {
    let text = lines(&[
        json!({"version": 9, "what": "ever"}),
        json!({"pool": "a/b", "record": {"version": 9}}),
        bare(&record(1, 0)),
    ]);
    let (summary, told) = replayed(&text).unwrap();
    assert_eq!((summary.decisions, summary.differ), (3, 2));
    assert!(told.starts_with("line 1: the record has version 9, this program reads version 1"), "{told}");
}

#[test]
fn a_last_line_that_was_cut_off_is_left_out() {
    let whole = lines(&[bare(&record(1, 0)), of_pool(&record(2, 0))]);
    let cut = whole[..whole.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
    for end in [cut + 1, cut + 10, whole.len() - 3, whole.len() - 2] {
        let (summary, _) = replayed(&whole[..end]).unwrap();
        assert_eq!((summary.decisions, summary.torn), (1, true), "{end}");
        assert_eq!(summary.to_string(), "1 decision, 0 differ; the last line was cut off and is left out");
        assert!(summary.is_fine());
    }
    // One that only lacks its end is whole.
    let (summary, _) = replayed(&whole[..whole.len() - 1]).unwrap();
    assert_eq!((summary.decisions, summary.torn), (2, false));
    // In the middle it is no accident.
    let mut middle = whole[..cut - 5].to_vec();
    middle.push(b'\n');
    middle.extend(&whole[cut..]);
    assert_eq!(replayed(&middle).unwrap_err().category(), "replay_unreadable");
}

#[test]
fn what_cannot_be_read_is_said_with_its_place() {
    let good = lines(&[bare(&record(1, 0))]);
    let mut odd = bare(&record(1, 0));
    odd["decision"]["reason"] = json!("Whim");
    let mut policy = bare(&record(1, 0));
    policy["policy"]["min_workers"] = json!(5000);
    for (line, said) in [
        (
            "hello\n".to_owned(),
            "decisions.jsonl, line 2, column 1: expected value: each line is to be a decision",
        ),
        ("{\"version\":1}\n".to_owned(), "line 2, column 13: missing field `policy`"),
        ("{\"pool\":\"a/b\",\"record\":{\"version\":1}}\n".to_owned(), "missing field `policy`"),
        ("{\"record\":{\"version\":1}}\n".to_owned(), "missing field `policy`"),
        ("7\n".to_owned(), "expected a decision"),
        (
            "2026-11-21T14:34:56Z INFO something\n".to_owned(),
            "line 2, column 4: invalid type: integer `2026`, expected a decision",
        ),
        (format!("{odd}\n"), "unknown variant `Whim`"),
        (format!("{policy}\n"), "the minimum (5000 workers) is above the maximum (2000)"),
        ("{\"version\":1,\"\u{1b}[2J\":0}\n".to_owned(), "control character"),
    ] {
        let text = [good.clone(), line.clone().into_bytes(), good.clone()].concat();
        let error = replayed(&text).expect_err(&line);
        assert_eq!(error.category(), "replay_unreadable");
        let error = error.to_string();
        assert!(error.contains(said), "{line}: {error}");
        assert!(
            !error.contains(char::is_control) && error.starts_with("decisions.jsonl, line 2, column "),
            "{error}"
        );
    }
}

#[test]
fn an_endless_line_is_not_read_to_its_end() {
    let error = replay_all(BufReader::new(io::repeat(b'x')), "endless", &mut Vec::new()).unwrap_err();
    assert_eq!(error.category(), "replay_line_too_long");
}

#[test]
fn names_from_outside_do_not_reach_the_terminal_as_they_are() {
    let mut recorded = of_pool(&record(3, 0));
    recorded["pool"] = json!("a/\u{1b}[2J");
    recorded["record"]["decision"]["target"] = json!(4);
    let (_, told) = replayed(&lines(&[recorded])).unwrap();
    assert!(told.starts_with("line 1 a/\\u{1b}[2J: target: 4 was recorded, today 3"), "{told}");
}

#[test]
fn a_file_is_read_and_the_summary_comes_last() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("decisions.jsonl");
    let mut out = Vec::new();
    let error = run(&ReplayArgs { file: file.clone() }, &mut out).unwrap_err();
    assert_eq!(error.category(), "replay_read");
    assert!(error.to_string().contains("decisions.jsonl cannot be read: No such file"), "{error}");
    std::fs::write(&file, lines(&[bare(&record(1, 0))])).unwrap();
    assert!(run(&ReplayArgs { file }, &mut out).unwrap().is_fine());
    assert_eq!(String::from_utf8(out).unwrap(), "1 decision, 0 differ\n");
}
