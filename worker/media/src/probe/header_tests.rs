use proptest::prelude::*;
use serde_json::json;

use super::*;

fn parse(document: &Value) -> Result<Header, MediaError> {
    parse_probe(document.to_string().as_bytes())
}

fn video(index: u32, width: u32, height: u32) -> Value {
    json!({"index": index, "codec_name": "h264", "codec_type": "video", "width": width, "height": height,
        "r_frame_rate": "30000/1001", "disposition": {"default": 1, "attached_pic": 0}})
}

fn audio(index: u32, default: u32) -> Value {
    json!({"index": index, "codec_name": "aac", "codec_type": "audio", "sample_rate": "48000", "channels": 2,
        "disposition": {"default": default}})
}

#[test]
fn the_largest_moving_picture_and_the_default_audio() {
    let cover = json!({"index": 4, "codec_name": "mjpeg", "codec_type": "video", "width": 4000, "height": 4000,
        "disposition": {"attached_pic": 1}});
    let text = json!({"index": 5, "codec_name": "mov_text", "codec_type": "subtitle"});
    let streams = [video(0, 320, 180), audio(1, 0), video(2, 480, 270), audio(3, 1), cover, text];
    let header = parse(&json!({"streams": streams, "format": {"duration": "16.570000"}})).unwrap();
    assert_eq!((header.video.index, header.video.width), (2, 480));
    assert_eq!(header.video.header_duration_us, Some(16_570_000));
    assert_eq!(header.audio.unwrap().index, 3);
    assert_eq!(
        header.notes,
        [
            "left out: another video stream (stream 0, h264)",
            "left out: another audio stream (stream 1, aac)",
            "left out: a still picture (stream 4, mjpeg)",
            "left out: subtitles (stream 5, mov_text)",
        ]
    );
}

#[test]
fn of_equal_streams_the_first() {
    let header =
        parse(&json!({"streams": [video(0, 2, 2), video(1, 2, 2), audio(2, 0), audio(3, 0)]})).unwrap();
    assert_eq!((header.video.index, header.audio.unwrap().index), (0, 2));
}

#[test]
fn rotation_shape_and_colour() {
    let mut stream = video(0, 352, 288);
    stream["sample_aspect_ratio"] = json!("12:11");
    stream["color_transfer"] = json!("arib-std-b67");
    stream["color_space"] = json!("bt2020nc");
    stream["color_primaries"] = json!("x:y,z");
    stream["field_order"] = json!("tt");
    stream["side_data_list"] =
        json!([{"side_data_type": "Other"}, {"side_data_type": "Display Matrix", "rotation": -90}]);
    let video = parse(&json!({"streams": [stream]})).unwrap().video;
    assert_eq!(video.display_size(), (288, 384));
    assert!(video.interlaced && video.on_its_side);
    assert_eq!(video.transfer, Transfer::Hlg);
    assert_eq!((video.matrix.as_deref(), video.primaries), (Some("bt2020nc"), None));
}

#[test]
fn the_tag_of_old_files_rotates_too() {
    let mut stream = video(0, 640, 360);
    stream["tags"] = json!({"rotate": "270"});
    assert_eq!(parse(&json!({"streams": [stream]})).unwrap().video.display_size(), (360, 640));
}

#[test]
fn a_mad_pixel_shape_is_square_with_a_note() {
    let mut stream = video(0, 640, 360);
    stream["sample_aspect_ratio"] = json!("1:65535");
    let header = parse(&json!({"streams": [stream]})).unwrap();
    assert_eq!(header.video.display_size(), (640, 360));
    assert_eq!(header.notes.len(), 1);
}

#[test]
fn errors_have_their_category() {
    let mut unknown = video(0, 640, 360);
    unknown["codec_name"] = json!("unknown");
    let mut encrypted = video(0, 640, 360);
    encrypted["tags"] = json!({"enc_key_id": "abc="});
    let table = [
        (json!({"streams": [audio(0, 1)]}), "no_video"),
        (json!({"streams": []}), "no_video"),
        (json!({}), "no_video"),
        (json!({"streams": [video(0, 0, 0)]}), "corrupt_input"),
        (json!({"streams": [unknown]}), "unsupported_codec"),
        (json!({"streams": [encrypted]}), "encrypted"),
        (json!([1, 2]), "corrupt_input"),
    ];
    for (document, category) in table {
        assert_eq!(parse(&document).unwrap_err().category(), category, "{document}");
    }
}

fn any_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(json!(null)),
        any::<i64>().prop_map(|n| json!(n)),
        any::<f64>().prop_map(|n| json!(n)),
        "[0-9:/.x-]{0,12}".prop_map(|text| json!(text)),
        ".{0,12}".prop_map(|text| json!(text)),
        Just(json!({"default": 1, "rotate": "90", "rotation": -90})),
        Just(json!([{"rotation": 9_000_000_000_000_i64}, 3, "x"])),
    ]
}

proptest! {
    #[test]
    fn any_bytes_give_a_header_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = parse_probe(&bytes);
    }

    #[test]
    fn any_fields_give_a_header_that_cannot_be_wrong(fields in proptest::collection::vec((prop::sample::select(vec![
        "index", "codec_name", "width", "height", "sample_aspect_ratio", "r_frame_rate", "duration", "nb_frames",
        "side_data_list", "tags", "disposition", "field_order", "color_transfer", "color_primaries",
    ]), any_value()), 0..6)) {
        let mut stream = video(0, 1920, 1080);
        for (key, value) in fields {
            stream[key] = value;
        }
        if let Ok(header) = parse(&json!({"streams": [stream, 7, null]})) {
            let (width, height) = header.video.display_size();
            prop_assert!(width >= 1 && height >= 1);
            prop_assert!(header.video.base_rate.is_none_or(|rate| rate.fps() > 0.0));
        }
    }
}

#[test]
fn names_that_a_file_made_up_are_told_in_one_short_line() {
    let kind = format!("\\ndeo{}", "x".repeat(500));
    let streams = vec![format!(r#"{{"codec_type":"{kind}"}}"#); 300].join(",");
    let error = parse_probe(format!(r#"{{"streams":[{streams}]}}"#).as_bytes()).unwrap_err();
    let expected = format!("only ?deo{}", "x".repeat(36));
    assert!(error.to_string().contains(&format!("({expected})")), "{error}");
}
