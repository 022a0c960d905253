//! Exit 0 is not proof: every rendition is looked into before anyone sees it.

use std::ffi::OsString;
use std::path::Path;

use crate::child::{Access, Run};
use crate::engine::Engine;
use crate::error::MediaError;
use crate::log::{Lines, Log};
use crate::plan::{Grid, Plan, Planned};
use crate::scan::{Packet, Picture, PictureCounter, parse_us};
use crate::transcode::{Job, RenditionFile, without_addresses};

/// Time stamps are rounded on their way through a file, by less than this.
const ROUNDING_US: u64 = 2_000;
/// A picture may be off by this, or by two frames or one per cent if that is more, and count as whole.
const SLACK_US: u64 = 100_000;
/// Sound and picture start together, give or take this.
const MOST_LAG_US: u64 = 50_000;

/// Verifies all renditions of a job; gives them and what a person should know.
pub(crate) async fn verify(
    engine: &Engine,
    job: &Job<'_>,
    log: &Log,
) -> Result<(Vec<RenditionFile>, Vec<String>), MediaError> {
    let mut renditions = Vec::new();
    let mut warnings = Vec::new();
    let mut first: Option<Found> = None;
    for planned in &job.plan.renditions {
        let path = job.out_dir.join(planned.file_name());
        let bytes = tokio::fs::metadata(&path).await.map_or(0, |file| file.len());
        let found = if bytes == 0 { Ok(Found::default()) } else { look(engine, job, &path).await };
        let found = found.map_err(|error| match error {
            // ffprobe takes every file for a master; this one is our own.
            MediaError::FfmpegFailed { reason, tail, .. } => {
                let detail = format!("it cannot be opened: {}", without_addresses(&reason));
                MediaError::VerificationFailed { name: planned.name.clone(), detail, tail }
            }
            error => error,
        })?;
        let wrong = |detail: String| MediaError::VerificationFailed {
            name: planned.name.clone(),
            detail,
            tail: log.tail(),
        };
        if found.picture.frames == 0 {
            let detail = "nothing of its picture can be decoded".to_owned();
            return Err(if log.errors > 0 {
                MediaError::CorruptInput { detail, tail: log.tail() }
            } else {
                wrong("it has no frames".into())
            });
        }
        check(job.plan, planned, &found).map_err(wrong)?;
        match &first {
            None => warnings.extend(judge_length(job, &found, log)?),
            Some(first) if first.keys != found.keys || first.picture != found.picture => {
                return Err(wrong(
                    "its frames do not stand at the same times as those of the largest rendition".into(),
                ));
            }
            Some(_) => {}
        }
        renditions.push(RenditionFile {
            name: planned.name.clone(),
            path,
            file: planned.file_name(),
            width: planned.width,
            height: planned.height,
            frames: found.picture.frames,
            duration_ms: found.picture.duration_us() / 1000,
            bytes,
            audio: found.audio,
            quality: None,
        });
        first.get_or_insert(found);
    }
    Ok((renditions, warnings))
}

/// What is in an output file.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub picture: Picture,
    /// When each key frame is shown, in microseconds.
    pub keys: Vec<i64>,
    size: Option<(u32, u32)>,
    /// The shape of its pixels, where that is not square.
    pixel_shape: Option<String>,
    pub audio: bool,
    /// When the sound starts, in microseconds, where told.
    audio_start_us: Option<i64>,
}

/// Looks into a file that ffmpeg made.
pub(crate) async fn look(engine: &Engine, job: &Job<'_>, path: &Path) -> Result<Found, MediaError> {
    let args = [
        "-hide_banner",
        "-loglevel",
        "level+error",
        "-protocol_whitelist",
        "file",
        "-format_whitelist",
        "mov",
    ];
    let entries = "packet=stream_index,pts_time,dts_time,duration_time,flags:stream=codec_type,width,height,sample_aspect_ratio,start_time";
    let mut args: Vec<OsString> = args.map(OsString::from).to_vec();
    args.extend(["-show_entries", entries, "-of", "compact=p=1:nk=0"].map(OsString::from));
    args.push(crate::probe::file_url(path));
    let bytes = tokio::fs::metadata(path).await.map_or(0, |file| file.len());
    let run = Run {
        name: "ffprobe",
        program: &engine.tools.ffprobe,
        args,
        folder: job.out_dir,
        access: Access::None,
        input: path,
        max_file_bytes: 0,
        memory_bytes: 2 << 30,
        deadline: engine.limits.scan_deadline_for(bytes),
        threads: job.plan.threads,
    };
    let mut reader = Reader::default();
    let mut lines = Lines::default();
    run.finish(&engine.sandbox, "verifying", |piece| lines.push(piece, |line| reader.line(line))).await?;
    lines.finish(|line| reader.line(line));
    let Reader { counter, mut found } = reader;
    found.picture = counter.finish();
    found.keys.sort_unstable();
    Ok(found)
}

#[derive(Default)]
struct Reader {
    counter: PictureCounter,
    found: Found,
}

impl Reader {
    fn line(&mut self, line: &str) {
        let field =
            |name: &str| line.split('|').find_map(|field| field.strip_prefix(name)?.strip_prefix('='));
        if line.starts_with("packet|") {
            // The picture is the first stream of every output.
            if let Some(packet) = Packet::parse(line).filter(|_| field("stream_index") == Some("0")) {
                self.found.keys.extend(packet.at_us.filter(|_| packet.key));
                self.counter.add(packet);
            }
        } else if field("codec_type") == Some("audio") {
            self.found.audio = true;
            self.found.audio_start_us = field("start_time").and_then(parse_us);
        } else if field("codec_type") == Some("video") {
            let number = |name| field(name).and_then(|text: &str| text.parse().ok());
            self.found.size = number("width").zip(number("height"));
            let shape = field("sample_aspect_ratio").filter(|shape| !matches!(*shape, "1:1" | "0:1" | "N/A"));
            self.found.pixel_shape = shape.map(str::to_owned);
        }
    }
}

/// Compares a rendition with its plan.
fn check(plan: &Plan, planned: &Planned, found: &Found) -> Result<(), String> {
    shape(planned, found)?;
    if found.audio != plan.audio.is_some() {
        return Err(
            if found.audio { "it has a sound that was not planned" } else { "its sound is missing" }.into()
        );
    }
    if let Some(lag) = found.audio_start_us.map(|start| start.abs_diff(found.picture.start_us))
        && lag > MOST_LAG_US
    {
        return Err(format!("its sound starts {} ms away from its picture", lag / 1000));
    }
    on_grid(&plan.grid, found)
}

/// Whether a rendition has the size that it was planned to have.
pub(crate) fn shape(planned: &Planned, found: &Found) -> Result<(), String> {
    if found.size != Some((planned.width, planned.height)) {
        return Err(format!("its size is {:?} instead of {}x{}", found.size, planned.width, planned.height));
    }
    match &found.pixel_shape {
        Some(shape) => Err(format!("its pixels are not square but {shape}")),
        None => Ok(()),
    }
}

/// Whether frames and key frames stand where the grid has them, from its frame 0 on.
pub(crate) fn on_grid(grid: &Grid, found: &Found) -> Result<(), String> {
    let Picture { start_us, last_us, lost_at_start, frames, .. } = found.picture;
    if lost_at_start > 0 {
        return Err(format!("it starts with {lost_at_start} frames that cannot be decoded"));
    }
    let stands = |at: i64, frame: u64| {
        at.abs_diff(i64::try_from(grid.time_us(frame)).unwrap_or(i64::MAX)) <= ROUNDING_US
    };
    if !stands(start_us, 0) {
        return Err(format!("it starts at {} ms", start_us / 1000));
    }
    if !stands(last_us, frames.saturating_sub(1)) {
        let room = grid.frame_at(u64::try_from(last_us).unwrap_or(0)) + 1;
        return Err(format!("it has {frames} frames where its length has room for {room}"));
    }
    let apart = u64::from(grid.key_every.max(1));
    let due = (0..frames).step_by(usize::try_from(apart).unwrap_or(usize::MAX));
    let mut keys = found.keys.iter();
    for frame in due {
        if !keys.next().is_some_and(|key| stands(*key, frame)) {
            return Err(format!("it has no key frame at {} ms", grid.time_us(frame) / 1000));
        }
    }
    match keys.next() {
        Some(key) => Err(format!("it has a key frame at {} ms, beside the grid", key / 1000)),
        None => Ok(()),
    }
}

/// Compares how long the picture is with how long the master's is.
fn judge_length(job: &Job<'_>, found: &Found, log: &Log) -> Result<Option<String>, MediaError> {
    let (made, wanted) = (found.picture.duration_us(), job.plan.grid.duration_us(job.source));
    let off = made.abs_diff(wanted);
    let slack = SLACK_US.max(2 * job.plan.grid.rate.frame_us()).max(wanted / 100);
    if off <= slack {
        return Ok(None);
    }
    let seconds = |us: u64| format!("{}.{:02} s", us / 1_000_000, us / 10_000 % 100);
    let detail = format!("{} of picture came out of {}", seconds(made), seconds(wanted));
    if off > slack.max(wanted / 10) {
        return Err(MediaError::CorruptInput { detail, tail: log.tail() });
    }
    Ok(Some(format!("the master is damaged: {detail}")))
}

#[cfg(test)]
#[path = "verify_tests.rs"]
mod tests;
