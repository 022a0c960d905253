//! What a transcode made, and the manifest that tells of it.

use std::io;
use std::path::{Path, PathBuf};

use reelpool_media::{RenditionFile, Transcoded};
use reelpool_protocol::manifest::{FORMAT, Manifest, MasterInfo, Rendition, Timings};
use reelpool_protocol::{JobId, Ladder, Profile, Source};
use sha2::{Digest, Sha256};
use tokio::task::spawn_blocking;

use crate::hex::hex;

/// What a transcode made.
#[derive(Debug)]
pub struct Made {
    /// What the master turned out to be.
    pub master: MasterInfo,
    /// Each file, and its entry in the manifest.
    pub files: Vec<(PathBuf, Rendition)>,
    /// What a person should know.
    pub warnings: Vec<String>,
}

/// What was asked for, and by whom it was done.
#[derive(Debug)]
pub struct Asked<'a> {
    /// The job.
    pub job_id: JobId,
    /// The attempt.
    pub attempt: &'a str,
    /// The worker.
    pub worker: &'a str,
    /// The master.
    pub source: &'a Source,
    /// The ladder.
    pub ladder: &'a Ladder,
    /// The profile as it was used.
    pub profile: &'a Profile,
    /// Where the time went.
    pub timings: Timings,
}

impl Made {
    /// Reads all files for their checksums. `base` is their folder relative to the manifest: empty, or with a slash at
    /// its end.
    ///
    /// # Errors
    /// When one cannot be read.
    pub async fn of(transcoded: Transcoded, base: String) -> io::Result<Self> {
        let Transcoded { renditions, warnings, master } = transcoded;
        let describe =
            move || renditions.into_iter().map(|file| describe(file, &base)).collect::<io::Result<Vec<_>>>();
        let files = spawn_blocking(describe).await.map_err(io::Error::other)??;
        Ok(Self { master, files, warnings })
    }

    /// The manifest.
    #[must_use]
    pub fn manifest(&self, asked: &Asked<'_>) -> Manifest {
        Manifest {
            format: FORMAT,
            job_id: asked.job_id,
            attempt: asked.attempt.to_owned(),
            worker: asked.worker.to_owned(),
            source: asked.source.clone(),
            ladder: asked.ladder.clone(),
            profile: asked.profile.clone(),
            master: self.master.clone(),
            renditions: self.files.iter().map(|(_, rendition)| rendition.clone()).collect(),
            warnings: self.warnings.clone(),
            timings: asked.timings,
        }
    }
}

fn describe(file: RenditionFile, base: &str) -> io::Result<(PathBuf, Rendition)> {
    let name = file.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let rendition = Rendition {
        path: format!("{base}{name}"),
        width: file.width,
        height: file.height,
        frames: file.frames,
        duration_ms: file.duration_ms,
        bytes: file.bytes,
        sha256: sha256(&file.path)?,
        audio: file.audio,
        quality: file.quality,
        name: file.name,
    };
    Ok((file.path, rendition))
}

fn sha256(path: &Path) -> io::Result<String> {
    let mut hash = Sha256::new();
    let mut file = std::fs::File::open(path)?;
    let mut buffer = vec![0; 1 << 18];
    loop {
        match io::Read::read(&mut file, &mut buffer)? {
            0 => return Ok(hex(&hash.finalize())),
            n => hash.update(&buffer[..n]),
        }
    }
}
