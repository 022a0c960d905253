//! One ffmpeg that works: started, watched, stopped when it must be.

use std::ffi::OsString;
use std::pin::pin;
use std::time::{Duration, SystemTime};

use rustix::process::Signal;
use tokio::time::{Instant, MissedTickBehavior};

use super::{Job, without_addresses};
use crate::child::{Access, PIPE_BYTES, Run, Running, some};
use crate::engine::Engine;
use crate::error::MediaError;
use crate::log::{Finding, Lines, Log};
use crate::progress::{Progress, ProgressParser};

/// What one ffmpeg is to do, and within what.
pub(super) struct Work {
    pub args: Vec<OsString>,
    /// The files that it makes, by their names in the output folder.
    pub files: Vec<String>,
    /// Frames that each rendition will have.
    pub frames: u64,
    /// When the whole transcode must be over.
    pub until: Instant,
    /// The whole transcode's deadline, to be told.
    pub deadline: Duration,
    pub memory_bytes: u64,
    /// The master is read from somewhere in its middle: what its decoder says of the frames before the first one that
    /// comes out is not the master's fault.
    pub from_the_middle: bool,
}

/// Runs ffmpeg to a good end.
pub(super) async fn run(
    engine: &Engine,
    job: &Job<'_>,
    mut work: Work,
    progress: impl FnMut(Progress) + Send,
) -> Result<Log, MediaError> {
    let (max_file_bytes, why) = file_limit(engine, job);
    let left = work.until.saturating_duration_since(Instant::now());
    let child = Run {
        name: "ffmpeg",
        program: &engine.tools.ffmpeg,
        args: std::mem::take(&mut work.args),
        folder: job.out_dir,
        access: Access::Write,
        input: job.input,
        max_file_bytes,
        memory_bytes: work.memory_bytes,
        deadline: left,
        threads: job.plan.threads,
    };
    let mut child = child.start(&engine.sandbox).await?;
    let mut log = Log::default();
    let parser = ProgressParser::new(job.plan.grid.time_us(work.frames), job.plan.grid.rate.frame_us());
    match watch(engine, job, &mut child, &mut log, (&work, parser), progress).await {
        Watched::Ended => {}
        Watched::Deadline => {
            child.stop().await;
            return Err(MediaError::Deadline { what: "transcoding", after: work.deadline, tail: log.tail() });
        }
        Watched::Stalled => {
            child.stop().await;
            if log.has(Finding::NoMemory) {
                // An encoder that gets no memory may wait for itself instead of ending.
                let detail = "it got no more memory, and stood still".to_owned();
                return Err(MediaError::ResourceLimit { detail, tail: log.tail() });
            }
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
    (work, mut parser): (&Work, ProgressParser),
    mut progress: impl FnMut(Progress) + Send,
) -> Watched {
    let mut deadline = pin!(tokio::time::sleep_until(work.until));
    let mut tick =
        tokio::time::interval(Duration::from_secs(1).min(engine.limits.stall / 4 + Duration::from_millis(1)));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
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
                        if work.from_the_middle && now.frames == 0 {
                            log.forget_errors();
                        }
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
                now.files = sizes(job, &work.files).await;
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

async fn sizes(job: &Job<'_>, files: &[String]) -> Vec<(u64, Option<SystemTime>)> {
    let mut sizes = Vec::new();
    for file in files {
        if let Ok(file) = tokio::fs::metadata(job.out_dir.join(file)).await {
            sizes.push((file.len(), file.modified().ok()));
        }
    }
    sizes
}
