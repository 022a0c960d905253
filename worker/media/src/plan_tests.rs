use proptest::prelude::*;

use super::*;
use crate::scan::Picture;
use crate::sniff::Container;

/// A master of ten seconds at 30 frames a second.
pub(crate) fn master(width: u32, height: u32) -> Source {
    let mut source = Source {
        bytes: 1_000_000,
        container: Container::IsoMedia,
        start_us: 0,
        video: Video {
            index: 0,
            codec: "h264".into(),
            width,
            height,
            pixel_shape: (1, 1),
            on_its_side: false,
            base_rate: Rate::new(30, 1),
            transfer: Transfer::Sdr,
            primaries: None,
            matrix: None,
            interlaced: false,
            header_frames: Some(300),
            header_duration_us: Some(10_000_000),
        },
        audio: None,
        picture: Picture::default(),
        warnings: Vec::new(),
    };
    timed(&mut source, "30/1", 30.0);
    source
}

/// Gives the master a base rate, and ten seconds of frames at a mean rate with equal gaps.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small")]
pub(crate) fn timed(source: &mut Source, base: &str, fps: f64) {
    source.video.base_rate = Rate::parse(base);
    let gap = 1_000_000.0 / fps;
    let frames = (10.0 * fps).round().max(1.0);
    source.picture = Picture {
        frames: frames as u64,
        packets: frames as u64,
        last_us: ((frames - 1.0) * gap) as i64,
        end_us: (frames * gap) as i64,
        longest_gap_us: if frames > 1.0 { gap as u64 } else { 0 },
        ..Picture::default()
    };
}

pub(crate) fn options() -> PlanOptions {
    PlanOptions { profile: Profile::default(), threads: 2 }
}

/// The default options with a profile of one's own.
fn with(profile: &str) -> PlanOptions {
    PlanOptions { profile: Profile::from_json(profile).unwrap(), ..options() }
}

fn sizes(source: &Source, ladder: &str) -> Vec<(String, u32, u32)> {
    let plan = plan(source, &ladder.parse().unwrap(), &options());
    plan.renditions.into_iter().map(|r| (r.name, r.width, r.height)).collect()
}

/// Stored size, pixel shape, on its side, ladder, sizes of the renditions.
type Row = ((u32, u32), (u32, u32), bool, &'static str, &'static [(u32, u32)]);

#[test]
fn sizes_of_the_renditions() {
    let all = "1080p,720p,480p,360p";
    let table: [Row; 13] = [
        ((1920, 1080), (1, 1), false, all, &[(1920, 1080), (1280, 720), (854, 480), (640, 360)]),
        ((1920, 1080), (1, 1), true, all, &[(1080, 1920), (720, 1280), (480, 854), (360, 640)]),
        ((1920, 1080), (1, 1), false, "2160p,1440p,720p", &[(1280, 720)]),
        ((1080, 720), (1, 1), false, all, &[(1080, 720), (720, 480), (540, 360)]),
        ((640, 360), (1, 1), false, all, &[(640, 360)]),
        ((642, 642), (1, 1), false, all, &[(480, 480), (360, 360)]),
        ((161, 121), (1, 1), false, all, &[(160, 120)]),
        ((719, 1279), (1, 1), false, "720p", &[(718, 1278)]),
        ((352, 288), (12, 11), false, "288p,144p", &[(384, 288), (192, 144)]),
        ((352, 288), (12, 11), true, "240p", &[(240, 320)]),
        ((200, 112), (224, 225), false, "360p", &[(200, 112)]),
        ((720, 576), (64, 45), false, "360p", &[(640, 360)]),
        ((1, 1), (1, 1), false, all, &[(2, 2)]),
    ];
    for ((width, height), shape, on_its_side, ladder, expected) in table {
        let mut source = master(width, height);
        (source.video.pixel_shape, source.video.on_its_side) = (shape, on_its_side);
        let made = sizes(&source, ladder);
        let named: Vec<_> = expected.iter().map(|(w, h)| (format!("{}p", w.min(h)), *w, *h)).collect();
        assert_eq!(made, named, "{width}x{height} {shape:?} {on_its_side} {ladder}");
    }
}

#[test]
fn one_constant_rate() {
    // base rate, mean rate, longest gap in frames, interlaced, result
    let table = [
        ("30000/1001", 29.97, 1.0, false, "30000/1001"),
        ("179/6", 29.833, 1.0, false, "179/6"),
        ("60/1", 29.99, 1.02, false, "30/1"),
        ("30000/1001", 28.03, 3.0, false, "30000/1001"),
        ("30000/1001", 14.14, 1.8, false, "30000/1001"),
        ("90000/1", 14.14, 4.0, false, "24000/1001"),
        ("90000/1", 17.0, 1.0, false, "17/1"),
        ("50/1", 25.0, 1.0, true, "25/1"),
        ("120/1", 120.0, 1.0, false, "60/1"),
        ("120000/1001", 119.88, 1.0, false, "60000/1001"),
        ("90/1", 90.0, 1.0, false, "45/1"),
        ("1000/1", 1000.0, 1.0, false, "1000/17"),
        ("1/5", 0.2, 1.0, false, "1/1"),
        ("12/1", 0.1, 1.0, false, "12/1"),
        ("0/0", 0.1, 1.0, false, "25/1"),
    ];
    for (base, fps, longest, interlaced, expected) in table {
        let mut source = master(640, 360);
        timed(&mut source, base, fps);
        source.video.interlaced = interlaced;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small")]
        {
            source.picture.longest_gap_us = (longest * 1_000_000.0 / fps) as u64;
        }
        let plan = plan(&source, &Ladder::default(), &options());
        assert_eq!(plan.grid.rate.to_string(), expected, "{base} {fps} {longest}");
    }
}

#[test]
fn what_the_picture_needs() {
    let mut source = master(1920, 1080);
    let simple = plan(&source, &Ladder::default(), &options());
    assert!(!simple.deinterlace && simple.tone_map.is_none() && simple.audio.is_none());
    source.video.interlaced = true;
    source.video.transfer = Transfer::Pq;
    source.video.matrix = Some("bt2020c".into());
    source.audio = Some(crate::source::Audio { index: 3, codec: "ac3".into(), channels: 6, start_us: None });
    timed(&mut source, "240/1", 240.0);
    let plan = plan(&source, &Ladder::default(), &PlanOptions { threads: 0, ..options() });
    let map = ToneMap { transfer: "smpte2084", primaries: "bt2020", matrix: "bt2020c" };
    assert_eq!(
        (plan.tone_map, plan.audio),
        (Some(map), Some(AudioPlan { index: 3, kbps: 128, gain_centidb: 0 }))
    );
    assert!(plan.deinterlace);
    assert_eq!(plan.threads, 1);
}

#[test]
fn bit_rates_follow_size_and_rate() {
    let thirty = Rate { num: 30, den: 1 };
    let table = [
        ((1920, 1080), 8000),
        ((1280, 720), 4355),
        ((640, 360), 1540),
        ((3840, 2160), 22627),
        ((16, 16), 100),
    ];
    for ((width, height), kbps) in table {
        assert_eq!(max_kbps(width, height, thirty), kbps);
    }
}

#[test]
fn the_profile_decides_encoder_and_rates() {
    let mut source = master(1920, 1080);
    source.audio = Some(crate::source::Audio { index: 1, codec: "aac".into(), channels: 2, start_us: None });
    let own = r#"{"video":{"codec":"av1","preset":"4","crf":63,"maxKbps":{"720p":900,"90p":800}},"audio":{"kbps":96}}"#;
    let own = plan(&source, &"1080p,720p".parse().unwrap(), &with(own));
    assert_eq!(own.encoder, Encoder::SvtAv1 { preset: 4, crf: 63 });
    let rates: Vec<_> = own.renditions.iter().map(|r| (r.name.as_str(), r.max_kbps)).collect();
    assert_eq!(rates, [("1080p", 8000), ("720p", 900)]);
    assert_eq!(own.audio, Some(AudioPlan { index: 1, kbps: 96, gain_centidb: 0 }));
    assert_eq!(own.largest_output_bytes(&source), (2 * (8000 + 900) + 3 * 96) * 1250);
    // A rung of its own size has its own rate too.
    let small = plan(&master(160, 90), &Ladder::default(), &with(r#"{"video":{"maxKbps":{"90p":800}}}"#));
    assert_eq!((small.renditions[0].name.as_str(), small.renditions[0].max_kbps), ("90p", 800));
}

#[test]
fn pieces_of_another_profile_are_another_plans() {
    let tools = Tools {
        ffmpeg: "/f".into(),
        ffprobe: "/p".into(),
        version: "ffmpeg version 5.1".into(),
        tone_mapping: true,
        svt_av1: true,
        vmaf: false,
    };
    let mut source = master(1920, 1080);
    source.audio = Some(crate::source::Audio { index: 1, codec: "aac".into(), channels: 2, start_us: None });
    let print = |options: &PlanOptions| plan(&source, &Ladder::default(), options).fingerprint(&tools);
    let own = print(&options());
    assert_eq!(print(&PlanOptions { threads: 9, ..options() }), own);
    for other in [
        r#"{"video":{"codec":"av1"}}"#,
        r#"{"video":{"preset":"fast"}}"#,
        r#"{"video":{"crf":23}}"#,
        r#"{"video":{"maxKbps":{"720p":900}}}"#,
        r#"{"audio":{"kbps":96}}"#,
        r#"{"audio":{"loudness":-16}}"#,
        r#"{"chunkSeconds":30}"#,
    ] {
        assert_ne!(print(&with(other)), own, "{other}");
    }
    assert_ne!(
        plan(&source, &Ladder::default(), &options())
            .fingerprint(&Tools { version: "ffmpeg version 7".into(), ..tools.clone() }),
        own
    );
}

#[test]
fn what_av1_cannot_make_is_left_out_or_made_by_x264() {
    let av1 = with(r#"{"video":{"codec":"av1"}}"#);
    let made = |source: &Source, ladder: &str| {
        let plan = plan(source, &ladder.parse().unwrap(), &av1);
        let names = plan.renditions.into_iter().map(|r| r.name).collect::<Vec<_>>().join(",");
        (plan.encoder.codec(), names, plan.notes.join(";"))
    };
    let table = [
        ((1920, 1080), "1080p,64p,48p", ("av1", "1080p,64p", "48p is too small for av1: left out")),
        ((1920, 1080), "62p,48p", ("h264", "62p,48p", "62p, 48p is too small for av1: made as h264")),
        ((62, 400), "720p", ("h264", "62p", "62p is too small for av1: made as h264")),
        ((64, 400), "720p", ("av1", "64p", "")),
    ];
    for ((width, height), ladder, (codec, names, notes)) in table {
        let expected = (codec, names.to_owned(), notes.to_owned());
        assert_eq!(made(&master(width, height), ladder), expected, "{width}x{height} {ladder}");
    }
}

#[test]
fn memory_grows_with_the_master() {
    let small = master(640, 360);
    let large = master(3840, 2160);
    let ladder: Ladder = "2160p,1440p,1080p,720p,480p,360p".parse().unwrap();
    let memory = |source: &Source| plan(source, &ladder, &options()).memory_bytes(source) >> 20;
    assert!(memory(&small) < 2048, "{} MiB", memory(&small));
    assert!((4096..12_288).contains(&memory(&large)), "{} MiB", memory(&large));
    // Six encoders of AV1 need some 8 GiB, most of it for stacks that are never used.
    let av1 = with(r#"{"video":{"codec":"av1"}}"#);
    let memory = plan(&large, &ladder, &av1).memory_bytes(&large) >> 20;
    assert!((12_288..32_768).contains(&memory), "{memory} MiB");
}

#[test]
fn output_is_bounded_by_bit_rates_and_the_counted_picture() {
    let ladder: Ladder = "1080p,720p,360p".parse().unwrap();
    let mut source = master(1920, 1080);
    let plan_of = |source: &Source| plan(source, &ladder, &options());
    // Ten seconds: 1250 bytes for each kbit/s. Each picture is in a file and in a track.
    let pictures = 8000 + 4355 + 1540;
    assert_eq!(plan_of(&source).largest_output_bytes(&source), 2 * pictures * 1250);
    let files_alone = plan(&source, &ladder, &with(r#"{"packaging":["mp4"]}"#));
    assert_eq!(files_alone.largest_output_bytes(&source), pictures * 1250);
    assert_eq!(plan_of(&source).file_limit_bytes(&source), 2 * 8000 * 1250 + (64 << 20));
    source.audio = Some(crate::source::Audio { index: 1, codec: "aac".into(), channels: 2, start_us: None });
    let expected = (2 * pictures + 4 * 128) * 1250;
    assert_eq!(plan_of(&source).largest_output_bytes(&source), expected);
    assert_eq!(plan_of(&source).file_limit_bytes(&source), (2 * 8000 + 128) * 1250 + (64 << 20));
    // A header that lies changes nothing.
    (source.video.header_duration_us, source.video.header_frames) = (Some(u64::MAX), Some(u64::MAX));
    assert_eq!(plan_of(&source).largest_output_bytes(&source), expected);
    // Each part is rounded up; nothing overflows.
    let plan = plan_of(&source);
    source.picture = Picture { frames: 1, end_us: 1, ..Picture::default() };
    assert_eq!(plan.largest_output_bytes(&source), 10);
    source.picture = Picture { start_us: i64::MIN, end_us: i64::MAX, ..source.picture };
    assert!(plan.largest_output_bytes(&source) > 1 << 62);
    assert!(plan.file_limit_bytes(&source) > 1 << 62);
}

proptest! {
    #[test]
    fn any_master_gets_a_sound_plan(
        width in 1_u32..20_000, height in 1_u32..20_000, shape in (1_u32..100, 1_u32..100), on_its_side in any::<bool>(),
        rungs in proptest::collection::btree_set(8_u32..2160, 1..12), base in (0_u32..100_000, 0_u32..2000),
        frames in 0_u64..1_000_000, last in 0_i64..1_000_000_000_000, longest in 0_u64..1_000_000_000_000,
    ) {
        let ladder: Vec<String> = rungs.iter().map(|half| format!("{}p", half * 2)).collect();
        let ladder: Ladder = ladder.join(",").parse().unwrap();
        let mut source = master(width, height);
        (source.video.pixel_shape, source.video.on_its_side) = (shape, on_its_side);
        source.video.base_rate = Rate::new(base.0, base.1);
        source.picture = Picture { frames, last_us: last, end_us: last, longest_gap_us: longest, ..Picture::default() };
        let plan = plan(&source, &ladder, &options());
        prop_assert!(!plan.renditions.is_empty());
        prop_assert!(plan.grid.rate.fps() >= 1.0 && plan.grid.rate.fps() <= 60.06, "{}", plan.grid.rate);
        let (shown_width, shown_height) = source.display_size();
        let mut names = std::collections::BTreeSet::new();
        for r in &plan.renditions {
            prop_assert!(r.width % 2 == 0 && r.height % 2 == 0 && r.width >= 2 && r.height >= 2);
            prop_assert!(r.width <= shown_width.max(1) + 1 && r.height <= shown_height.max(1) + 1, "{r:?}");
            prop_assert!(names.insert(r.name.clone()));
            prop_assert_eq!(&r.name, &format!("{}p", r.width.min(r.height)));
        }
        prop_assert!(plan.renditions.windows(2).all(|pair| pair[0].width.min(pair[0].height) > pair[1].width.min(pair[1].height)));
        prop_assert!(plan.memory_bytes(&source) > 0 && plan.work_pixels(&source) >= source.pixels_in_all());
    }
}
