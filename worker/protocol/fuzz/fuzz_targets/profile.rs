//! Any text as a profile, in JSON and in YAML: reading must not panic, and what is read must come back as it was.

#![no_main]

// Without the rest of the worker, which would take minutes to build.
#[path = "../../../src/profile/yaml.rs"]
mod yaml;

use libfuzzer_sys::fuzz_target;
use reelpool_protocol::Profile;
use reelpool_protocol::profile::{AUDIO_KBPS, CHUNK_SECONDS, CRF_AV1, LOUDNESS, SEGMENT_SECONDS};

fuzz_target!(|text: &[u8]| {
    let Ok(text) = std::str::from_utf8(text) else {
        return;
    };
    match Profile::from_json(text) {
        Ok(profile) => check(&profile),
        Err(error) => {
            check_words(&error.to_string());
            let mut reader = serde_json::Deserializer::from_str(text);
            assert!(error.locate(&mut reader).is_some(), "not found: {error}");
        }
    }
    match yaml::from_yaml(text) {
        Ok(profile) => check(&profile),
        Err(error) => {
            check_words(&error.to_string());
            let found = !matches!(error, yaml::YamlError::Wrong { place: None, .. });
            assert!(found, "not found: {error}");
        }
    }
});

fn check(profile: &Profile) {
    let bounded = [
        (profile.audio_kbps(), AUDIO_KBPS),
        (profile.segment_seconds(), SEGMENT_SECONDS),
        (profile.chunk_seconds(), CHUNK_SECONDS),
        (u32::from(profile.encoder().crf()), CRF_AV1),
    ];
    assert!(bounded.iter().all(|(number, bounds)| bounds.contains(&i64::from(*number))));
    assert!(profile.loudness().is_none_or(|lufs| LOUDNESS.contains(&i64::from(lufs))));
    assert!(profile.chunk_seconds() >= profile.segment_seconds() && !profile.packaging().is_empty());
    let whole = serde_json::to_value(profile).expect("it is written");
    for document in [whole, profile.differences()] {
        assert_eq!(Profile::from_value(&document).as_ref(), Ok(profile));
    }
}

fn check_words(error: &str) {
    assert!(!error.contains(['\n', '\r']), "more than a line: {error:?}");
    assert!(error.chars().count() <= 500, "too long: {error:?}");
}
