//! What holds for any body.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, dead_code, reason = "tests")]

mod common;

use common::{FIXTURES, any_job, any_source};
use proptest::collection::{hash_map, vec};
use proptest::prelude::*;
use reelpool_protocol::JobRequest;
use reelpool_protocol::message::{Message, job_message, parse, s3_event};
use serde_json::{Map, Value, json};

/// Parses, and checks what holds of every answer. Returns whether there were jobs.
fn check(body: &str) -> bool {
    match parse(body) {
        Ok(Message::Jobs(jobs)) => {
            assert!(!jobs.is_empty());
            for job in &jobs {
                assert!((1..=1024).contains(&job.source.key.len()) && !job.source.key.contains('\0'));
                assert!((1..=255).contains(&job.source.bucket.len()));
            }
            true
        }
        Ok(Message::Nothing(_)) => false,
        Err(error) => {
            let text = error.to_string();
            let path = text.split(": ").next().unwrap_or_default();
            assert!(!path.is_empty() && path.len() < text.len(), "no path: {text}");
            assert!(
                !text.contains(['\n', '\r']) && text.chars().count() <= 500,
                "not one short line: {text}"
            );
            assert!(["unreadable_message", "unknown_message", "invalid_message"].contains(&error.category()));
            false
        }
    }
}

/// Any JSON, of names that mean something and of others.
fn any_json() -> impl Strategy<Value = Value> {
    let word = || {
        prop_oneof![
            Just("Records"),
            Just("s3"),
            Just("object"),
            Just("bucket"),
            Just("name"),
            Just("key"),
            Just("size"),
            Just("eTag"),
            Just("eventName"),
            Just("eventSource"),
            Just("ObjectCreated:Put"),
            Just("aws:s3"),
            Just("reelpool"),
            Just("job/v1"),
            Just("source"),
            Just("ladder"),
            Just("720p"),
            Just("profile"),
            Just("video"),
            Just("codec"),
            Just("av1"),
            Just("maxKbps"),
            Just("packaging"),
            Just("hls"),
            Just("Type"),
            Just("Message"),
            Just("Notification"),
            Just("detail"),
            Just("detail-type"),
            Just("Object Created"),
            Just("Event"),
        ]
        .prop_map(str::to_owned)
    };
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        word().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 6, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::from),
            hash_map(prop_oneof![4 => word(), 1 => any::<String>()], inner, 0..6)
                .prop_map(|fields| Value::from(Map::from_iter(fields))),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn any_text_is_read_or_refused(body in any::<String>()) {
        check(&body);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..400)) {
        check(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn any_json_is_read_or_refused(body in any_json()) {
        check(&body.to_string());
        // The same inside an envelope.
        check(&json!({ "Type": "Notification", "Message": body.to_string() }).to_string());
    }

    #[test]
    fn a_damaged_body_is_read_or_refused(
        which in 0..FIXTURES.len(), at in any::<prop::sample::Index>(), junk in "\\PC{0,3}", cut in 0..4_usize,
    ) {
        let mut chars: Vec<char> = FIXTURES[which].1.chars().collect();
        let at = at.index(chars.len());
        let end = (at + cut).min(chars.len());
        chars.splice(at..end, junk.chars());
        check(&String::from_iter(chars));
    }

    #[test]
    fn an_event_for_any_key_comes_back(source in any_source()) {
        let folder = source.key.ends_with('/') && source.size == Some(0);
        prop_assume!(!folder);
        let read = parse(&s3_event(&source, "2026-01-31T12:00:00.000Z"));
        prop_assert_eq!(read, Ok(Message::Jobs(vec![JobRequest { source, ladder: None, profile: None }])));
    }

    #[test]
    fn any_job_comes_back(job in any_job()) {
        let body = job_message(&job);
        prop_assert_eq!(parse(&body), Ok(Message::Jobs(vec![job.clone()])));
        let envelope = json!({ "Type": "Notification", "Message": body }).to_string();
        prop_assert_eq!(parse(&envelope), Ok(Message::Jobs(vec![job])));
    }
}

/// Every value in the document, by JSON pointer.
fn pointers(value: &Value, path: &str, found: &mut Vec<String>) {
    let mut each = |step: &str, inner: &Value| {
        let path = format!("{path}/{step}");
        pointers(inner, &path, found);
        found.push(path);
    };
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, inner)| each(name, inner)),
        Value::Array(items) => items.iter().enumerate().for_each(|(i, inner)| each(&i.to_string(), inner)),
        _ => {}
    }
}

fn remove(body: &mut Value, pointer: &str) {
    let (parent, last) = pointer.rsplit_once('/').unwrap();
    match body.pointer_mut(parent).unwrap() {
        Value::Object(fields) => drop(fields.remove(last)),
        Value::Array(items) => drop(items.remove(last.parse().unwrap())),
        _ => panic!("{pointer} has no parent"),
    }
}

#[test]
fn every_change_of_one_field_is_read_or_refused() {
    let replacements = || {
        let long = Value::from("x".repeat(5000));
        [
            json!(null),
            json!(true),
            json!(-1),
            json!(1e300),
            json!(""),
            json!([]),
            json!({}),
            json!([[]]),
            long,
        ]
    };
    let (mut with_jobs, mut all) = (0, 0);
    for (_, body) in FIXTURES {
        let body: Value = serde_json::from_str(body).unwrap();
        let mut found = Vec::new();
        pointers(&body, "", &mut found);
        for pointer in found {
            let mut less = body.clone();
            remove(&mut less, &pointer);
            let mut bodies = vec![less];
            for value in replacements() {
                let mut other = body.clone();
                *other.pointer_mut(&pointer).unwrap() = value;
                bodies.push(other);
            }
            for body in bodies {
                all += 1;
                with_jobs += usize::from(check(&body.to_string()));
            }
        }
    }
    // Most fields of an event are not looked at, the others are: both must have happened.
    assert!(with_jobs > 500 && all - with_jobs > 500, "{with_jobs} of {all} changed bodies gave jobs");
}
