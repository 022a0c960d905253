use proptest::prelude::*;

use super::*;
use crate::package::fixtures::{self, AAC_LC, boxed};

fn named(entry: &[u8]) -> Result<(String, Media), TrackError> {
    let kind = [entry[4], entry[5], entry[6], entry[7]];
    describe(kind, &entry[8..])
}

#[test]
fn h264_by_profile_constraints_and_level() {
    let table = [([0x42, 0xe0, 0x1e], "avc1.42E01E"), ([0x64, 0x00, 0x33], "avc1.640033")];
    for ([a, b, c], expected) in table {
        let entry = fixtures::visual("avc1", 640, 360, &boxed("avcC", &[1, a, b, c, 0xff]));
        assert_eq!(named(&entry).unwrap(), (expected.into(), Media::Video { width: 640, height: 360 }));
    }
}

#[test]
fn av1_by_profile_level_tier_and_bits() {
    let table = [
        // From a file of ffmpeg and SVT-AV1; then made up after the specification's own examples.
        ([0x81, 0x00, 0x0c, 0x00], "av01.0.00M.08"),
        ([0x81, 0x04, 0x4c, 0x00], "av01.0.04M.10"),
        ([0x81, 0x09, 0xcc, 0x00], "av01.0.09H.10"),
        ([0x81, 0x4d, 0x60, 0x00], "av01.2.13M.12"),
        ([0x81, 0x2d, 0x60, 0x00], "av01.1.13M.10"),
    ];
    for (config, expected) in table {
        let entry = fixtures::visual("av01", 64, 36, &boxed("av1C", &config));
        assert_eq!(named(&entry).unwrap().0, expected);
    }
}

#[test]
fn sound_by_its_object_types() {
    let with = |specific: &[u8]| {
        let config =
            [&[0x40, 0x15], [0; 11].as_slice(), &[5, u8::try_from(specific.len()).unwrap()], specific];
        let config = config.concat();
        let stream = [&[0, 1, 0, 4, u8::try_from(config.len()).unwrap()], config.as_slice()].concat();
        [&[3, u8::try_from(stream.len()).unwrap()], stream.as_slice()].concat()
    };
    let mp3 = [3, 9, 0, 1, 0, 4, 4, 0x6b, 0, 0, 0];
    // All three optional fields of the stream's descriptor: 2 bytes, a URL of 2, 2 bytes.
    let long =
        [&[3, 28, 0, 1, 0xe0, 9, 9, 2, b'a', b'b', 9, 9, 4, 16, 0x40], [0; 12].as_slice(), &[5, 1, 0x10]];
    let table: [(&[u8], &str); 5] = [
        (&AAC_LC, "mp4a.40.2"),
        (&with(&[0x2b, 0x92]), "mp4a.40.5"),
        // 31, and then 10 in six bits: 42, USAC.
        (&with(&[0xf9, 0x40]), "mp4a.40.42"),
        (&mp3, "mp4a.6B"),
        (&long.concat(), "mp4a.40.2"),
    ];
    for (descriptors, expected) in table {
        let (codec, media) = named(&fixtures::audio(descriptors)).unwrap();
        assert_eq!(codec, expected);
        assert_eq!(media, Media::Audio { channels: 2, sample_rate: 48_000 });
    }
}

#[test]
fn what_cannot_be_named_is_refused() {
    let hevc = fixtures::visual("hvc1", 64, 36, &boxed("hvcC", &[1; 23]));
    assert!(matches!(named(&hevc), Err(TrackError::Codec(codec)) if codec == "hvc1"));
    let odd = fixtures::visual("a\"\n\u{7f}", 64, 36, &[]);
    assert!(matches!(named(&odd), Err(TrackError::Codec(codec)) if codec == r#"a\"\n\u{7f}"#));
    let bare = fixtures::visual("avc1", 64, 36, &boxed("avcC", &[1, 2]));
    assert!(matches!(named(&bare), Err(TrackError::Missing("avcC"))));
    let short = boxed("mp4a", &[0; 20]);
    assert!(matches!(named(&short), Err(TrackError::Missing("mp4a"))));
}

proptest! {
    #[test]
    fn any_sample_description_is_judged(
        kind in prop_oneof![Just(*b"avc1"), Just(*b"av01"), Just(*b"mp4a"), any::<[u8; 4]>()],
        at in 0_usize..200,
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let _ = describe(kind, &bytes);
        let mut entry = if &kind == b"mp4a" { fixtures::mp4a() } else { fixtures::avc1(2, 2) };
        let at = at % entry.len();
        let len = bytes.len().min(entry.len() - at);
        entry[at..at + len].copy_from_slice(&bytes[..len]);
        let _ = describe(kind, &entry[8..]);
    }
}
