//! One ffmpeg for all renditions: started, watched, stopped when it must be, and its work verified.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::{Duration, SystemTime};

use reelpool_protocol::manifest::MasterInfo;
use rustix::process::Signal;
use tokio::time::{Instant, MissedTickBehavior};

use crate::arguments::arguments;
use crate::child::{PIPE_BYTES, Run, Running, some};
use crate::engine::Engine;
use crate::error::MediaError;
use crate::log::{Finding, Lines, Log};
use crate::plan::{Plan, Planned};
use crate::progress::{Progress, ProgressParser};
use crate::source::Source;
use crate::verify;

/// What a transcode made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transcoded {
    /// The renditions, largest first, each verified.
    pub renditions: Vec<RenditionFile>,
    /// What a person should know: what was left out, damaged frames, a header that lies.
    pub warnings: Vec<String>,
    /// The master's entry in the manifest.
    pub master: MasterInfo,
}

/// A rendition on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenditionFile {
    /// Its name, such as `720p`.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Frames, counted from packets.
    pub frames: u64,
    /// Duration of the picture in milliseconds, counted from packets.
    pub duration_ms: u64,
    /// Size in bytes.
    pub bytes: u64,
    /// Whether it has an audio track.
    pub audio: bool,
}

/// One transcode.
pub(crate) struct Job<'a> {
    pub input: &'a Path,
    pub source: &'a Source,
    pub plan: &'a Plan,
    pub out_dir: &'a Path,
}

/// See [`Engine::transcode`].
pub(crate) async fn transcode(
    engine: &Engine,
    job: &Job<'_>,
    progress: impl FnMut(Progress) + Send,
    cancel: impl Future<Output = ()> + Send,
) -> Result<Transcoded, MediaError> {
    if job.plan.tone_map.is_some() && !engine.tools.tone_mapping {
        let lacks = "the filters zscale and tonemap, which HDR needs".to_owned();
        return Err(MediaError::FfmpegLacks { program: "ffmpeg", path: engine.tools.ffmpeg.clone(), lacks });
    }
    let work = async {
        let log = run(engine, job, progress).await?;
        let mut warnings = job.source.warnings.clone();
        if log.errors > 0 {
            let first = log.first_error.as_deref().map(without_addresses).unwrap_or_default();
            warnings
                .push(format!("the master is damaged: {} errors while decoding, first {first}", log.errors));
        }
        let (renditions, more) = verify::verify(engine, job, &log).await?;
        warnings.extend(more);
        Ok(Transcoded { renditions, warnings, master: job.source.info() })
    };
    // Dropping the work kills the child in its hand.
    tokio::select! {
        biased;
        () = cancel => Err(MediaError::Cancelled),
        result = work => result,
    }
}

/// Runs ffmpeg to a good end.
async fn run(
    engine: &Engine,
    job: &Job<'_>,
    progress: impl FnMut(Progress) + Send,
) -> Result<Log, MediaError> {
    let deadline = engine.limits.deadline_for(job.plan.work_pixels(job.source));
    let (max_file_bytes, why) = file_limit(engine, job);
    let child = Run {
        name: "ffmpeg",
        program: &engine.tools.ffmpeg,
        args: arguments(job.plan, job.source.container, job.input, &engine.limits),
        folder: job.out_dir,
        writes: true,
        input: job.input,
        max_file_bytes,
        memory_bytes: engine.limits.memory.unwrap_or_else(|| job.plan.memory_bytes(job.source)),
        deadline,
        threads: job.plan.threads,
    };
    let mut child = child.start(&engine.sandbox).await?;
    let mut log = Log::default();
    match watch(engine, job, &mut child, &mut log, deadline, progress).await {
        Watched::Ended => {}
        Watched::Deadline => {
            child.stop().await;
            return Err(MediaError::Deadline { what: "transcoding", after: deadline, tail: log.tail() });
        }
        Watched::Stalled => {
            child.stop().await;
            return Err(MediaError::Stalled { after: engine.limits.stall, tail: log.tail() });
        }
    }
    // It may have closed its pipes and still not end.
    let Ok(status) = tokio::time::timeout(engine.limits.stall, child.wait()).await else {
        child.kill();
        return Err(MediaError::Stalled { after: engine.limits.stall, tail: log.tail() });
    };
    let status = status?;
    let (no_decoder, bad_data) = (log.has(Finding::NoDecoder), log.has(Finding::BadData));
    let too_large = log.has(Finding::FileTooLarge) || status.signal() == Some(Signal::XFSZ.as_raw());
    log.after("ffmpeg", status).map_err(|error| match error {
        MediaError::FfmpegFailed { tail, .. } if no_decoder => {
            MediaError::UnsupportedCodec { codec: job.source.video.codec.clone(), tail }
        }
        MediaError::ResourceLimit { tail, .. } if too_large => {
            MediaError::OutputTooLarge { max: max_file_bytes, why, tail }
        }
        MediaError::FfmpegFailed { reason, tail, .. } if bad_data => MediaError::CorruptInput {
            detail: format!("it cannot be decoded: {}", without_addresses(&reason)),
            tail,
        },
        error => error,
    })
}

/// Size that no output file may pass, in bytes, and what to say when one does. A hostile master must not fill the
/// disk, and an honest one never needs twice its highest bit rate.
fn file_limit(engine: &Engine, job: &Job<'_>) -> (u64, &'static str) {
    let (planned, most) = (job.plan.file_limit_bytes(job.source), engine.limits.max_output_bytes);
    if planned < most {
        let why = "far more than the length of the master's picture can need: its sound or its time stamps \
                   probably run on past its picture, so export it again";
        (planned, why)
    } else {
        (most, "the most that is allowed: shorten the master, or use a smaller ladder")
    }
}

enum Watched {
    Ended,
    Deadline,
    Stalled,
}

/// Reads what ffmpeg says until it has closed both pipes, or must be stopped.
async fn watch(
    engine: &Engine,
    job: &Job<'_>,
    child: &mut Running,
    log: &mut Log,
    deadline: Duration,
    mut progress: impl FnMut(Progress) + Send,
) -> Watched {
    let mut deadline = pin!(tokio::time::sleep(deadline));
    let mut tick =
        tokio::time::interval(Duration::from_secs(1).min(engine.limits.stall / 4 + Duration::from_millis(1)));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut parser = ProgressParser::new(job.source.picture.duration_us(), job.plan.rate.frame_us());
    let (mut out_lines, mut err_lines) = (Lines::default(), Lines::default());
    let (mut out, mut err) = (vec![0; PIPE_BYTES], vec![0; PIPE_BYTES]);
    let (mut out_open, mut err_open) = (true, true);
    let (mut seen, mut moved_at) = (State::default(), Instant::now());
    let mut now = State::default();
    while out_open || err_open {
        tokio::select! {
            n = some(&mut child.stdout, &mut out), if out_open => {
                out_open = n > 0;
                out_lines.push(&out[..n], |line| {
                    if let Some(shown) = parser.line(line) {
                        (now.frames, now.position) = (shown.frames, shown.position);
                        progress(shown);
                    }
                });
            }
            n = some(&mut child.stderr, &mut err), if err_open => {
                err_open = n > 0;
                err_lines.push(&err[..n], |line| log.line(line));
            }
            _ = tick.tick() => {
                // Progress stands still while the index is moved to the front; the files do not.
                now.files = files(job).await;
                if now != seen {
                    (seen, moved_at) = (now.clone(), Instant::now());
                } else if moved_at.elapsed() >= engine.limits.stall {
                    return Watched::Stalled;
                }
            }
            () = &mut deadline => return Watched::Deadline,
        }
    }
    err_lines.finish(|line| log.line(line));
    Watched::Ended
}

/// What moves while ffmpeg works.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct State {
    frames: u64,
    position: Duration,
    files: Vec<(u64, Option<SystemTime>)>,
}

async fn files(job: &Job<'_>) -> Vec<(u64, Option<SystemTime>)> {
    let mut files = Vec::new();
    for file in job.plan.renditions.iter().map(Planned::file_name) {
        if let Ok(file) = tokio::fs::metadata(job.out_dir.join(file)).await {
            files.push((file.len(), file.modified().ok()));
        }
    }
    files
}

/// ffmpeg's log names its parts by their address in memory: the same warning should read the same twice.
pub(crate) fn without_addresses(line: &str) -> String {
    let mut parts = line.split(" @ 0x");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + part.trim_start_matches(|c: char| c.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_go() {
        assert_eq!(without_addresses("[h264 @ 0x55aF] [error] no frame!"), "[h264] [error] no frame!");
        assert_eq!(without_addresses("plain"), "plain");
    }
}
