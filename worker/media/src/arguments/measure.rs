//! The ffmpegs that measure and make nothing. What they find stands at the end of their logs.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::Path;

use reelpool_protocol::profile::Quality;

use super::Args;
use super::encode::{origin, read};
use super::graph::filter_graph;
use crate::limits::Limits;
use crate::plan::{Piece, Plan};
use crate::source::Source;

/// The sound as it is encoded: its loudness is measured so, and a gain holds for it.
pub(super) const AS_ENCODED: &str = "aformat=sample_fmts=fltp:sample_rates=48000:channel_layouts=stereo";
/// VMAF looks at every so many frames: at all of them it costs more than the encoding.
const VMAF_EVERY: u32 = 5;

/// The arguments of the ffmpeg that measures the loudness and the true peak of the sound of the master at `input`.
#[must_use]
pub fn loudness(plan: &Plan, source: &Source, input: &Path, limits: &Limits) -> Vec<OsString> {
    let mut args = Args::default();
    args.add("-nostdin -hide_banner -nostats -loglevel level+info");
    read(&mut args, plan, source, None, input, limits);
    if let Some(audio) = &plan.audio {
        args.pairs(&[("-map", &format!("0:{}", audio.index))]);
    }
    // Not a line for each tenth of a second.
    args.add(&format!("-af {AS_ENCODED},ebur128=peak=true:framelog=verbose -f null -"));
    args.0
}

/// The arguments of the ffmpeg that compares each finished rendition of `plan` with the picture its encoder was given,
/// made anew from the master at `input`. The filter that measures rendition `i` is called `…@i`.
///
/// Frames are paired by their number: two files' clocks differ by roundings, and filters that pair by time would
/// compare neighbours.
#[must_use]
pub fn quality(plan: &Plan, source: &Source, input: &Path, limits: &Limits) -> Vec<OsString> {
    let filter = match plan.profile.quality() {
        Quality::None => return Vec::new(),
        Quality::Ssim => ("ssim", String::new()),
        Quality::Vmaf => ("libvmaf", format!("=n_subsample={VMAF_EVERY}:n_threads={}", plan.threads)),
    };
    let mut args = Args::default();
    args.add("-nostdin -hide_banner -nostats -loglevel level+info");
    read(&mut args, plan, source, None, input, limits);
    for rendition in &plan.renditions {
        args.add("-protocol_whitelist file -format_whitelist mov");
        args.add(&format!("-i file:{}", rendition.file_name()));
    }
    let mut graph = filter_graph(plan, &plan.renditions, origin(plan, source), Piece::WHOLE);
    let number = format!("settb=AVTB,setpts=N/({})/TB", plan.grid.rate);
    for i in 0..plan.renditions.len() {
        let (name, options) = &filter;
        let _ = write!(
            graph,
            ";[v{i}]{number}[r{i}];[{}:v:0]{number}[d{i}];[d{i}][r{i}]{name}@{i}{options}[q{i}]",
            i + 1
        );
    }
    args.pairs(&[("-filter_complex", &graph)]);
    for i in 0..plan.renditions.len() {
        args.add(&format!("-map [q{i}] -f null -"));
    }
    args.0
}

#[cfg(test)]
mod tests {
    use reelpool_protocol::Profile;

    use super::*;
    use crate::plan::tests::master;
    use crate::plan::{PlanOptions, plan};
    use crate::source::Audio;

    fn text(profile: &str, args: fn(&Plan, &Source, &Path, &Limits) -> Vec<OsString>) -> String {
        let mut source = master(640, 360);
        source.audio = Some(Audio { index: 1, codec: "aac".into(), channels: 6, start_us: Some(0) });
        let options = PlanOptions { profile: Profile::from_json(profile).unwrap(), threads: 2 };
        let plan = plan(&source, &"360p,180p".parse().unwrap(), &options);
        let args = args(&plan, &source, Path::new("/job/master"), &Limits::default());
        args.iter().map(|arg| arg.to_str().unwrap()).collect::<Vec<_>>().join(" ")
    }

    const HEAD: &str = "-nostdin -hide_banner -nostats -loglevel level+info -filter_complex_threads 2 -max_alloc 1073741824 \
                        -max_pixels 40000000 -threads 2 -protocol_whitelist file -format_whitelist mov -copyts -i \
                        file:/job/master";

    #[test]
    fn the_sound_is_measured_as_it_is_encoded() {
        let expected = format!(
            "{HEAD} -map 0:1 -af aformat=sample_fmts=fltp:sample_rates=48000:channel_layouts=stereo,\
             ebur128=peak=true:framelog=verbose -f null -"
        );
        assert_eq!(text(r#"{"audio":{"loudness":-16}}"#, loudness), expected);
    }

    #[test]
    fn each_rendition_is_compared_frame_by_frame() {
        let number = "settb=AVTB,setpts=N/(30/1)/TB";
        let graph = format!(
            "[0:0]fps=fps=30/1:start_time=0.000000,setpts=PTS-STARTPTS,scale=640:360:flags=bicubic,format=yuv420p,setsar=1,\
             split=2[v0][p1];[p1]scale=320:180:flags=bicubic,setsar=1[v1];\
             [v0]{number}[r0];[1:v:0]{number}[d0];[d0][r0]ssim@0[q0];\
             [v1]{number}[r1];[2:v:0]{number}[d1];[d1][r1]ssim@1[q1]"
        );
        let one = "-protocol_whitelist file -format_whitelist mov -i file:";
        let expected = format!(
            "{HEAD} {one}360p.mp4 {one}180p.mp4 -filter_complex {graph} -map [q0] -f null - -map [q1] -f null -"
        );
        assert_eq!(text(r#"{"quality":"ssim"}"#, quality), expected);
        let vmaf = text(r#"{"quality":"vmaf"}"#, quality);
        assert!(vmaf.contains(";[d1][r1]libvmaf@1=n_subsample=5:n_threads=2[q1] "), "{vmaf}");
        assert_eq!(text("{}", quality), "");
    }
}
