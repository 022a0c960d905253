//! What several tests share: real-looking bodies, and any source, ladder and job.

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use reelpool_protocol::profile::{
    AUDIO_KBPS, BUILT_IN, CHUNK_SECONDS, CRF_AV1, CRF_H264, LOUDNESS, MAX_KBPS, PRESET_AV1, Preset,
    SEGMENT_SECONDS,
};
use reelpool_protocol::{JobRequest, Ladder, Profile, Rung, Source};
use serde_json::{Value, json};

/// Bodies as AWS, another S3 server, and Reelpool write them, by name.
pub const FIXTURES: [(&str, &str); 16] = [
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
    ("job-named-profile", include_str!("../fixtures/job-named-profile.json")),
    ("job-profile", include_str!("../fixtures/job-profile.json")),
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
    vec(any_rung(), 1..=12)
}

/// Any rung.
pub fn any_rung() -> impl Strategy<Value = Rung> {
    (8_u32..=2160).prop_map(|half| format!("{}p", half * 2).parse().expect("an even rung in range"))
}

/// Any ladder.
pub fn any_ladder() -> impl Strategy<Value = Ladder> {
    any_rungs().prop_map(|rungs| Ladder::try_from(rungs).expect("1 to 12 rungs"))
}

/// Any profile, as a document that says much, little or nothing.
pub fn any_profile_document() -> impl Strategy<Value = Value> {
    let h264 = (option::of(prop::sample::select(&Preset::NAMES[..])), option::of(CRF_H264))
        .prop_map(|(preset, crf)| json!({ "preset": preset, "crf": crf }));
    let av1 = (option::of(PRESET_AV1), option::of(CRF_AV1)).prop_map(
        |(preset, crf)| json!({ "codec": "av1", "preset": preset.map(|preset| preset.to_string()), "crf": crf }),
    );
    let video =
        (prop_oneof![h264, av1], btree_map(any_rung(), MAX_KBPS, 0..4)).prop_map(|(mut video, rates)| {
            video["maxKbps"] =
                rates.into_iter().map(|(rung, kbps)| (rung.to_string(), Value::from(kbps))).collect();
            video
        });
    let audio = (option::of(AUDIO_KBPS), option::of(LOUDNESS))
        .prop_map(|(kbps, loudness)| json!({ "kbps": kbps, "loudness": loudness }));
    let forms = vec(prop::sample::select(&["mp4", "hls", "dash"][..]), 1..5);
    let quality = prop::sample::select(&["none", "ssim", "vmaf"][..]);
    let times = (option::of(SEGMENT_SECONDS), option::of(30..=*CHUNK_SECONDS.end()));
    let truth = || option::of(any::<bool>());
    (option::of(video), option::of(audio), option::of(forms), times, truth(), truth(), option::of(quality))
        .prop_map(|(video, audio, packaging, (segment, chunk), poster, storyboard, quality)| {
            json!({
                "video": video, "audio": audio, "packaging": packaging, "segmentSeconds": segment,
                "poster": poster, "storyboard": storyboard, "chunkSeconds": chunk, "quality": quality,
            })
        })
}

/// Any profile; often a built-in one.
pub fn any_profile() -> impl Strategy<Value = Profile> {
    let built_in =
        prop::sample::select(&BUILT_IN[..]).prop_map(|name| Profile::built_in(name).expect("it is"));
    let other =
        any_profile_document().prop_map(|document| Profile::from_value(&document).expect("it is sound"));
    prop_oneof![1 => built_in, 3 => other]
}

/// Any job.
pub fn any_job() -> impl Strategy<Value = JobRequest> {
    (any_source(), option::of(any_ladder()), option::of(any_profile()))
        .prop_map(|(source, ladder, profile)| JobRequest { source, ladder, profile })
}
