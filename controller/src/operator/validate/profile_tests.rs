use std::ops::RangeInclusive;

use reelpool_protocol::profile::{
    AUDIO_KBPS, BUILT_IN, CHUNK_SECONDS, CRF_AV1, LOUDNESS, MAX_KBPS, SEGMENT_SECONDS,
};
use serde_json::{Value, json};

use super::*;

fn passed(profile: &Value) -> Option<String> {
    let mut problems = Problems::default();
    let read = read(&serde_json::from_value(profile.clone()).unwrap(), None, &mut problems);
    problems.none().unwrap();
    read
}

#[test]
fn a_profile_is_passed_on_as_the_worker_reads_it() {
    assert_eq!(passed(&json!({"name": "av1"})).as_deref(), Some("av1"));
    assert_eq!(passed(&json!({})).as_deref(), Some("{}"));
    let whole = json!({
        "video": {"codec": "av1", "preset": 4, "crf": 40, "maxKbps": {"1080p": 3000}},
        "audio": {"kbps": 96, "loudness": -16},
        "packaging": ["hls", "dash"], "segmentSeconds": 4, "poster": false, "storyboard": false,
        "chunkSeconds": 30, "quality": "vmaf",
    });
    let text = passed(&whole).unwrap();
    assert_eq!(Profile::from_json(&text), Profile::from_value(&whole));
    assert!(!text.contains('\n'), "{text}");
}

/// The schema of a pool's profile, at a path of fields.
fn schema(path: &[&str]) -> Value {
    let definition = serde_json::to_value(reelpool_api::crd::definition()).unwrap();
    let root = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    let profile =
        ["spec", "profile"].iter().chain(path).fold(root, |schema, field| &schema["properties"][field]);
    profile.clone()
}

#[test]
fn the_definition_has_the_bounds_of_the_workers() {
    let bounds = |schema: &Value| schema["minimum"].as_f64().zip(schema["maximum"].as_f64());
    #[expect(clippy::cast_precision_loss, reason = "small")]
    let expected = |range: RangeInclusive<i64>| Some((*range.start() as f64, *range.end() as f64));
    for (path, range) in [
        (vec!["video", "crf"], CRF_AV1),
        (vec!["audio", "kbps"], AUDIO_KBPS),
        (vec!["audio", "loudness"], LOUDNESS),
        (vec!["segmentSeconds"], SEGMENT_SECONDS),
        (vec!["chunkSeconds"], CHUNK_SECONDS),
    ] {
        assert_eq!(bounds(&schema(&path)), expected(range), "{path:?}");
    }
    let rates = schema(&["video", "maxKbps"]);
    assert_eq!(bounds(&rates["additionalProperties"]), expected(MAX_KBPS));
    assert_eq!(schema(&["name"])["enum"], json!(BUILT_IN));
}

#[test]
fn the_definition_has_the_fields_of_the_workers() {
    let fields = |schema: &Value| -> Vec<String> {
        schema["properties"].as_object().unwrap().keys().filter(|name| *name != "name").cloned().collect()
    };
    for (path, group) in [(vec![], "the profile"), (vec!["video"], "video"), (vec!["audio"], "audio")] {
        // The reader names all that it knows when it meets another.
        let mut wrong = json!({"?": 1});
        for field in path.iter().rev() {
            wrong = json!({ *field: wrong });
        }
        let error = Profile::from_value(&wrong).unwrap_err().to_string();
        let known = error.split("expected only ").nth(1).unwrap_or_else(|| panic!("{error}"));
        let mut known: Vec<_> = known.split(", ").map(str::to_owned).collect();
        known.sort_unstable();
        assert_eq!(fields(&schema(&path)), known, "{group}");
    }
}
