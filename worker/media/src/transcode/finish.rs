//! The last steps: pieces become files and tracks, and what players want beside them is made.

use std::fs::File;
use std::path::{Path, PathBuf};

use reelpool_protocol::manifest::Role;
use reelpool_protocol::profile::Packaging;
use tokio::task::spawn_blocking;

use super::watch::{Work, run};
use super::{Job, RenditionFile, Time};
use crate::arguments::{join, list, stills};
use crate::engine::Engine;
use crate::error::MediaError;
use crate::package::{PackageError, Presentation, Rung, Track, TrackError, dash, hls, layout};
use crate::plan::{Plan, Planned, Stills};

/// Joining copies bytes: a few buffers.
const JOIN_MEMORY: u64 = 1 << 30;
/// JPEG's first and last two bytes.
const JPEG_ENDS: [[u8; 2]; 2] = [[0xFF, 0xD8], [0xFF, 0xD9]];

/// A file beside the renditions, on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Companion {
    /// What it is for.
    pub role: Role,
    /// Where it is below the output folder, such as `cmaf/720p.mp4`. Companions name one another by these paths.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
}

/// Joins pieces and sound into the finished files and their tracks.
pub(super) async fn put_together(engine: &Engine, job: &Job<'_>, time: Time) -> Result<(), MediaError> {
    if job.plan.grid.pieces.len() > 1 {
        for (name, text) in job.plan.renditions.iter().map(|rendition| list(job.plan, rendition)) {
            write(&job.out_dir.join(name), text).await?;
        }
    }
    if job.plan.has_tracks() {
        let folder = job.out_dir.join(layout::TRACKS);
        let failed = |source| MediaError::io("make", &folder, source);
        tokio::fs::create_dir_all(&folder).await.map_err(failed)?;
    }
    let mut files: Vec<String> = job.plan.renditions.iter().map(Planned::file_name).collect();
    files.extend(job.plan.tracks().into_iter().map(layout::track));
    let work = Work {
        args: join(job.plan),
        files,
        frames: job.plan.grid.frames(job.source),
        until: time.until,
        deadline: time.deadline,
        memory_bytes: JOIN_MEMORY,
        from_the_middle: false,
    };
    run(engine, job, work, |_| ()).await.map(drop)
}

/// Makes playlists, poster and storyboard of finished `renditions`, whichever are asked for. Where renditions are not,
/// their tracks take their place.
pub(super) async fn companions(
    engine: &Engine,
    job: &Job<'_>,
    renditions: &mut [RenditionFile],
    time: Time,
) -> Result<Vec<Companion>, MediaError> {
    let plan = job.plan;
    let frames = renditions.first().map_or(0, |rendition| rendition.frames);
    let mut companions = Vec::new();
    if plan.has_tracks() {
        companions.extend(playlists(job, frames).await?);
    }
    if plan.profile.poster() || plan.profile.storyboard() {
        companions.extend(pictures(engine, job, frames, time).await?);
    }
    if !plan.has_files() {
        for rendition in renditions {
            let file = layout::track(&rendition.name);
            companions.retain(|companion| companion.name != file);
            let failed = |source| MediaError::io("remove", &rendition.path, source);
            tokio::fs::remove_file(&rendition.path).await.map_err(failed)?;
            let path = job.out_dir.join(&file);
            let metadata = tokio::fs::metadata(&path).await;
            rendition.bytes = metadata.map_err(|source| MediaError::io("look at", &path, source))?.len();
            (rendition.path, rendition.file, rendition.audio) = (path, file, false);
        }
    }
    Ok(companions)
}

/// Reads the tracks and writes the playlists of HLS and DASH.
async fn playlists(job: &Job<'_>, frames: u64) -> Result<Vec<Companion>, MediaError> {
    let (out_dir, plan) = (job.out_dir.to_owned(), job.plan.clone());
    let presented = spawn_blocking(move || present(&out_dir, &plan, frames)).await;
    let failed = |error: String| MediaError::VerificationFailed {
        name: "the presentation for HLS and DASH".to_owned(),
        detail: error,
        tail: String::new(),
    };
    let presentation = presented.map_err(|error| failed(error.to_string()))?.map_err(failed)?;
    let mut made = Vec::new();
    for packaged in presentation.tracks() {
        made.push((Role::Track, layout::track(&packaged.name), None));
        if job.plan.has(Packaging::Hls) {
            let text = hls::media(&presentation, packaged);
            made.push((Role::HlsPlaylist, layout::playlist(&packaged.name), Some(text)));
        }
    }
    if job.plan.has(Packaging::Hls) {
        made.push((Role::Hls, layout::MASTER.to_owned(), Some(hls::master(&presentation))));
    }
    if job.plan.has(Packaging::Dash) {
        made.push((Role::Dash, layout::MPD.to_owned(), Some(dash::mpd(&presentation))));
    }
    let mut companions = Vec::new();
    for (role, name, text) in made {
        let path = job.out_dir.join(&name);
        if let Some(text) = text {
            write(&path, text).await?;
        }
        companions.push(Companion { role, name, path });
    }
    Ok(companions)
}

/// The tracks in `folder`, each with the fragments that a picture of `frames` frames has on the plan's grid.
fn present(folder: &Path, plan: &Plan, frames: u64) -> Result<Presentation, String> {
    let read = |name: &str| {
        let track = File::open(folder.join(layout::track(name)))
            .map_err(TrackError::Io)
            .and_then(|mut file| Track::read(&mut file));
        track.map_err(|error| format!("{name}: {error}"))
    };
    let mut rungs = Vec::new();
    let due = frames.div_ceil(u64::from(plan.grid.key_every.max(1)));
    for Planned { name, .. } in &plan.renditions {
        let track = read(name)?;
        if track.fragments.len() as u64 != due {
            return Err(format!("{name}: {} fragments instead of {due}", track.fragments.len()));
        }
        rungs.push(Rung { name: name.clone(), rate: plan.grid.rate, track });
    }
    let sound = plan.audio.as_ref().map(|_| read(layout::AUDIO)).transpose()?;
    let seconds = plan.profile.segment_seconds();
    Presentation::new(rungs, sound, seconds).map_err(|error: PackageError| error.to_string())
}

/// Takes poster and storyboard.
async fn pictures(
    engine: &Engine,
    job: &Job<'_>,
    frames: u64,
    time: Time,
) -> Result<Vec<Companion>, MediaError> {
    let taken = Stills::of(job.plan, frames);
    let pictures = job.plan.pictures(frames);
    let work = Work {
        args: stills(job.plan, &taken),
        files: pictures.iter().map(|(_, name)| name.clone()).collect(),
        frames: 1,
        until: time.until,
        deadline: time.deadline,
        memory_bytes: job.plan.memory_bytes(job.source),
        from_the_middle: false,
    };
    let log = run(engine, job, work, |_| ()).await?;
    let mut companions = Vec::new();
    for (role, name) in pictures {
        let path = job.out_dir.join(&name);
        let whole = tokio::fs::read(&path).await.is_ok_and(|bytes| is_jpeg(&bytes));
        if !whole {
            let detail = "it is missing or not whole".to_owned();
            return Err(MediaError::VerificationFailed { name, detail, tail: log.tail() });
        }
        companions.push(Companion { role, name, path });
    }
    if job.plan.profile.storyboard() {
        let path = job.out_dir.join(layout::STORYBOARD);
        write(&path, taken.board.vtt()).await?;
        companions.push(Companion { role: Role::Storyboard, name: layout::STORYBOARD.to_owned(), path });
    }
    Ok(companions)
}

fn is_jpeg(bytes: &[u8]) -> bool {
    let [first, last] = JPEG_ENDS;
    bytes.starts_with(&first) && bytes.ends_with(&last)
}

async fn write(path: &Path, text: String) -> Result<(), MediaError> {
    tokio::fs::write(path, text).await.map_err(|source| MediaError::io("write", path, source))
}
