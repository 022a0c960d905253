//! From a master and its plan to verified renditions: one ffmpeg for all renditions of a piece, one that joins the
//! pieces, and a look at everything that they made.

mod finish;
mod keep;
mod watch;

use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reelpool_protocol::manifest::{MasterInfo, Quality};
use tokio::time::Instant;

use crate::arguments::{PIECES, SOUND, Share, encode, piece_file};
use crate::engine::Engine;
use crate::error::MediaError;
use crate::log::Log;
use crate::loudness;
use crate::plan::{Piece, Plan, Planned};
use crate::progress::{Progress, Sum};
use crate::quality;
use crate::source::Source;
use crate::verify::{self, Found};

pub use finish::Companion;
use finish::{companions, put_together};
pub use keep::{Keep, KeepNothing};
use watch::{Work, run};

/// What a transcode made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transcoded {
    /// The renditions, largest first, each verified.
    pub renditions: Vec<RenditionFile>,
    /// The files beside them, for players.
    pub companions: Vec<Companion>,
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
    /// The same below the output folder, such as `720p.mp4`.
    pub file: String,
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
    /// How near it is to its master, where the profile asks for it and it could be measured.
    pub quality: Option<Quality>,
}

/// One transcode.
#[derive(Debug, Clone, Copy)]
pub struct Job<'a> {
    /// The master, an absolute path.
    pub input: &'a Path,
    /// What a probe found in it.
    pub source: &'a Source,
    /// What it is to become.
    pub plan: &'a Plan,
    /// An existing, empty folder for the renditions, an absolute path.
    pub out_dir: &'a Path,
}

/// See [`Engine::transcode`].
pub(crate) async fn transcode(
    engine: &Engine,
    job: &Job<'_>,
    keep: &impl Keep,
    mut progress: impl FnMut(Progress) + Send,
    cancel: impl Future<Output = ()> + Send,
) -> Result<Transcoded, MediaError> {
    if job.plan.tone_map.is_some() && !engine.tools.tone_mapping {
        let lacks = "the filters zscale and tonemap, which HDR needs".to_owned();
        return Err(MediaError::FfmpegLacks { program: "ffmpeg", path: engine.tools.ffmpeg.clone(), lacks });
    }
    let work = async {
        let deadline = engine.limits.deadline_for(job.plan.work_pixels(job.source));
        let time = Time { until: Instant::now() + deadline, deadline };
        let made = match make(engine, job, keep, time, &mut progress).await {
            Err(Trouble::OutOfPlace(what)) => {
                // Reading from the middle does not work with every master; from the beginning it does.
                tracing::warn!("{what}: the master is made in one piece");
                let plan = Plan { grid: job.plan.grid.in_one_piece(), ..job.plan.clone() };
                make(engine, &Job { plan: &plan, ..*job }, &KeepNothing, time, &mut progress).await
            }
            made => made,
        };
        made.map_err(|trouble| match trouble {
            Trouble::Failed(error) => *error,
            Trouble::OutOfPlace(detail) => MediaError::CorruptInput { detail, tail: String::new() },
        })
    };
    // Dropping the work kills the child in its hand.
    tokio::select! {
        biased;
        () = cancel => Err(MediaError::Cancelled),
        result = work => result,
    }
}

#[derive(Clone, Copy)]
struct Time {
    until: Instant,
    deadline: Duration,
}

/// Why pieces did not become renditions.
enum Trouble {
    Failed(Box<MediaError>),
    /// A piece that is not the last one has not the frames that belong there.
    OutOfPlace(String),
}

impl From<MediaError> for Trouble {
    fn from(error: MediaError) -> Self {
        Self::Failed(Box::new(error))
    }
}

async fn make(
    engine: &Engine,
    job: &Job<'_>,
    keep: &impl Keep,
    time: Time,
    progress: &mut (impl FnMut(Progress) + Send),
) -> Result<Transcoded, Trouble> {
    let pieces = job.out_dir.join(PIECES);
    let failed = |source| MediaError::io("make", &pieces, source);
    match tokio::fs::remove_dir_all(&pieces).await {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error).into()),
        _ => {}
    }
    tokio::fs::create_dir(&pieces).await.map_err(failed)?;
    let plan = job.plan;
    let mut sum = Sum::new(plan.grid.frames(job.source));
    let mut decoding = Log::default();
    // A sound that goes along with the picture is not read for itself.
    let alone = plan.grid.pieces.len() > 1 && plan.audio.is_some();
    let kept = alone && kept_sound(engine, job, keep).await;
    let levelled = if kept { None } else { loudness::level(engine, job, time.until).await? };
    let job = &Job { plan: levelled.as_ref().map_or(plan, |(plan, _)| plan), ..*job };
    if alone && !kept {
        let share = Share { number: 0, piece: Piece::WHOLE, renditions: 0..0, sound: true };
        decoding.extend(make_share(engine, job, &share, time, |_| ()).await?);
        keep.keep(name(SOUND), &job.out_dir.join(SOUND)).await;
    }
    for (number, piece) in plan.grid.pieces.iter().copied().enumerate() {
        let frames = plan.grid.frames_of(piece, job.source);
        if plan.grid.pieces.len() > 1 && kept_piece(engine, job, keep, (number, piece)).await {
            progress(sum.done(frames));
            continue;
        }
        let share = Share { number, piece, renditions: 0..plan.renditions.len(), sound: !alone };
        let log = make_share(engine, job, &share, time, |now| progress(sum.with(now, frames))).await?;
        decoding.extend(log);
        if plan.grid.pieces.len() > 1 {
            for rendition in &plan.renditions {
                let file = piece_file(number, rendition);
                in_place(engine, job, rendition, (number, piece)).await?;
                keep.keep(name(&file), &job.out_dir.join(&file)).await;
            }
        }
        progress(sum.done(frames));
    }
    put_together(engine, job, time).await?;
    tokio::fs::remove_dir_all(&pieces).await.map_err(failed)?;
    let mut warnings = job.source.warnings.clone();
    if decoding.errors > 0 {
        let first = decoding.first_error.as_deref().map(without_addresses).unwrap_or_default();
        warnings
            .push(format!("the master is damaged: {} errors while decoding, first {first}", decoding.errors));
    }
    warnings.extend(levelled.as_ref().and_then(|(_, note)| note.clone()));
    let (mut renditions, more) = verify::verify(engine, job, &decoding).await?;
    warnings.extend(more);
    warnings.extend(quality::measure(engine, job, time.until, &mut renditions).await);
    let companions = companions(engine, job, &mut renditions, time).await?;
    progress(sum.end());
    Ok(Transcoded { renditions, companions, warnings, master: job.source.info() })
}

/// The name under which a file of [`PIECES`] is kept.
fn name(file: &str) -> &str {
    file.strip_prefix(PIECES).unwrap_or(file).trim_start_matches('/')
}

async fn make_share(
    engine: &Engine,
    job: &Job<'_>,
    share: &Share,
    time: Time,
    progress: impl FnMut(Progress) + Send,
) -> Result<Log, MediaError> {
    let renditions = job.plan.renditions.get(share.renditions.clone()).unwrap_or_default();
    let mut files: Vec<String> = renditions.iter().map(|one| piece_file(share.number, one)).collect();
    files.extend(share.sound.then(|| SOUND.to_owned()));
    let work = Work {
        args: encode(job.plan, job.source, job.input, share, &engine.limits),
        files,
        frames: job.plan.grid.frames_of(share.piece, job.source),
        until: time.until,
        deadline: time.deadline,
        memory_bytes: engine.limits.memory.unwrap_or_else(|| job.plan.memory_bytes(job.source)),
        from_the_middle: share.piece.first > 0,
    };
    run(engine, job, work, progress).await
}

/// Fetches the piece of every rendition, where a former attempt has made it; what is not as it should be is removed.
async fn kept_piece(engine: &Engine, job: &Job<'_>, keep: &impl Keep, piece: (usize, Piece)) -> bool {
    for rendition in &job.plan.renditions {
        let file = piece_file(piece.0, rendition);
        let path = job.out_dir.join(&file);
        if !keep.take(name(&file), &path).await {
            return false;
        }
        if in_place(engine, job, rendition, piece).await.is_err() {
            tracing::warn!("a kept piece cannot be used and is made again: {file}");
            // ffmpeg will write over it.
            return false;
        }
    }
    true
}

async fn kept_sound(engine: &Engine, job: &Job<'_>, keep: &impl Keep) -> bool {
    let path = job.out_dir.join(SOUND);
    keep.take(name(SOUND), &path).await
        && verify::look(engine, job, &path).await.is_ok_and(|found| found.audio)
}

/// Whether a rendition's piece has its frames and its key frames where they belong.
async fn in_place(
    engine: &Engine,
    job: &Job<'_>,
    rendition: &Planned,
    (number, piece): (usize, Piece),
) -> Result<(), Trouble> {
    let file = piece_file(number, rendition);
    let found: Found = verify::look(engine, job, &job.out_dir.join(&file)).await?;
    let frames = found.picture.frames;
    let wrong =
        |detail: String| Trouble::OutOfPlace(format!("piece {number} of {}: {detail}", rendition.name));
    match piece.frames {
        Some(wanted) if wanted != frames => {
            return Err(wrong(format!("{frames} frames instead of {wanted}")));
        }
        None if frames == 0 => return Err(wrong("no frames".into())),
        _ => {}
    }
    verify::shape(rendition, &found).map_err(wrong)?;
    verify::on_grid(&job.plan.grid, &found).map_err(wrong)
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
