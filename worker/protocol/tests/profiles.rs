//! Profiles: what is read, and what is refused with which words.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, dead_code, reason = "tests")]

mod common;

use common::{any_profile, any_profile_document};
use proptest::prelude::*;
use reelpool_protocol::Profile;
use reelpool_protocol::profile::{BUILT_IN, Encoder, Packaging, Preset, Quality};
use serde_json::{Value, json};

fn profile(document: &Value) -> Profile {
    Profile::from_value(document).unwrap_or_else(|error| panic!("{document}: {error}"))
}

#[test]
fn nothing_written_is_the_default() {
    let default = profile(&json!({}));
    assert_eq!(default, Profile::default());
    assert_eq!(Profile::built_in(BUILT_IN[0]), Some(default.clone()));
    assert_eq!(default.encoder(), Encoder::X264 { preset: "faster".parse().unwrap(), crf: 22 });
    assert_eq!(default.max_kbps("1080p".parse().unwrap()), None);
    assert_eq!((default.audio_kbps(), default.loudness()), (128, None));
    assert_eq!(default.packaging(), [Packaging::Mp4, Packaging::Hls, Packaging::Dash]);
    assert_eq!((default.segment_seconds(), default.chunk_seconds()), (6, 60));
    assert!(default.poster() && default.storyboard());
    assert_eq!(default.quality(), Quality::None);
    let nulls = json!({ "video": null, "audio": { "kbps": null, "loudness": null }, "packaging": null,
        "segmentSeconds": null, "poster": null, "storyboard": null, "chunkSeconds": null, "quality": null });
    assert_eq!(profile(&nulls), default);
}

#[test]
fn built_in_ones_are_what_they_say() {
    let table = [
        ("h264", json!({})),
        ("fast", json!({ "video": { "preset": "veryfast" } })),
        ("av1", json!({ "video": { "codec": "av1", "preset": "10", "crf": 35 } })),
    ];
    assert_eq!(table.each_ref().map(|(name, _)| *name), BUILT_IN);
    for (name, document) in table {
        let built_in = Profile::built_in(name).unwrap();
        assert_eq!(built_in, profile(&document), "{name}");
        assert_eq!(built_in.built_in_name(), Some(name));
    }
    assert_eq!(Profile::built_in("H264"), None);
    assert_eq!(profile(&json!({ "poster": false })).built_in_name(), None);
}

#[test]
fn every_field_arrives_where_it_belongs() {
    let all = profile(&json!({
        "video": { "codec": "av1", "preset": 4, "crf": 63, "maxKbps": { "1080P": 8000, "360p": 50 } },
        "audio": { "kbps": 32, "loudness": -16 },
        "packaging": ["dash", "mp4", "dash"],
        "segmentSeconds": 30,
        "poster": false,
        "storyboard": false,
        "chunkSeconds": 3600,
        "quality": "vmaf",
    }));
    assert_eq!(all.encoder(), Encoder::SvtAv1 { preset: 4, crf: 63 });
    let rates = ["1080p", "720p", "360p"].map(|rung| all.max_kbps(rung.parse().unwrap()));
    assert_eq!(rates, [Some(8000), None, Some(50)]);
    assert_eq!((all.audio_kbps(), all.loudness()), (32, Some(-16)));
    assert_eq!(all.packaging(), [Packaging::Mp4, Packaging::Dash]);
    assert_eq!((all.segment_seconds(), all.chunk_seconds()), (30, 3600));
    assert!(!all.poster() && !all.storyboard());
    assert_eq!(all.quality(), Quality::Vmaf);
}

#[test]
fn what_is_wrong_is_named_with_what_is_allowed() {
    let presets = "a preset of x264 (ultrafast, superfast, veryfast, faster, fast, medium, slow, slower, veryslow, placebo)";
    let fields = "video, audio, packaging, segmentSeconds, poster, storyboard, chunkSeconds, quality";
    let table = [
        (json!(7), "the profile: expected an object, found a number".to_owned()),
        (json!("h264"), "the profile: expected an object, found a string".to_owned()),
        (json!(null), "the profile: expected an object, found null".to_owned()),
        (json!({ "vidio": {} }), format!("vidio: unknown field, expected only {fields}")),
        (
            json!({ "video": { "codek": 1 } }),
            "video.codek: unknown field, expected only codec, preset, crf, maxKbps".to_owned(),
        ),
        (
            json!({ "audio": { "a\nb": 1 } }),
            "audio.a b: unknown field, expected only kbps, loudness".to_owned(),
        ),
        (json!({ "video": [] }), "video: expected an object, found an array".to_owned()),
        (
            json!({ "video": { "codec": "hevc" } }),
            "video.codec: expected one of h264, av1, found `hevc`".to_owned(),
        ),
        (
            json!({ "video": { "codec": 264 } }),
            "video.codec: expected one of h264, av1, found a number".to_owned(),
        ),
        (
            json!({ "video": { "preset": "fastest" } }),
            format!("video.preset: expected {presets}, found `fastest`"),
        ),
        (json!({ "video": { "preset": "10" } }), format!("video.preset: expected {presets}, found `10`")),
        (json!({ "video": { "preset": 10 } }), format!("video.preset: expected {presets}, found `10`")),
        (
            json!({ "video": { "codec": "av1", "preset": "faster" } }),
            "video.preset: expected a preset of SVT-AV1 (0 to 13), found `faster`".to_owned(),
        ),
        (
            json!({ "video": { "codec": "av1", "preset": "14" } }),
            "video.preset: expected a preset of SVT-AV1 (0 to 13), found `14`".to_owned(),
        ),
        (
            json!({ "video": { "codec": "av1", "preset": -1 } }),
            "video.preset: expected a preset of SVT-AV1 (0 to 13), found `-1`".to_owned(),
        ),
        (
            json!({ "video": { "codec": "av1", "preset": "+9" } }),
            "video.preset: expected a preset of SVT-AV1 (0 to 13), found `+9`".to_owned(),
        ),
        (
            json!({ "video": { "crf": 52 } }),
            "video.crf: expected a whole number from 0 to 51, found `52`".to_owned(),
        ),
        (
            json!({ "video": { "crf": 22.5 } }),
            "video.crf: expected a whole number from 0 to 51, found `22.5`".to_owned(),
        ),
        (
            json!({ "video": { "crf": "22" } }),
            "video.crf: expected a whole number from 0 to 51, found a string".to_owned(),
        ),
        (
            json!({ "video": { "codec": "av1", "crf": 64 } }),
            "video.crf: expected a whole number from 0 to 63, found `64`".to_owned(),
        ),
        (
            json!({ "video": { "maxKbps": { "HD": 8000 } } }),
            "video.maxKbps.HD: `HD` is not a rung: write the short side in pixels and a p, such as 720p"
                .to_owned(),
        ),
        (
            json!({ "video": { "maxKbps": { "1080p": 8000, "1080P": 8000 } } }),
            "video.maxKbps.1080p: 1080p is there twice: name each rung once".to_owned(),
        ),
        (
            json!({ "video": { "maxKbps": { "1080p": 49 } } }),
            "video.maxKbps.1080p: expected a whole number from 50 to 100000, found `49`".to_owned(),
        ),
    ];
    all_refused(&table);
    let rungs: serde_json::Map<_, _> = (8..73).map(|half| (format!("{}p", half * 2), json!(50))).collect();
    let many = json!({ "video": { "maxKbps": rungs } });
    let error = Profile::from_value(&many).unwrap_err().to_string();
    assert_eq!(error, "video.maxKbps: expected at most 64 rungs, found 65");
    let error = Profile::from_json("{").unwrap_err().to_string();
    assert_eq!(error, "the profile: expected JSON: EOF while parsing an object at line 1 column 1");
}

#[test]
fn what_is_wrong_beside_the_picture_is_named_too() {
    let table = [
        (
            json!({ "audio": { "kbps": 513 } }),
            "audio.kbps: expected a whole number from 32 to 512, found `513`".to_owned(),
        ),
        (
            json!({ "audio": { "loudness": 0 } }),
            "audio.loudness: expected a whole number from -70 to -5, found `0`".to_owned(),
        ),
        (
            json!({ "packaging": [] }),
            "packaging: expected at least one of mp4, hls, dash, found none".to_owned(),
        ),
        (json!({ "packaging": "mp4" }), "packaging: expected an array, found a string".to_owned()),
        (
            json!({ "packaging": ["mp4", "webm"] }),
            "packaging[1]: expected one of mp4, hls, dash, found `webm`".to_owned(),
        ),
        (
            json!({ "segmentSeconds": 1 }),
            "segmentSeconds: expected a whole number from 2 to 30, found `1`".to_owned(),
        ),
        (json!({ "poster": "yes" }), "poster: expected true or false, found `yes`".to_owned()),
        (json!({ "storyboard": 1 }), "storyboard: expected true or false, found a number".to_owned()),
        (
            json!({ "chunkSeconds": 9 }),
            "chunkSeconds: expected a whole number from 10 to 3600, found `9`".to_owned(),
        ),
        (
            json!({ "chunkSeconds": 10, "segmentSeconds": 12 }),
            "chunkSeconds: expected at least a segment (12 s), found `10`".to_owned(),
        ),
        (json!({ "quality": "psnr" }), "quality: expected one of none, ssim, vmaf, found `psnr`".to_owned()),
    ];
    all_refused(&table);
}

/// Each document is refused with these words.
fn all_refused(table: &[(Value, String)]) {
    for (document, says) in table {
        let error = Profile::from_value(document).expect_err(&document.to_string());
        assert_eq!(error.to_string(), *says, "{document}");
        assert_eq!(format!("{}: {}", error.path(), error.problem()), *says);
    }
}

#[test]
fn an_error_is_found_in_its_document() {
    let at = |text: &str| {
        let error = Profile::from_json(text).expect_err(text);
        let mut reader = serde_json::Deserializer::from_str(text);
        let found = error.locate(&mut reader).unwrap_or_else(|| panic!("{error} is not in {text}"));
        (found.line(), found.column())
    };
    // The reader of JSON tells where what was read last ends.
    assert_eq!(at("{\n \"video\": {\n  \"codec\": \"av1\",\n  \"crf\": 64}}"), (4, 11));
    assert_eq!(at("{\n \"video\": {\n  \"codek\": \"av1\"}}"), (3, 9));
    assert_eq!(at("{\"packaging\": [\"mp4\",\n \"webm\"]}"), (2, 7));
    assert_eq!(at("{\"video\": {\"maxKbps\": {\n\n\"HD\": 1}}}"), (3, 7));
    assert_eq!(at("\n7"), (2, 1));
    let long = "x".repeat(100);
    assert_eq!(at(&format!("{{\"video\":\n{{\"{long}\": 1}}}}")), (2, 103));
    let error = Profile::from_json("{\"poster\": 1}").unwrap_err();
    assert!(error.locate(&json!({ "poster": { "a": 1 } })).is_some());
    assert!(error.locate(&json!({ "video": { "poster": 1 }, "packaging": [1] })).is_none());
}

#[test]
fn differences_are_all_that_is_written() {
    let table = [
        (json!({}), json!({})),
        (json!({ "video": { "codec": "h264", "crf": 22 }, "poster": true }), json!({})),
        (json!({ "video": { "codec": "av1", "crf": 35 } }), json!({ "video": { "codec": "av1" } })),
        (
            json!({ "video": { "codec": "av1", "preset": 4, "crf": 22 } }),
            json!({ "video": { "codec": "av1", "preset": "4", "crf": 22 } }),
        ),
        (
            json!({ "packaging": ["hls", "mp4"], "audio": { "kbps": 128, "loudness": -16 } }),
            json!({ "packaging": ["mp4", "hls"], "audio": { "loudness": -16 } }),
        ),
    ];
    for (document, differences) in table {
        assert_eq!(profile(&document).differences(), differences, "{document}");
    }
}

#[test]
fn another_preset_of_x264() {
    let slow: Preset = "slow".parse().unwrap();
    let changed = profile(&json!({ "video": { "crf": 18 }, "poster": false })).with_x264_preset(slow);
    assert_eq!(changed, Some(profile(&json!({ "video": { "crf": 18, "preset": "slow" }, "poster": false }))));
    assert_eq!(Profile::built_in("av1").unwrap().with_x264_preset(slow), None);
}

#[test]
fn presets_are_known_by_name() {
    assert_eq!("medium".parse::<Preset>().unwrap().name(), "medium");
    assert!("Medium".parse::<Preset>().is_err());
    assert!(Preset::NAMES.contains(&Preset::default().name()));
}

proptest! {
    #[test]
    fn a_profile_comes_back(profile in any_profile()) {
        for text in [serde_json::to_string(&profile).unwrap(), profile.differences().to_string()] {
            prop_assert_eq!(Profile::from_json(&text), Ok(profile.clone()));
            prop_assert_eq!(&serde_json::from_str::<Profile>(&text).unwrap(), &profile);
        }
        // No document says less and means the same.
        let (differences, whole) = (profile.differences(), serde_json::to_value(&profile).unwrap());
        let fewer = differences.as_object().unwrap().keys().map(|field| {
            let mut fewer = differences.clone();
            fewer.as_object_mut().unwrap().remove(field);
            fewer
        });
        for fewer in fewer {
            prop_assert_ne!(Profile::from_value(&fewer), Ok(profile.clone()));
        }
        prop_assert!(profile.built_in_name().is_some() || differences != json!({}), "{whole}");
    }

    #[test]
    fn a_field_more_is_refused_and_found(document in any_profile_document(), name in "\\PC{0,60}", group in 0..3_usize) {
        let mut document = document;
        let place = match group {
            0 => Some(&mut document),
            1 => document.get_mut("video"),
            _ => document.get_mut("audio"),
        };
        let Some(fields) = place.and_then(Value::as_object_mut) else { return Ok(()) };
        prop_assume!(!fields.contains_key(&name) && name != "preset" && name != "codec");
        fields.insert(name, json!(1));
        let error = Profile::from_value(&document).unwrap_err();
        prop_assert!(error.problem().starts_with("unknown field"), "{}", error);
        prop_assert!(!error.to_string().contains('\n'));
        let text = document.to_string();
        let mut reader = serde_json::Deserializer::from_str(&text);
        prop_assert!(error.locate(&mut reader).is_some(), "{}", error);
    }
}
