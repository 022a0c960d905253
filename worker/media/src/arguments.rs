//! ffmpeg's argument list for a plan. Pure.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::Path;

use crate::encoder;
use crate::limits::Limits;
use crate::plan::{KEY_FRAME_SECONDS, Plan, Planned};
use crate::probe::file_url;
use crate::sniff::Container;

/// The arguments of the one ffmpeg that makes all renditions of `plan` from the file at `input`.
///
/// The outputs' names are relative: ffmpeg must run in the folder that is to hold them. The filter graph decodes
/// once and scales each rendition from the next larger one. The `tee` muxer writes the sound, encoded once, into
/// every file.
#[must_use]
pub fn arguments(plan: &Plan, container: Container, input: &Path, limits: &Limits) -> Vec<OsString> {
    let threads = plan.threads.to_string();
    let mut args = Args::default();
    args.add("-nostdin -hide_banner -nostats -loglevel level+warning -progress pipe:1 -stats_period 1 -y");
    args.pairs(&[
        ("-filter_complex_threads", &threads),
        ("-max_alloc", &limits.max_alloc.to_string()),
        ("-max_pixels", &limits.max_pixels.to_string()),
        ("-threads", &threads),
        ("-protocol_whitelist", "file"),
        ("-format_whitelist", container.demuxer()),
    ]);
    args.add("-i");
    args.0.push(file_url(input));
    args.pairs(&[("-filter_complex", &filter_graph(plan))]);
    for i in 0..plan.renditions.len() {
        args.pairs(&[("-map", &format!("[v{i}]"))]);
    }
    for (option, value) in encoder::options(plan.encoder, plan.threads) {
        args.pairs(&[(option, &value)]);
    }
    for (i, Planned { max_kbps, .. }) in plan.renditions.iter().enumerate() {
        args.pairs(&[
            (&format!("-maxrate:v:{i}"), &format!("{max_kbps}k")),
            (&format!("-bufsize:v:{i}"), &format!("{}k", max_kbps.saturating_mul(2))),
        ]);
    }
    // The graph has made the rate constant; ffmpeg's own way to do so would fill up from zero to the first frame.
    args.add("-fps_mode passthrough -pix_fmt yuv420p");
    args.pairs(&[
        ("-threads", &threads),
        ("-g", &encoder::key_frame_distance(plan.encoder, frames_a_grid(plan)).to_string()),
        ("-force_key_frames", &format!("expr:gte(t,n_forced*{KEY_FRAME_SECONDS})")),
    ]);
    if let Some(audio) = &plan.audio {
        args.pairs(&[("-map", &format!("0:{}", audio.index))]);
        args.add(&format!("-c:a aac -b:a {}k", audio.kbps));
        args.add("-ac 2 -ar 48000 -af aresample=async=1000:first_pts=0");
    }
    // tee does not tell the encoders that MP4 wants their headers apart.
    args.add("-flags +global_header -map_metadata -1 -map_chapters -1 -f tee");
    args.0.push(outputs(plan).into());
    args.0
}

#[derive(Default)]
struct Args(Vec<OsString>);

impl Args {
    fn add(&mut self, words: &str) {
        self.0.extend(words.split(' ').map(OsString::from));
    }

    fn pairs(&mut self, pairs: &[(&str, &str)]) {
        self.0.extend(pairs.iter().flat_map(|(key, value)| [OsString::from(key), OsString::from(value)]));
    }
}

/// Frames from one key frame to the next, rounded up.
fn frames_a_grid(plan: &Plan) -> u64 {
    (u64::from(plan.rate.num) * u64::from(KEY_FRAME_SECONDS)).div_ceil(u64::from(plan.rate.den))
}

/// The outputs in tee's language: names are ours, so nothing in them needs quoting.
fn outputs(plan: &Plan) -> String {
    let audio = if plan.audio.is_some() { ",a" } else { "" };
    let output = |(i, rendition): (usize, &Planned)| {
        format!("[f=mp4:movflags=+faststart:select=\\'v:{i}{audio}\\']{}", rendition.file_name())
    };
    plan.renditions.iter().enumerate().map(output).collect::<Vec<_>>().join("|")
}

fn filter_graph(plan: &Plan) -> String {
    let mut graph = format!("[0:{}]", plan.video);
    let fps = format!("fps={}", plan.rate);
    let last = plan.renditions.len().saturating_sub(1);
    for (i, Planned { width, height, .. }) in plan.renditions.iter().enumerate() {
        let scale = format!("scale={width}:{height}:flags=bicubic");
        // Rounded sizes make each scale guess a new pixel shape.
        let filters = if i == 0 { first_filters(plan, scale, &fps) } else { format!("{scale},setsar=1") };
        if i > 0 {
            let _ = write!(graph, ";[p{i}]");
        }
        let _ = write!(graph, "{filters}");
        if i < last {
            let _ = write!(graph, ",split=2[v{i}][p{}]", i + 1);
        } else {
            let _ = write!(graph, "[v{i}]");
        }
    }
    graph
}

/// What the picture goes through once, up to the largest rendition.
fn first_filters(plan: &Plan, scale: String, fps: &str) -> String {
    let mut filters = Vec::new();
    if plan.deinterlace {
        filters.push("bwdif=mode=send_frame:parity=auto:deint=interlaced".to_owned());
    }
    if plan.drop_frames_first {
        filters.push(fps.to_owned());
    }
    filters.push(scale);
    if let Some(map) = &plan.tone_map {
        filters.push(format!(
            "zscale=transferin={}:primariesin={}:matrixin={}:transfer=linear:npl=100",
            map.transfer, map.primaries, map.matrix
        ));
        filters.push("format=gbrpf32le,zscale=primaries=bt709,tonemap=tonemap=hable:desat=0".to_owned());
        filters.push("zscale=transfer=bt709:matrix=bt709:range=tv".to_owned());
    }
    filters.push("format=yuv420p,setsar=1".to_owned());
    if !plan.drop_frames_first {
        filters.push(fps.to_owned());
    }
    filters.join(",")
}

#[cfg(test)]
#[path = "arguments_tests.rs"]
mod tests;
