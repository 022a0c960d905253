//! What a transcode made, and the manifest that tells of it.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use reelpool_media::{RenditionFile, Transcoded};
use reelpool_protocol::manifest::{Companion, FORMAT, Manifest, MasterInfo, Rendition, Timings};
use reelpool_protocol::{JobId, Ladder, Profile, Source};
use sha2::{Digest, Sha256};
use tokio::task::spawn_blocking;

use crate::hex::hex;

/// What a transcode made.
#[derive(Debug)]
pub struct Made {
    /// What the master turned out to be.
    pub master: MasterInfo,
    /// Each rendition, and its entry in the manifest.
    pub renditions: Vec<(PathBuf, Rendition)>,
    /// Each file beside them, and its entry in the manifest.
    pub companions: Vec<(PathBuf, Companion)>,
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
        spawn_blocking(move || Self::read(transcoded, &base)).await.map_err(io::Error::other)?
    }

    fn read(transcoded: Transcoded, base: &str) -> io::Result<Self> {
        let Transcoded { renditions, companions, warnings, master } = transcoded;
        let companions = companions.into_iter().map(|reelpool_media::Companion { role, name, path }| {
            let (bytes, sha256) = sum(&path)?;
            Ok((path, Companion { role, path: format!("{base}{name}"), bytes, sha256 }))
        });
        Ok(Self {
            master,
            renditions: renditions.into_iter().map(|file| describe(file, base)).collect::<io::Result<_>>()?,
            companions: companions.collect::<io::Result<_>>()?,
            warnings,
        })
    }

    /// All files with their paths relative to the manifest.
    pub fn files(&self) -> impl Iterator<Item = (&Path, &str)> {
        let renditions = self.renditions.iter().map(|(file, entry)| (file.as_path(), entry.path.as_str()));
        renditions.chain(self.companions.iter().map(|(file, entry)| (file.as_path(), entry.path.as_str())))
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
            renditions: self.renditions.iter().map(|(_, entry)| entry.clone()).collect(),
            companions: self.companions.iter().map(|(_, entry)| entry.clone()).collect(),
            warnings: self.warnings.clone(),
            timings: asked.timings,
        }
    }
}

fn describe(file: RenditionFile, base: &str) -> io::Result<(PathBuf, Rendition)> {
    let (bytes, sha256) = sum(&file.path)?;
    let rendition = Rendition {
        path: format!("{base}{}", file.file),
        width: file.width,
        height: file.height,
        frames: file.frames,
        duration_ms: file.duration_ms,
        bytes,
        bits_per_second: bytes.saturating_mul(8000) / file.duration_ms.max(1),
        sha256,
        audio: file.audio,
        quality: file.quality,
        name: file.name,
    };
    Ok((file.path, rendition))
}

/// A file's size in bytes and its SHA-256.
fn sum(path: &Path) -> io::Result<(u64, String)> {
    let mut hash = Sha256::new();
    let mut file = File::open(path)?;
    let mut buffer = vec![0; 1 << 18];
    let mut bytes = 0;
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok((bytes, hex(&hash.finalize()))),
            n => {
                hash.update(&buffer[..n]);
                bytes += n as u64;
            }
        }
    }
}
