//! The ffmpeg that decodes once and encodes.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::Path;

use super::graph::filter_graph;
use super::measure::AS_ENCODED;
use super::{Args, SOUND, Share, piece_file, seconds};
use crate::encoder;
use crate::limits::Limits;
use crate::plan::{Grid, Plan, Planned};
use crate::probe::file_url;
use crate::source::Source;

/// Reading begins so long before a piece: more than demuxers miss their aim by, in microseconds.
const RUN_UP_US: i64 = 2_000_000;

/// The arguments of the ffmpeg that makes `share` of `plan` from the master at `input`: one decode, each rendition
/// scaled from the next larger one.
#[must_use]
pub fn encode(plan: &Plan, source: &Source, input: &Path, share: &Share, limits: &Limits) -> Vec<OsString> {
    let mut args = Args::default();
    args.add("-nostdin -hide_banner -nostats -loglevel level+warning -progress pipe:1 -stats_period 1 -y");
    read(&mut args, plan, source, read_from(&plan.grid, source, share), input, limits);
    let renditions = plan.renditions.get(share.renditions.clone()).unwrap_or_default();
    if !renditions.is_empty() {
        args.pairs(&[(
            "-filter_complex",
            &filter_graph(plan, renditions, origin(plan, source), share.piece),
        )]);
    }
    for (i, rendition) in renditions.iter().enumerate() {
        video(&mut args, plan, i, rendition, share.number);
    }
    if let Some(audio) = plan.audio.as_ref().filter(|_| share.sound) {
        args.pairs(&[("-map", &format!("0:{}", audio.index))]);
        args.add(&format!("-c:a aac -b:a {}k -ac 2 -ar 48000", audio.kbps));
        let start = seconds(origin(plan, source));
        // Holes are filled with silence, and so is the time before it begins.
        let mut filters = format!("asetpts=PTS-({start})/TB,aresample=async=1000:first_pts=0");
        if audio.gain_centidb != 0 {
            let _ = write!(filters, ",{AS_ENCODED},volume={:.2}dB", f64::from(audio.gain_centidb) / 100.0);
        }
        args.pairs(&[("-af", &filters)]);
        args.add(&format!("-map_metadata -1 -map_chapters -1 -f mp4 {SOUND}"));
    }
    args.0
}

/// Reads the master at `input`, from `from` microseconds after its start or from the beginning.
pub(super) fn read(
    args: &mut Args,
    plan: &Plan,
    source: &Source,
    from: Option<i64>,
    input: &Path,
    limits: &Limits,
) {
    let threads = plan.threads.to_string();
    args.pairs(&[
        ("-filter_complex_threads", &threads),
        ("-max_alloc", &limits.max_alloc.to_string()),
        ("-max_pixels", &limits.max_pixels.to_string()),
        ("-threads", &threads),
        ("-protocol_whitelist", "file"),
        ("-format_whitelist", source.container.demuxer()),
    ]);
    if !plan.grid.broken_clock {
        // The grid is laid on the master's own clock. One that jumps is set right by ffmpeg, which then counts from 0.
        args.add("-copyts");
    }
    if let Some(from) = from {
        // The frames before the piece are counted off in the graph.
        args.add("-noaccurate_seek");
        args.pairs(&[("-ss", &seconds(from))]);
    }
    args.add("-i");
    args.0.push(file_url(input));
}

fn video(args: &mut Args, plan: &Plan, i: usize, rendition: &Planned, number: usize) {
    let Planned { max_kbps, .. } = rendition;
    let apart = plan.grid.key_every.to_string();
    args.pairs(&[("-map", &format!("[v{i}]"))]);
    for (option, value) in encoder::options(plan.encoder, plan.threads) {
        args.pairs(&[(option, &value)]);
    }
    args.pairs(&[
        ("-maxrate", &format!("{max_kbps}k")),
        ("-bufsize", &format!("{}k", max_kbps.saturating_mul(2))),
        ("-threads", &plan.threads.to_string()),
        ("-g", &apart),
        ("-keyint_min", &apart),
        ("-force_key_frames", &format!("expr:not(mod(n,{apart}))")),
    ]);
    // The graph has made the rate constant; ffmpeg's own way to do so would fill up from zero to the first frame.
    args.add("-pix_fmt yuv420p -fps_mode passthrough");
    args.add("-map_metadata -1 -map_chapters -1 -f mp4");
    args.0.push(piece_file(number, rendition).into());
}

/// Where the grid's frame 0 stands on the clock that ffmpeg's filters see.
pub(super) fn origin(plan: &Plan, source: &Source) -> i64 {
    let origin = plan.grid.origin_us;
    if plan.grid.broken_clock { origin.saturating_sub(source.start_us) } else { origin }
}

/// From where the master is read, in microseconds after its start; `None`: from the beginning.
fn read_from(grid: &Grid, source: &Source, share: &Share) -> Option<i64> {
    let first = i64::try_from(grid.time_us(share.piece.first)).ok().filter(|first| *first > 0)?;
    // A frame that is shown for long is needed by the pieces that it is shown in.
    let longest = i64::try_from(source.picture.longest_gap_us).unwrap_or(i64::MAX);
    let start = grid.origin_us.saturating_add(first).saturating_sub(source.start_us);
    Some(start.saturating_sub(longest).saturating_sub(RUN_UP_US)).filter(|from| *from > 0)
}

#[cfg(test)]
#[path = "encode_tests.rs"]
mod tests;
