use super::*;
use clap::{CommandFactory, Parser};

use crate::args::{Args, Command, one_line};

const QUEUE: &str = "https://sqs.eu-west-1.amazonaws.com/123456789012/masters";

fn read(line: &str) -> Result<UpOptions, String> {
    let words = ["reelpool", "up"].into_iter().chain(line.split_whitespace());
    let args = Args::try_parse_from(words).map_err(|error| one_line(&error))?;
    let Command::Up(args) = args.command else { panic!("up was asked for") };
    UpOptions::read(*args, 4).map_err(|error| format!("error: {error}"))
}

#[test]
fn the_command_line_is_sound() {
    Args::command().debug_assert();
}

#[test]
fn the_help_says_of_steps_what_the_core_does() {
    let mut up = Args::command();
    let up = up.find_subcommand_mut("up").unwrap();
    for (option, state) in [("max_step_out", "starting"), ("max_step_in", "draining")] {
        let help = up.get_arguments().find(|a| a.get_id() == option).unwrap().get_help().unwrap().to_string();
        assert!(help.contains(&format!("most workers that may be {state} at a time")), "{help}");
    }
}

#[test]
fn without_options_it_is_one_machine_with_a_worker_for_each_core() {
    let options = read("").unwrap();
    assert_eq!(options.data, PathBuf::from("./reelpool-data"));
    assert_eq!(options.place, Place::Folders { masters: None, output: None });
    let policy = options.policy.spec();
    assert_eq!((policy.min_workers, policy.max_workers), (0, 4));
    assert_eq!(policy.target, Target::Backlog { per_worker: NonZeroU32::MIN });
    assert_eq!((policy.idle, policy.zero_after), (None, Millis::from_secs(60)));
    assert!(!policy.paused && !options.exit_when_done);
}

#[test]
fn options_reach_the_policy_and_the_worker() {
    let line = "--max-workers 9 --min-workers 2 --drain-within 600 --idle 7 --zero-after 5 --max-step-out 3 \
                --max-step-in 1 --ladder 480p,720p --profile mine.yaml --preset fast --grace 0 --masters in --output out";
    let options = read(line).unwrap();
    let policy = options.policy.spec();
    assert_eq!((policy.min_workers, policy.max_workers), (2, 9));
    assert_eq!(policy.target, Target::Time { drain_within: Millis::from_secs(600) });
    assert_eq!((policy.idle, policy.zero_after), (Some(Millis::from_secs(7)), Millis::from_secs(5)));
    assert_eq!(policy.max_step_out.map(NonZeroU32::get), Some(3));
    assert_eq!(policy.max_step_in.map(NonZeroU32::get), Some(1));
    assert_eq!(options.worker.ladder.unwrap().to_string(), "720p,480p");
    assert_eq!(options.worker.profile.as_deref(), Some("mine.yaml"));
    assert_eq!(options.worker.grace, Some(0));
    assert_eq!(options.place, Place::Folders { masters: Some("in".into()), output: Some("out".into()) });
    // The default maximum never contradicts the minimum.
    assert_eq!(read("--min-workers 6").unwrap().policy.spec().max_workers, 6);
}

#[test]
fn sqs_and_s3() {
    let line = format!(
        "--queue-url {QUEUE} --masters s3://cats/in --output s3://dogs --endpoint-url http://localhost:4566"
    );
    let expected = Place::Aws {
        queue_url: QUEUE.to_owned(),
        endpoint_url: Some("http://localhost:4566".to_owned()),
        dead_letter_queue_url: None,
        masters: "s3://cats/in".parse().unwrap(),
        output: "s3://dogs".parse().unwrap(),
    };
    assert_eq!(read(&line).unwrap().place, expected);
}

#[test]
fn what_is_wrong_is_said_in_one_line_with_what_to_do() {
    let s3 = "--masters s3://cats --output s3://dogs";
    for (line, said) in [
        ("--zzz", "error: unexpected argument '--zzz' found: see `reelpool up --help`"),
        ("--max-worker 3", "(tip: a similar argument exists: '--max-workers')"),
        ("--ladder 721p", "721p is odd: video sizes are even, use 722p"),
        ("--ladder tall", "`tall` is not a rung"),
        ("--preset warp", "[possible values: ultrafast, superfast"),
        ("--max-workers many", "invalid value 'many' for '--max-workers <N>'"),
        ("--backlog-per-worker 0", "invalid value '0' for '--backlog-per-worker <N>'"),
        ("--visibility-timeout 0", "0 is not in 3..=43200"),
        ("--drain-within 0", "0 is not in 1.."),
        ("--drain-within 9 --backlog-per-worker 2", "cannot be used with"),
        ("--log-format xml", "[possible values: text, json]"),
        ("--max-workers 0", "error: the maximum is 0 workers"),
        ("--min-workers 5 --max-workers 2", "error: the minimum (5 workers) is above the maximum (2)"),
        (
            "--masters s3://cats",
            "--masters s3://cats needs a queue that tells of new objects: give --queue-url",
        ),
        ("--output s3://cats", "--output s3://cats goes with an SQS queue"),
        (&format!("--queue-url {QUEUE}"), "give --masters s3://bucket too, or leave --queue-url out"),
        (
            &format!("--queue-url {QUEUE} --masters folder"),
            "give --masters s3://bucket too, or leave --queue-url out",
        ),
        (&format!("--queue-url {QUEUE} --masters s3://cats"), "give --output s3://bucket[/prefix] too"),
        (
            &format!("--queue-url masters {s3}"),
            "invalid value 'masters' for '--queue-url <URL>': not the URL of a queue",
        ),
        (&format!("--queue-url http://localhost:4566 {s3}"), "names no queue"),
        (&format!("--queue-url spool:///q {s3}"), "the embedded queue is used by itself"),
        ("--endpoint-url http://localhost:1", "--endpoint-url is where SQS and S3 are: give --queue-url"),
        (
            &format!("--endpoint-url localhost --queue-url {QUEUE} {s3}"),
            "invalid value 'localhost' for '--endpoint-url <URL>': not an http or https URL",
        ),
        ("--dead-letter-queue-url http://a/1/b", "the following required arguments were not provided"),
        (
            &format!("--queue-url {QUEUE} --masters s3:// --output s3://dogs"),
            "for '--masters <PLACE>': `` is not a bucket's name",
        ),
        ("--masters gs://cats", "`gs://` is not understood: write a folder's path or s3://bucket/prefix"),
        (
            &format!("--queue-url {QUEUE} --masters s3://cats --output s3://cats/out"),
            "--output s3://cats/out/ and --masters s3://cats lie within one another: renditions would be taken for masters",
        ),
        (
            &format!("--queue-url {QUEUE} --masters s3://cats/in --output s3://cats"),
            "--output s3://cats and --masters s3://cats/in/ lie within one another",
        ),
        ("--exit-when-done --min-workers 1", "--exit-when-done with --min-workers 1"),
        ("--exit-when-done --paused", "--exit-when-done with --paused"),
    ] {
        let error = read(line).expect_err(line);
        assert!(error.contains(said), "{line}: {error}");
        assert!(error.starts_with("error: ") && !error.contains('\n'), "{line}: {error}");
        assert!(!error["error: ".len()..].contains("error:"), "{line}: {error}");
    }
}
