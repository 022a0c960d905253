//! Exit 0 is not proof: every rendition is looked into before anyone sees it.

use std::ffi::OsString;
use std::path::Path;

use crate::child::Run;
use crate::engine::Engine;
use crate::error::MediaError;
use crate::log::{Lines, Log};
use crate::plan::{KEY_FRAME_SECONDS, Plan, Planned};
use crate::scan::{Packet, Picture, PictureCounter};
use crate::transcode::{Job, RenditionFile, without_addresses};

/// Time stamps are rounded on their way through a file, by less than this.
const ROUNDING_US: i64 = 2_000;
/// A picture may be off by this, or by two frames or one per cent if that is more, and count as whole.
const SLACK_US: u64 = 100_000;

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
            width: planned.width,
            height: planned.height,
            frames: found.picture.frames,
            duration_ms: found.picture.duration_us() / 1000,
            bytes,
            audio: found.audio,
        });
        first.get_or_insert(found);
    }
    Ok((renditions, warnings))
}

/// What is in an output file.
#[derive(Debug, Default)]
struct Found {
    picture: Picture,
    keys: Vec<i64>,
    size: Option<(u32, u32)>,
    /// The shape of its pixels, where that is not square.
    pixel_shape: Option<String>,
    audio: bool,
}

async fn look(engine: &Engine, job: &Job<'_>, path: &Path) -> Result<Found, MediaError> {
    let args = [
        "-hide_banner",
        "-loglevel",
        "level+error",
        "-protocol_whitelist",
        "file",
        "-format_whitelist",
        "mov",
    ];
    let entries = "packet=stream_index,pts_time,dts_time,duration_time,flags:stream=codec_type,width,height,sample_aspect_ratio";
    let mut args: Vec<OsString> = args.map(OsString::from).to_vec();
    args.extend(["-show_entries", entries, "-of", "compact=p=1:nk=0"].map(OsString::from));
    args.push(crate::probe::file_url(path));
    let bytes = tokio::fs::metadata(path).await.map_or(0, |file| file.len());
    let run = Run {
        name: "ffprobe",
        program: &engine.tools.ffprobe,
        args,
        folder: job.out_dir,
        writes: false,
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
    if found.size != Some((planned.width, planned.height)) {
        return Err(format!("its size is {:?} instead of {}x{}", found.size, planned.width, planned.height));
    }
    if let Some(shape) = &found.pixel_shape {
        return Err(format!("its pixels are not square but {shape}"));
    }
    if found.audio != plan.audio.is_some() {
        return Err(
            if found.audio { "it has a sound that was not planned" } else { "its sound is missing" }.into()
        );
    }
    let Picture { start_us, last_us, lost_at_start, frames, .. } = found.picture;
    if lost_at_start > 0 {
        return Err(format!("it starts with {lost_at_start} frames that cannot be decoded"));
    }
    let frame = i64::try_from(plan.rate.frame_us()).unwrap_or(i64::MAX);
    let on_grid = u64::try_from(last_us.saturating_sub(start_us)).unwrap_or(0) / plan.rate.frame_us().max(1);
    if frames.abs_diff(on_grid + 1) > 1 {
        return Err(format!("it has {frames} frames where its length has room for {}", on_grid + 1));
    }
    let is_key = |from: i64| {
        let next = found.keys.partition_point(|key| *key < from.saturating_sub(ROUNDING_US));
        found.keys.get(next).is_some_and(|key| *key <= from.saturating_add(frame).saturating_add(ROUNDING_US))
    };
    let step = i64::from(KEY_FRAME_SECONDS) * 1_000_000;
    let grid = (0..).map(|n: i64| start_us.saturating_add(n.saturating_mul(step)));
    let last_sure = last_us.saturating_sub(frame).saturating_sub(ROUNDING_US).max(start_us);
    match grid.take_while(|at| *at <= last_sure).find(|at| !is_key(*at)) {
        Some(at) => Err(format!("it has no key frame at {} ms", at / 1000)),
        None => Ok(()),
    }
}

/// Compares how long the picture is with how long the master's is.
fn judge_length(job: &Job<'_>, found: &Found, log: &Log) -> Result<Option<String>, MediaError> {
    let (made, wanted) = (found.picture.duration_us(), job.source.picture.duration_us());
    let off = made.abs_diff(wanted);
    let slack = SLACK_US.max(2 * job.plan.rate.frame_us()).max(wanted / 100);
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
