//! Bodies of every understood form, and the jobs they ask for.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, dead_code, reason = "tests")]

mod common;

use common::fixture;
use reelpool_protocol::message::{MAX_RECORDS, Message, NothingToDo, job_message, parse, s3_event};
use reelpool_protocol::profile::Encoder;
use reelpool_protocol::{JobRequest, Profile, Source};
use serde_json::{Value, json};

fn source(
    bucket: &str,
    key: &str,
    version: Option<&str>,
    etag: Option<&str>,
    size: impl Into<Option<u64>>,
) -> Source {
    Source {
        bucket: bucket.into(),
        key: key.into(),
        version: version.map(Into::into),
        etag: etag.map(Into::into),
        size: size.into(),
    }
}

fn jobs(body: &str) -> Vec<JobRequest> {
    match parse(body) {
        Ok(Message::Jobs(jobs)) => jobs,
        other => panic!("expected jobs, got {other:?}\nfrom {body}"),
    }
}

fn sources(body: &str) -> Vec<Source> {
    let no_ladder = |job: JobRequest| {
        assert_eq!(job.ladder, None, "events name no ladder");
        job.source
    };
    jobs(body).into_iter().map(no_ladder).collect()
}

const ETAG: &str = "b21b84d653bb07b05b1e6b33684dc11b";
const VERSION: &str = "096fKKXTRTtl3on89fVO.nfljtsv6qko";

fn two_records() -> Vec<Source> {
    vec![
        source("cattube-masters", "in/some file+ü (1).mp4", None, Some(ETAG), 1_305_107),
        source(
            "cattube-masters",
            "cats/long.mov",
            Some(VERSION),
            Some("5d41402abc4b2a76b9719d911017c592-768"),
            6_442_450_944,
        ),
    ]
}

#[test]
fn an_s3_event_asks_for_a_job_per_record() {
    assert_eq!(sources(fixture("s3-two-records")), two_records());
}

#[test]
fn an_sns_envelope_changes_nothing() {
    assert_eq!(sources(fixture("sns-s3")), two_records());
    assert_eq!(parse(fixture("sns-job")), parse(fixture("job")));
    assert_eq!(parse(fixture("sns-eventbridge")), parse(fixture("eventbridge-created")));
    assert_eq!(parse(fixture("sns-test-event")), Ok(Message::Nothing(NothingToDo::TestEvent)));
}

#[test]
fn an_eventbridge_key_is_taken_as_it_is() {
    let expected = source(
        "cattube-masters",
        "in/100% cats+dogs (1).mp4",
        Some("IYV3p45BT0ac8hjHg1houSdS1a.Mro8e"),
        Some("b1946ac92492d2347c6235b4d2611184"),
        5,
    );
    assert_eq!(sources(fixture("eventbridge-created")), [expected]);
}

#[test]
fn another_servers_event_is_read() {
    // Prefixed names, an empty version where there is none, quotes around the entity tag.
    let expected = source("cattube-masters", "cats/a b.mp4", None, Some(ETAG), 1_305_107);
    assert_eq!(sources(fixture("minio")), [expected]);
}

#[test]
fn an_own_job_is_read_and_its_ladder_put_in_order() {
    let job = JobRequest {
        source: source("cattube-masters", "cats/a+b (1).mp4", Some(VERSION), Some(ETAG), 1_305_107),
        ladder: Some("720p,480p".parse().unwrap()),
        profile: None,
    };
    assert_eq!(jobs(fixture("job")), [job]);
    let least =
        JobRequest { source: source("masters", "a.mp4", None, None, None), ladder: None, profile: None };
    assert_eq!(jobs(fixture("job-least")), std::slice::from_ref(&least));
    let named = JobRequest { profile: Profile::built_in("av1"), ..least.clone() };
    assert_eq!(jobs(fixture("job-named-profile"))[0].profile, named.profile);
    let own = jobs(fixture("job-profile"))[0].profile.clone().unwrap();
    assert_eq!(own.encoder(), Encoder::X264 { preset: "medium".parse().unwrap(), crf: 20 });
    assert_eq!((own.segment_seconds(), own.poster(), own.storyboard()), (4, false, true));
    // The default on purpose is not what a worker thinks best.
    let default = JobRequest { profile: Some(Profile::default()), ..least.clone() };
    assert_eq!(jobs(&job_message(&default)), std::slice::from_ref(&default));
    assert_ne!(jobs(&job_message(&default)), [least]);
}

#[test]
fn messages_that_rightly_ask_for_nothing() {
    for (name, reason) in [
        ("s3-test-event", NothingToDo::TestEvent),
        ("s3-removed", NothingToDo::NoNewObject),
        ("eventbridge-deleted", NothingToDo::NoNewObject),
        ("s3-folder", NothingToDo::OnlyFolders),
    ] {
        assert_eq!(parse(fixture(name)), Ok(Message::Nothing(reason)), "{name}");
    }
}

#[test]
fn a_record_said_twice_is_one_job_and_a_new_revision_is_another() {
    let etags: Vec<_> =
        sources(fixture("s3-mixed")).into_iter().map(|source| (source.key, source.etag.unwrap())).collect();
    let expected = [ETAG, "0cc175b9c0f1b6a831c399e269772661"].map(|etag| ("cats/a.mp4".into(), etag.into()));
    assert_eq!(etags, expected);
}

#[test]
fn every_kind_of_creation_makes_a_job_and_nothing_else_does() {
    let mut event: Value = serde_json::from_str(&s3_event(&source("b", "k", None, None, 1), "t")).unwrap();
    for (name, makes_a_job) in [
        ("ObjectCreated:Put", true),
        ("ObjectCreated:Post", true),
        ("ObjectCreated:Copy", true),
        ("ObjectCreated:CompleteMultipartUpload", true),
        ("s3:ObjectCreated:Put", true),
        ("ObjectCreatedLater:Put", false),
        ("ObjectRestore:Completed", false),
        ("LifecycleExpiration:Delete", false),
        ("ObjectTagging:Put", false),
        ("objectcreated:Put", false),
        ("", false),
    ] {
        event["Records"][0]["eventName"] = name.into();
        let made = matches!(parse(&event.to_string()), Ok(Message::Jobs(_)));
        assert_eq!(made, makes_a_job, "{name}");
    }
}

#[test]
fn as_many_records_as_allowed_are_read() {
    let mut event: Value = serde_json::from_str(&s3_event(&source("b", "k", None, None, 1), "t")).unwrap();
    let record = event["Records"][0].clone();
    let records = (0..MAX_RECORDS).map(|i| {
        let mut record = record.clone();
        record["s3"]["object"]["key"] = format!("{i}").into();
        record
    });
    event["Records"] = records.collect();
    assert_eq!(jobs(&event.to_string()).len(), MAX_RECORDS);
}

#[test]
fn what_is_written_looks_as_aws_writes_it() {
    let master = source("masters", "in/some file+ü (1).mp4", Some("v1"), Some("e1"), 7);
    let written: Value = serde_json::from_str(&s3_event(&master, "2026-01-31T12:00:00.000Z")).unwrap();
    let expected = json!({ "Records": [{
        "eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": "local",
        "eventTime": "2026-01-31T12:00:00.000Z", "eventName": "ObjectCreated:Put",
        "s3": {
            "s3SchemaVersion": "1.0", "configurationId": "reelpool",
            "bucket": { "name": "masters", "arn": "arn:aws:s3:::masters" },
            "object": { "key": "in/some+file%2B%C3%BC+%281%29.mp4", "size": 7, "eTag": "e1", "versionId": "v1" },
        },
    }]});
    assert_eq!(written, expected);

    let ladder = Some("480p 720p".parse().unwrap());
    let request = JobRequest { source: master, ladder, profile: Profile::built_in("fast") };
    let written: Value = serde_json::from_str(&job_message(&request)).unwrap();
    let mut expected = json!({
        "reelpool": "job/v1",
        "source": { "bucket": "masters", "key": "in/some file+ü (1).mp4", "version": "v1", "etag": "e1", "size": 7 },
        "ladder": ["720p", "480p"],
        "profile": "fast",
    });
    assert_eq!(written, expected);
    let own = json!({ "video": { "codec": "av1" }, "segmentSeconds": 4 });
    let request = JobRequest { profile: Some(Profile::from_value(&own).unwrap()), ..request };
    let written: Value = serde_json::from_str(&job_message(&request)).unwrap();
    expected["profile"] = own;
    assert_eq!(written, expected);
}

#[test]
fn null_counts_as_absent() {
    let nulls = json!({
        "reelpool": "job/v1", "ladder": null, "profile": null,
        "source": { "bucket": "masters", "key": "a.mp4", "version": null, "etag": null, "size": null },
    });
    assert_eq!(parse(&nulls.to_string()), parse(fixture("job-least")));
}

#[test]
fn of_a_repeated_field_the_last_counts() {
    let twice = r#"{"reelpool":"job/v1","source":{"bucket":"b","key":"first","key":"last"}}"#;
    assert_eq!(jobs(twice)[0].source.key, "last");
}
