use reelpool_protocol::Profile;

use super::*;
use crate::plan::tests::{master, timed};
use crate::plan::{AudioPlan, Piece, PlanOptions, ToneMap, plan};
use crate::sniff::Container;
use crate::source::{Audio, Transfer};

const WHOLE: Share = Share { number: 0, piece: Piece::WHOLE, renditions: 0..9, sound: true };

fn planned(source: &Source, ladder: &str, preset: &str) -> Plan {
    by(source, ladder, &format!(r#"{{"video":{{"preset":"{preset}"}}}}"#))
}

fn by(source: &Source, ladder: &str, profile: &str) -> Plan {
    let profile = Profile::from_json(profile).unwrap();
    plan(source, &ladder.parse().unwrap(), &PlanOptions { profile, threads: 2 })
}

fn text(plan: &Plan, source: &Source, share: &Share) -> String {
    let share = Share { renditions: 0..plan.renditions.len().min(share.renditions.end), ..share.clone() };
    let args = encode(plan, source, Path::new("/job/in/master"), &share, &Limits::default());
    args.iter().map(|arg| arg.to_str().unwrap()).collect::<Vec<_>>().join("\n")
}

const HEAD: &str =
    "-nostdin\n-hide_banner\n-nostats\n-loglevel\nlevel+warning\n-progress\npipe:1\n-stats_period\n1\n-y
-filter_complex_threads\n2\n-max_alloc\n1073741824\n-max_pixels\n40000000\n-threads\n2
-protocol_whitelist\nfile\n-format_whitelist\nmov";

/// The arguments of one rendition.
fn rendition(i: u32, preset: &str, kbps: u32, apart: u32, file: &str) -> String {
    let twice = kbps * 2;
    format!(
        "\n-map\n[v{i}]\n-c:v\nlibx264\n-preset\n{preset}\n-crf\n22\n-profile:v\nhigh\n-sc_threshold\n0\n-maxrate\n{kbps}k\n-bufsize\n{twice}k\n-threads\n2
-g\n{apart}\n-keyint_min\n{apart}\n-force_key_frames\nexpr:not(mod(n,{apart}))
-pix_fmt\nyuv420p\n-fps_mode\npassthrough
-map_metadata\n-1\n-map_chapters\n-1\n-f\nmp4\npieces/{file}"
    )
}

#[test]
fn one_rendition_without_sound() {
    let mut source = master(640, 360);
    timed(&mut source, "30000/1001", 30_000.0 / 1001.0);
    let plan = planned(&source, "360p", "faster");
    let graph = "[0:0]fps=fps=30000/1001:start_time=0.000000,setpts=PTS-STARTPTS,\
                 scale=640:360:flags=bicubic,format=yuv420p,setsar=1[v0]";
    let made = rendition(0, "faster", 1538, 60, "00000-360p.mp4");
    let expected = format!("{HEAD}\n-copyts\n-i\nfile:/job/in/master\n-filter_complex\n{graph}{made}");
    assert_eq!(text(&plan, &source, &WHOLE), expected);
}

/// A phone's clip with everything: HLG, fields, far more frames than are wanted, a sound that begins before the picture.
fn busy() -> Source {
    let mut source = master(1080, 1920);
    timed(&mut source, "120/1", 120.0);
    (source.video.index, source.video.interlaced, source.video.transfer) = (3, true, Transfer::Hlg);
    (source.picture.start_us, source.start_us) = (1_500_000, 1_400_000);
    (source.picture.last_us, source.picture.end_us) = (11_491_667, 11_500_000);
    source.audio = Some(Audio { index: 4, codec: "aac".into(), channels: 2, start_us: Some(1_400_000) });
    source
}

#[test]
fn the_whole_shape() {
    let source = busy();
    let plan = planned(&source, "1080p,720p,360p", "medium");
    assert_eq!(
        plan.tone_map,
        Some(ToneMap { transfer: "arib-std-b67", primaries: "bt2020", matrix: "bt2020nc" })
    );
    let graph = "[0:3]bwdif=mode=send_frame:parity=auto:deint=interlaced,\
fps=fps=60/1:start_time=1.400000,setpts=PTS-STARTPTS,scale=1080:1920:flags=bicubic,\
zscale=transferin=arib-std-b67:primariesin=bt2020:matrixin=bt2020nc:transfer=linear:npl=100,\
format=gbrpf32le,zscale=primaries=bt709,tonemap=tonemap=hable:desat=0,zscale=transfer=bt709:matrix=bt709:range=tv,\
format=yuv420p,setsar=1,split=2[v0][p1];\
[p1]scale=720:1280:flags=bicubic,setsar=1,split=2[v1][p2];\
[p2]scale=360:640:flags=bicubic,setsar=1[v2]";
    let made = [("1080p", 13_454), ("720p", 7_324), ("360p", 2_589)];
    let made: String = (0..)
        .zip(made)
        .map(|(i, (name, kbps))| rendition(i, "medium", kbps, 120, &format!("00000-{name}.mp4")))
        .collect();
    let sound = "\n-map\n0:4\n-c:a\naac\n-b:a\n128k\n-ac\n2\n-ar\n48000\n-af\nasetpts=PTS-(1.400000)/TB,aresample=async=1000:first_pts=0
-map_metadata\n-1\n-map_chapters\n-1\n-f\nmp4\npieces/sound.mp4";
    let expected = format!("{HEAD}\n-copyts\n-i\nfile:/job/in/master\n-filter_complex\n{graph}{made}{sound}");
    assert_eq!(text(&plan, &source, &WHOLE), expected);
}

#[test]
fn a_piece_is_read_from_before_its_first_frame_and_counted_off() {
    let mut source = busy();
    (source.picture.frames, source.picture.last_us, source.picture.end_us) =
        (35_820, 299_991_667, 300_000_000);
    source.picture.longest_gap_us = 500_000;
    let plan = planned(&source, "360p", "medium");
    let share = Share { number: 2, piece: plan.grid.pieces[2], renditions: 0..1, sound: false };
    let args = text(&plan, &source, &share);
    // 120 s in, less the longest gap and two seconds.
    assert!(args.contains("\n-copyts\n-noaccurate_seek\n-ss\n117.500000\n-i\n"), "{args}");
    assert!(
        args.contains("fps=fps=60/1:start_time=1.400000,trim=start_frame=7200:end_frame=10800,setpts"),
        "{args}"
    );
    assert!(args.ends_with("pieces/00002-360p.mp4"), "{args}");
    let last = Share { number: 4, piece: plan.grid.pieces[4], ..share };
    assert!(text(&plan, &source, &last).contains(",trim=start_frame=14400,setpts"));
}

#[test]
fn a_profile_says_encoder_quality_and_rates() {
    let profile =
        r#"{"video":{"codec":"av1","preset":"4","crf":0,"maxKbps":{"360p":900}},"audio":{"kbps":96}}"#;
    let source = busy();
    let plan = Plan { threads: 16, ..by(&source, "360p", profile) };
    let args = text(&plan, &source, &WHOLE);
    let picture = "\n-c:v\nlibsvtav1\n-preset\n4\n-svtav1-params\ncrf=0:lp=6:scd=0\n-maxrate\n900k\n-bufsize\n1800k\n\
-threads\n16\n-g\n120\n-keyint_min\n120\n-force_key_frames\nexpr:not(mod(n,120))\n-pix_fmt\nyuv420p\n";
    assert!(args.contains(picture) && args.contains("\n-c:a\naac\n-b:a\n96k\n"), "{args}");
    let args = text(&by(&source, "360p", r#"{"video":{"crf":18}}"#), &source, &WHOLE);
    assert!(args.contains("\n-c:v\nlibx264\n-preset\nfaster\n-crf\n18\n"), "{args}");
}

#[test]
fn a_gain_is_applied_to_the_sound_as_it_is_encoded() {
    let source = busy();
    let mut plan = planned(&source, "360p", "medium");
    let table = [(0, ""), (725, ",volume=7.25dB"), (-50, ",volume=-0.50dB")];
    for (gain_centidb, volume) in table {
        plan.audio = plan.audio.map(|audio| AudioPlan { gain_centidb, ..audio });
        let shape = if volume.is_empty() { "" } else { AS_ENCODED };
        let comma = if volume.is_empty() { "" } else { "," };
        let expected = format!("aresample=async=1000:first_pts=0{comma}{shape}{volume}\n-map_metadata");
        let args = text(&plan, &source, &WHOLE);
        assert!(args.contains(&expected), "{args}");
    }
}

#[test]
fn the_sound_alone_needs_no_graph() {
    let source = busy();
    let plan = planned(&source, "360p", "medium");
    let share = Share { renditions: 0..0, ..WHOLE };
    let args = text(&plan, &source, &share);
    assert!(
        !args.contains("filter_complex\n") && args.contains("-i\nfile:/job/in/master\n-map\n0:4\n"),
        "{args}"
    );
}

#[test]
fn a_clock_that_jumps_is_set_right_by_ffmpeg() {
    let mut source = busy();
    (source.container, source.picture.clock_breaks) = (Container::MpegTs, 2);
    let plan = planned(&source, "360p", "medium");
    assert_eq!(plan.audio, Some(AudioPlan { index: 4, kbps: 128, gain_centidb: 0 }));
    let args = text(&plan, &source, &WHOLE);
    assert!(!args.contains("-copyts"), "{args}");
    // ffmpeg counts from the start of the file.
    assert!(args.contains("start_time=0.000000,") && args.contains("PTS-(0.000000)/TB"), "{args}");
}

#[test]
fn a_path_cannot_become_an_option_or_another_protocol() {
    let mut source = master(640, 360);
    source.container = Container::Matroska;
    let plan = planned(&source, "360p", "faster");
    let args = encode(&plan, &source, Path::new("-y concat:x|y"), &WHOLE, &Limits::default());
    assert!(args.contains(&OsString::from("file:-y concat:x|y")));
    assert!(args.windows(2).any(|pair| pair == ["-format_whitelist", "matroska"]));
}
