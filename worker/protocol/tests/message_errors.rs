//! Bodies that are refused, and the exact words they are refused with.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, dead_code, reason = "tests")]

mod common;

use common::fixture;
use reelpool_protocol::message::{MAX_BODY_BYTES, MAX_RECORDS, parse};
use serde_json::{Value, json};

#[track_caller]
fn refused(body: &str, category: &str, text: &str) {
    let error = parse(body).expect_err("the body should be refused");
    assert_eq!((error.category(), error.to_string().as_str()), (category, text));
}

/// The fixture with the value at a JSON pointer replaced, or removed where there is no new one.
fn changed(name: &str, pointer: &str, value: Option<Value>) -> String {
    let mut body: Value = serde_json::from_str(fixture(name)).unwrap();
    let (parent, last) = pointer.rsplit_once('/').unwrap();
    let fields = body.pointer_mut(parent).unwrap().as_object_mut().unwrap();
    assert!(fields.contains_key(last) || value.is_some(), "{pointer} is not there to be removed");
    match value {
        Some(value) => fields.insert(last.to_owned(), value),
        None => fields.remove(last),
    };
    body.to_string()
}

#[test]
fn bodies_that_are_no_json() {
    refused(
        "",
        "unreadable_message",
        "the body: expected JSON: EOF while parsing a value at line 1 column 0",
    );
    refused("hello", "unreadable_message", "the body: expected JSON: expected value at line 1 column 1");
    refused("{} {}", "unreadable_message", "the body: expected JSON: trailing characters at line 1 column 4");
    let deep = "[".repeat(200);
    refused(
        &deep,
        "unreadable_message",
        "the body: expected JSON: recursion limit exceeded at line 1 column 128",
    );
    let long = " ".repeat(MAX_BODY_BYTES + 1);
    refused(&long, "unreadable_message", "the body: 1048577 bytes, expected at most 1048576");
}

#[test]
fn json_of_another_form() {
    refused("null", "invalid_message", "the body: expected an object, found null");
    refused("[1]", "invalid_message", "the body: expected an object, found an array");
    refused("7", "invalid_message", "the body: expected an object, found a number");
    let expected = "the body: expected an S3 event, an SNS notification, an EventBridge event or a Reelpool job, \
                    found an object with ";
    refused("{}", "unknown_message", &format!("{expected}no field"));
    refused(r#"{"b":1,"a":2}"#, "unknown_message", &format!("{expected}a, b"));
    let six = json!({ "a": 0, "b": 0, "c\nd": 0, "e": 0, "f".repeat(90): 0, "g": 0 });
    let names = format!("{expected}a, b, c d, e, {}…", "f".repeat(40));
    refused(&six.to_string(), "unknown_message", &names);
}

#[test]
fn s3_events() {
    let bad = |pointer: &str, value: Option<Value>, text: &str| {
        refused(&changed("s3-two-records", pointer, value), "invalid_message", text);
    };
    bad("/Records", Some(json!({})), "Records: expected an array, found an object");
    bad("/Records", Some(json!(null)), "Records: expected an array, found null");
    bad("/Records", Some(json!([])), "Records: expected at least one record, found none");
    bad("/Records", Some(json!([7])), "Records[0]: expected an object, found a number");
    let many = json!(vec![0; MAX_RECORDS + 1]);
    bad("/Records", Some(many), "Records: expected at most 1000 records, found 1001");

    bad("/Records/1/eventSource", None, "Records[1].eventSource: missing");
    let other = Some(json!("aws:dynamodb"));
    bad("/Records/0/eventSource", other, "Records[0].eventSource: expected `aws:s3`, found `aws:dynamodb`");
    bad("/Records/0/eventName", None, "Records[0].eventName: missing");
    bad(
        "/Records/0/eventName",
        Some(json!(true)),
        "Records[0].eventName: expected a string, found a boolean",
    );
    bad(
        "/Records/0/eventVersion",
        Some(json!("3.0")),
        "Records[0].eventVersion: expected version 2 of S3's events, found `3.0`",
    );
    bad("/Records/0/s3", None, "Records[0].s3: missing");
    bad("/Records/0/s3", Some(json!("x")), "Records[0].s3: expected an object, found a string");
    bad("/Records/0/s3/object", None, "Records[0].s3.object: missing");
    bad("/Records/0/s3/bucket", None, "Records[0].s3.bucket: missing");
}

#[test]
fn s3_objects() {
    let bad = |pointer: &str, value: Option<Value>, text: &str| {
        refused(&changed("s3-two-records", pointer, value), "invalid_message", text);
    };
    let bucket = "/Records/1/s3/bucket/name";
    bad(bucket, None, "Records[1].s3.bucket.name: missing");
    bad(bucket, Some(json!(7)), "Records[1].s3.bucket.name: expected a string, found a number");
    bad(bucket, Some(json!("")), "Records[1].s3.bucket.name: expected 1 to 255 bytes, found 0");
    let long = Some(json!("b".repeat(256)));
    bad(bucket, long, "Records[1].s3.bucket.name: expected 1 to 255 bytes, found 256");
    let name = "Records[1].s3.bucket.name: expected a bucket's name: letters, digits, `.`, `-` and `_`, \
                the first a letter or digit";
    for not_a_name in ["a/b", "..", "-a", "a b", "ä", "a\0"] {
        bad(bucket, Some(json!(not_a_name)), name);
    }

    let key = "/Records/0/s3/object/key";
    bad(key, None, "Records[0].s3.object.key: missing");
    bad(key, Some(json!(null)), "Records[0].s3.object.key: expected a string, found null");
    bad(key, Some(json!("")), "Records[0].s3.object.key: expected 1 to 1024 bytes, found 0");
    // The limit is on the key itself, not on how it is written.
    let long = Some(json!("%C3%BC".repeat(513)));
    bad(key, long, "Records[0].s3.object.key: expected 1 to 1024 bytes, found 1026");
    bad(key, Some(json!("a%00b")), "Records[0].s3.object.key: expected a key without NUL characters");
    let broken =
        "Records[0].s3.object.key: expected a URL-encoded key: `%` is not followed by two hexadecimal digits";
    bad(key, Some(json!("100%")), broken);
    let not_utf8 = "Records[0].s3.object.key: expected a URL-encoded key: it is not UTF-8 when decoded";
    bad(key, Some(json!("a%FF")), not_utf8);

    let size = "/Records/0/s3/object/size";
    let expected = "Records[0].s3.object.size: expected a size in bytes, a whole number, found";
    bad(size, Some(json!(-1)), &format!("{expected} `-1`"));
    bad(size, Some(json!(1.5)), &format!("{expected} `1.5`"));
    bad(size, Some(json!("5")), &format!("{expected} a string"));
    let etag = "/Records/0/s3/object/eTag";
    bad(etag, Some(json!(["a"])), "Records[0].s3.object.eTag: expected a string, found an array");
    bad(etag, Some(json!("a\nb")), "Records[0].s3.object.eTag: expected visible ASCII characters only");
    let version = "/Records/0/s3/object/versionId";
    bad(version, Some(json!("ü")), "Records[0].s3.object.versionId: expected visible ASCII characters only");
    let long = Some(json!("v".repeat(1025)));
    bad(version, long, "Records[0].s3.object.versionId: expected 1 to 1024 bytes, found 1025");
}

#[test]
fn keys_at_the_limit_are_read() {
    let body = changed("s3-two-records", "/Records/0/s3/object/key", Some(json!("%C3%BC".repeat(512))));
    assert!(parse(&body).is_ok());
}

#[test]
fn sns_envelopes() {
    let bad = |pointer: &str, value: Option<Value>, category: &str, text: &str| {
        refused(&changed("sns-s3", pointer, value), category, text);
    };
    let invalid = "invalid_message";
    bad("/Type", None, invalid, "Type: missing");
    let confirm = Some(json!("SubscriptionConfirmation"));
    bad("/Type", confirm, invalid, "Type: expected `Notification`, found `SubscriptionConfirmation`");
    bad("/Message", None, invalid, "Message: missing");
    bad("/Message", Some(json!({})), invalid, "Message: expected a string, found an object");
    let no_json = "Message: expected JSON: expected value at line 1 column 1";
    bad("/Message", Some(json!("hello")), "unreadable_message", no_json);
    bad("/Message", Some(json!("[]")), invalid, "Message: expected an object, found an array");
    let again = Some(json!(fixture("sns-s3")));
    bad("/Message", again, invalid, "Message: an SNS envelope inside an SNS envelope is not read");
    let unknown = "Message: expected an S3 event, an SNS notification, an EventBridge event or a Reelpool job, \
                   found an object with a";
    bad("/Message", Some(json!(r#"{"a":1}"#)), "unknown_message", unknown);
    let inside = changed("s3-two-records", "/Records/1/s3/object/key", None);
    bad("/Message", Some(json!(inside)), invalid, "Message.Records[1].s3.object.key: missing");
    let test_event = "Message.Event: expected `s3:TestEvent`, found `s3:Other`";
    bad("/Message", Some(json!(r#"{"Event":"s3:Other"}"#)), invalid, test_event);
}

#[test]
fn eventbridge_events() {
    let bad = |pointer: &str, value: Option<Value>, text: &str| {
        refused(&changed("eventbridge-created", pointer, value), "invalid_message", text);
    };
    bad("/source", None, "source: missing");
    bad("/source", Some(json!("aws.ec2")), "source: expected `aws.s3`, found `aws.ec2`");
    bad("/detail-type", Some(json!(1)), "detail-type: expected a string, found a number");
    bad("/detail", None, "detail: missing");
    bad("/detail/bucket/name", None, "detail.bucket.name: missing");
    bad("/detail/object/key", None, "detail.object.key: missing");
    bad("/detail/object/key", Some(json!("a\0")), "detail.object.key: expected a key without NUL characters");
    let version = "detail.object.version-id: expected a string, found a number";
    bad("/detail/object/version-id", Some(json!(3)), version);
}

#[test]
fn own_jobs() {
    let bad = |pointer: &str, value: Option<Value>, text: &str| {
        refused(&changed("job", pointer, value), "invalid_message", text);
    };
    bad("/reelpool", Some(json!("job/v2")), "reelpool: expected `job/v1`, found `job/v2`");
    bad("/reelpool", Some(json!(1)), "reelpool: expected a string, found a number");
    bad(
        "/laddder",
        Some(json!([])),
        "laddder: unknown field, expected only reelpool, source, ladder, profile",
    );
    bad("/source", None, "source: missing");
    bad("/source", Some(json!("s3://b/k")), "source: expected an object, found a string");
    let misspelt = "source.eTag: unknown field, expected only bucket, key, version, etag, size";
    bad("/source/eTag", Some(json!("x")), misspelt);
    bad("/source/bucket", None, "source.bucket: missing");
    bad("/source/key", Some(json!("")), "source.key: expected 1 to 1024 bytes, found 0");
    bad("/source/key", Some(json!("a\0b")), "source.key: expected a key without NUL characters");
    let size = "source.size: expected a size in bytes, a whole number, found `-5`";
    bad("/source/size", Some(json!(-5)), size);

    bad("/ladder", Some(json!("720p")), "ladder: expected an array, found a string");
    bad("/ladder", Some(json!([])), "ladder: a ladder needs at least one rung, such as 720p");
    bad("/ladder", Some(json!(["720p", 480])), "ladder[1]: expected a string, found a number");
    let no_rung = "ladder[0]: `HD` is not a rung: write the short side in pixels and a p, such as 720p";
    bad("/ladder", Some(json!(["HD"])), no_rung);
    bad("/ladder", Some(json!(["721p"])), "ladder[0]: 721p is odd: video sizes are even, use 722p");
    let range = "ladder[0]: 8640p is out of range: a rung is between 16p and 4320p";
    bad("/ladder", Some(json!(["8640p"])), range);
    let thirteen: Vec<_> = (1..=13).map(|i| format!("{}p", i * 100)).collect();
    bad("/ladder", Some(json!(thirteen)), "ladder: a ladder has at most 12 rungs, this one has 13");

    let no_profile = "the name of a built-in profile (h264, fast, av1) or a profile";
    bad("/profile", Some(json!("best")), &format!("profile: expected {no_profile}, found `best`"));
    bad("/profile", Some(json!([])), "profile: expected an object, found an array");
    let crf = "profile.video.crf: expected a whole number from 0 to 51, found `99`";
    bad("/profile", Some(json!({"video": {"crf": 99}})), crf);
    let misspelt = "profile.audio.kpbs: unknown field, expected only kbps, loudness";
    bad("/profile", Some(json!({"audio": {"kpbs": 96}})), misspelt);
}
