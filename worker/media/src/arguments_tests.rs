use reelpool_protocol::Profile;
use reelpool_protocol::profile::Encoder;

use super::*;
use crate::plan::{AudioPlan, ToneMap};
use crate::source::Rate;

fn rendition(name: &str, width: u32, height: u32, max_kbps: u32) -> Planned {
    Planned { name: name.into(), width, height, max_kbps }
}

fn simple() -> Plan {
    Plan {
        video: 0,
        audio: None,
        deinterlace: false,
        tone_map: None,
        rate: Rate { num: 30_000, den: 1001 },
        drop_frames_first: false,
        renditions: vec![rendition("360p", 640, 360, 1540)],
        encoder: Profile::default().encoder(),
        notes: Vec::new(),
        threads: 2,
    }
}

fn text(plan: &Plan) -> String {
    let args = arguments(plan, Container::IsoMedia, Path::new("/job/in/master"), &Limits::default());
    args.iter().map(|arg| arg.to_str().unwrap()).collect::<Vec<_>>().join("\n")
}

const HEAD: &str =
    "-nostdin\n-hide_banner\n-nostats\n-loglevel\nlevel+warning\n-progress\npipe:1\n-stats_period\n1\n-y
-filter_complex_threads\n2\n-max_alloc\n1073741824\n-max_pixels\n40000000\n-threads\n2
-protocol_whitelist\nfile\n-format_whitelist\nmov\n-i\nfile:/job/in/master\n-filter_complex\n";

#[test]
fn one_rendition_without_sound() {
    let expected = "[0:0]scale=640:360:flags=bicubic,format=yuv420p,setsar=1,fps=30000/1001[v0]
-map\n[v0]\n-c:v\nlibx264\n-preset\nfaster\n-crf\n22\n-profile:v\nhigh\n-sc_threshold\n0\n-maxrate:v:0\n1540k\n-bufsize:v:0\n3080k
-fps_mode\npassthrough\n-pix_fmt\nyuv420p\n-threads\n2\n-g\n120
-force_key_frames\nexpr:gte(t,n_forced*2)
-flags\n+global_header\n-map_metadata\n-1\n-map_chapters\n-1\n-f\ntee
[f=mp4:movflags=+faststart:select=\\'v:0\\']360p.mp4";
    assert_eq!(text(&simple()), format!("{HEAD}{expected}"));
}

#[test]
fn the_whole_shape() {
    let plan = Plan {
        video: 3,
        audio: Some(AudioPlan { index: 4, kbps: 96 }),
        deinterlace: true,
        tone_map: Some(ToneMap { transfer: "arib-std-b67", primaries: "bt2020", matrix: "bt2020nc" }),
        rate: Rate { num: 60, den: 1 },
        drop_frames_first: true,
        renditions: vec![
            rendition("1080p", 1080, 1920, 13454),
            rendition("720p", 720, 1280, 7323),
            rendition("360p", 360, 640, 2590),
        ],
        encoder: Encoder::X264 { preset: "medium".parse().unwrap(), crf: 18 },
        notes: Vec::new(),
        threads: 2,
    };
    let expected = "[0:3]bwdif=mode=send_frame:parity=auto:deint=interlaced,fps=60/1,scale=1080:1920:flags=bicubic,\
zscale=transferin=arib-std-b67:primariesin=bt2020:matrixin=bt2020nc:transfer=linear:npl=100,\
format=gbrpf32le,zscale=primaries=bt709,tonemap=tonemap=hable:desat=0,zscale=transfer=bt709:matrix=bt709:range=tv,\
format=yuv420p,setsar=1,split=2[v0][p1];\
[p1]scale=720:1280:flags=bicubic,setsar=1,split=2[v1][p2];\
[p2]scale=360:640:flags=bicubic,setsar=1[v2]
-map\n[v0]\n-map\n[v1]\n-map\n[v2]\n-c:v\nlibx264\n-preset\nmedium\n-crf\n18\n-profile:v\nhigh\n-sc_threshold\n0
-maxrate:v:0\n13454k\n-bufsize:v:0\n26908k\n-maxrate:v:1\n7323k\n-bufsize:v:1\n14646k\n-maxrate:v:2\n2590k\n-bufsize:v:2\n5180k
-fps_mode\npassthrough\n-pix_fmt\nyuv420p\n-threads\n2\n-g\n240
-force_key_frames\nexpr:gte(t,n_forced*2)
-map\n0:4\n-c:a\naac\n-b:a\n96k\n-ac\n2\n-ar\n48000\n-af\naresample=async=1000:first_pts=0
-flags\n+global_header\n-map_metadata\n-1\n-map_chapters\n-1\n-f\ntee
[f=mp4:movflags=+faststart:select=\\'v:0,a\\']1080p.mp4|[f=mp4:movflags=+faststart:select=\\'v:1,a\\']720p.mp4|\
[f=mp4:movflags=+faststart:select=\\'v:2,a\\']360p.mp4";
    assert_eq!(text(&plan), format!("{HEAD}{expected}"));
}

#[test]
fn av1() {
    let encoder = Encoder::SvtAv1 { preset: 10, crf: 0 };
    let plan = Plan { encoder, threads: 16, ..simple() };
    let expected = "-c:v\nlibsvtav1\n-preset\n10\n-svtav1-params\ncrf=0:lp=6:scd=0\n-maxrate:v:0\n1540k\n-bufsize:v:0\n3080k
-fps_mode\npassthrough\n-pix_fmt\nyuv420p\n-threads\n16\n-g\n60\n";
    assert!(text(&plan).contains(expected), "{}", text(&plan));
}

#[test]
fn a_path_cannot_become_an_option_or_another_protocol() {
    let args = arguments(&simple(), Container::Matroska, Path::new("-y concat:x|y"), &Limits::default());
    assert!(args.contains(&OsString::from("file:-y concat:x|y")));
    assert!(args.windows(2).any(|pair| pair == ["-format_whitelist", "matroska"]));
}
