//! What several tests share: real-looking bodies, and any source, ladder and job.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use reelpool_protocol::{JobRequest, Ladder, Rung, Source};

/// Bodies as AWS, another S3 server, and Reelpool write them, by name.
pub const FIXTURES: [(&str, &str); 14] = [
    ("s3-two-records", include_str!("../fixtures/s3-two-records.json")),
    ("s3-mixed", include_str!("../fixtures/s3-mixed.json")),
    ("s3-removed", include_str!("../fixtures/s3-removed.json")),
    ("s3-folder", include_str!("../fixtures/s3-folder.json")),
    ("s3-test-event", include_str!("../fixtures/s3-test-event.json")),
    ("minio", include_str!("../fixtures/minio.json")),
    ("sns-s3", include_str!("../fixtures/sns-s3.json")),
    ("sns-test-event", include_str!("../fixtures/sns-test-event.json")),
    ("sns-eventbridge", include_str!("../fixtures/sns-eventbridge.json")),
    ("sns-job", include_str!("../fixtures/sns-job.json")),
    ("eventbridge-created", include_str!("../fixtures/eventbridge-created.json")),
    ("eventbridge-deleted", include_str!("../fixtures/eventbridge-deleted.json")),
    ("job", include_str!("../fixtures/job.json")),
    ("job-least", include_str!("../fixtures/job-least.json")),
];

/// The fixture of that name.
pub fn fixture(name: &str) -> &'static str {
    FIXTURES.iter().find(|(known, _)| *known == name).map(|(_, body)| *body).expect("a fixture of that name")
}

/// Any key: any characters but NUL, 1 to 1024 bytes.
pub fn any_key() -> impl Strategy<Value = String> {
    let plain = "[a-z0-9/ +%&=.ü🎬]{1,60}";
    let wild = vec(any::<char>().prop_filter("no NUL", |c| *c != '\0'), 1..=256).prop_map(String::from_iter);
    prop_oneof![plain, wild]
}

/// Any source that a store could have.
pub fn any_source() -> impl Strategy<Value = Source> {
    let tag = || option::of("[!#-~]{1,64}");
    ("[a-zA-Z0-9][a-zA-Z0-9._-]{0,62}", any_key(), tag(), tag(), option::of(any::<u64>()))
        .prop_map(|(bucket, key, version, etag, size)| Source { bucket, key, version, etag, size })
}

/// Rungs as a person might list them: in any order, some twice.
pub fn any_rungs() -> impl Strategy<Value = Vec<Rung>> {
    let rung =
        (8_u32..=2160).prop_map(|half| format!("{}p", half * 2).parse().expect("an even rung in range"));
    vec(rung, 1..=12)
}

/// Any ladder.
pub fn any_ladder() -> impl Strategy<Value = Ladder> {
    any_rungs().prop_map(|rungs| Ladder::try_from(rungs).expect("1 to 12 rungs"))
}

/// Any job.
pub fn any_job() -> impl Strategy<Value = JobRequest> {
    (any_source(), option::of(any_ladder())).prop_map(|(source, ladder)| JobRequest { source, ladder })
}
