//! What goes wrong is said in one clear line, and nothing is lost.

use std::process::{Command, Stdio};
use std::time::Duration;

use reelpool_tests::clips::Clip;
use reelpool_tests::results::{assert_nothing_else, published};
use reelpool_tests::{Ended, Machine, Process, binaries};

use crate::LONG;

/// A failure at the start shows within this.
const SOON: Duration = Duration::from_secs(30);

fn run(program: std::path::PathBuf, arguments: &[&str]) -> Ended {
    let mut command = Command::new(program);
    command.args(arguments);
    Process::spawn(command, None).wait(SOON)
}

fn assert_says(ended: &Ended, words: &[&str]) {
    let line = ended.error_line();
    for word in words {
        assert!(line.contains(word), "`{line}` should say `{word}`\n{ended}");
    }
}

#[test]
fn wrong_usage_is_exit_code_two() {
    let cases: [(&[&str], &[&str]); 6] = [
        (&["up", "--nope"], &["--nope"]),
        (&["up", "--ladder", "721p"], &["721p", "722p"]),
        (&["up", "--max-workers", "many"], &["many", "--max-workers"]),
        (&["up", "--min-workers", "3", "--max-workers", "2"], &["3", "2"]),
        (&["up", "--masters", "s3://cats"], &["s3://cats", "--queue-url"]),
        (&["up", "--queue-url", "sqs://cats/1"], &["sqs://cats/1"]),
    ];
    for (arguments, words) in cases {
        assert_says(&run(binaries::reelpool(), arguments).expect_code(2), words);
    }
    let worker = run(binaries::reelpool_worker(), &["run", "--nope"]).expect_code(2);
    assert!(worker.stderr.contains("--nope"), "{worker}");
}

#[test]
fn a_data_directory_that_cannot_be_written() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a-file");
    std::fs::write(&file, "").unwrap();
    // Root may write anywhere but here.
    for data in ["/proc/reelpool".to_owned(), file.join("data").to_string_lossy().into_owned()] {
        let ended = run(binaries::reelpool(), &["up", "--exit-when-done", "--data", &data]).expect_code(1);
        assert_says(&ended, &[&data]);
    }
}

#[test]
fn two_on_the_same_data_directory() {
    let machine = Machine::new();
    let mut first = machine.up(&[]);
    first
        .wait_until("the first has made its queue", SOON, |_| machine.data().join("queue/queue.db").exists());
    let second = machine.up(&[]).wait(SOON).expect_code(1);
    assert_says(&second, &["in use", &first.pid().as_raw_nonzero().to_string()]);
    assert!(first.runs(), "the first goes on");
}

#[test]
fn without_ffmpeg_nothing_is_lost() {
    let machine = Machine::new();
    machine.add(&Clip::default().file(), "a.mp4");
    let ended = machine.up_until_done(&["--ffmpeg", "/nonexistent/ffmpeg"], SOON).expect_code(1);
    assert_says(&ended, &["/nonexistent/ffmpeg", "install"]);

    let mut command = machine.up_command(&["--exit-when-done"]);
    command.env("PATH", "/nonexistent");
    let ended = Process::spawn(command, Some(&machine.data())).wait(SOON).expect_code(1);
    assert_says(&ended, &["ffmpeg", "install"]);

    let _ = machine.up_until_done(&["--ladder", "90p"], LONG).expect_code(0);
    assert_eq!(published(&machine.output()).len(), 1);
    machine.assert_idle();
}

#[test]
fn a_text_named_mp4_is_a_dead_letter_with_a_reason() {
    let machine = Machine::new();
    let text = machine.data().join("text");
    std::fs::write(&text, "This is not a video.\n".repeat(100)).unwrap();
    machine.add(&text, "letter.mp4");
    machine.add(&Clip::default().file(), "video.mp4");
    let ended = machine.up_until_done(&["--ladder", "90p"], LONG).expect_code(3);
    assert!(
        ended.stdout.contains("letter.mp4") || ended.stderr.contains("letter.mp4"),
        "it is named\n{ended}"
    );

    let jobs = published(&machine.output());
    assert_eq!(jobs.len(), 1, "the good one is done");
    assert_nothing_else(&machine.output(), &jobs);
    let dead = machine.queue().dead_letters(10).unwrap();
    assert_eq!(dead.len(), 1);
    assert!(dead[0].body.contains("letter.mp4"), "{dead:?}");
    assert_eq!(dead[0].receive_count, 1, "what can never work is not tried again");
    assert!(!dead[0].reason.is_empty() && dead[0].detail.len() > 10, "{dead:?}");
    machine.assert_tidy();

    // The same command again does not make it done.
    let again = machine.up_until_done(&["--ladder", "90p"], LONG).expect_code(3);
    assert!(again.stdout.contains("letter.mp4"), "{again}");
}

#[test]
fn a_log_that_cannot_be_written_stops_nothing() {
    let machine = Machine::new();
    machine.add(&Clip::default().file(), "video.mp4");
    let mut command = machine.up_command(&["--exit-when-done", "--ladder", "90p"]);
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(full).status().unwrap();
    assert_eq!(status.code(), Some(0));
    assert_eq!(published(&machine.output()).len(), 1);
    machine.assert_idle();
}

#[test]
fn another_ladder_is_another_job() {
    let machine = Machine::new();
    machine.add(&Clip::default().file(), "video.mp4");
    for (ladder, jobs) in [("90p", 1), ("60p", 2), ("90p", 2)] {
        let _ = machine.up_until_done(&["--ladder", ladder], LONG).expect_code(0);
        assert_eq!(published(&machine.output()).len(), jobs, "{ladder}");
    }
    machine.assert_idle();
}

#[test]
fn a_ladder_that_cannot_be_read_is_said_and_its_master_waits() {
    let machine = Machine::new();
    machine.add_with_ladder(&Clip::default().file(), "a.mp4", "large and small");
    machine.add(&Clip::default().file(), "b.mp4");
    let ended = machine.up_until_done(&["--ladder", "90p"], LONG);
    let said = format!("{}{}", ended.stdout, ended.stderr);
    assert!(said.contains("a.mp4.ladder") && said.contains("large"), "{ended}");
    assert_eq!(published(&machine.output()).len(), 1, "the other one is done");

    std::fs::write(machine.masters().join("a.mp4.ladder"), "90p").unwrap();
    let _ = machine.up_until_done(&["--ladder", "90p"], LONG).expect_code(0);
    assert_eq!(published(&machine.output()).len(), 2, "nothing was lost");
    machine.assert_idle();
}
