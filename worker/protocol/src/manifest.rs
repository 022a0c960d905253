//! The manifest: the one object whose appearance makes an attempt's outputs the outputs of its job.
//!
//! It stands at `<output prefix>/manifest.json`, is written last and only if absent, and names every rendition
//! by a path relative to itself. A reader that follows it never sees a mix of two attempts.

use serde::{Deserialize, Serialize};

use crate::job::{JobId, Source};
use crate::ladder::Ladder;
use crate::profile::Profile;

mod quality;

pub use quality::{Quality, Score};

/// The version of the manifest's form that this crate writes.
pub const FORMAT: u32 = 1;
/// The manifest's name under the job's output prefix.
pub const FILE_NAME: &str = "manifest.json";
/// The folder under the job's output prefix in which each attempt has a folder of its own.
pub const ATTEMPTS: &str = "attempts";

/// What one job made of one master.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The version of this form: [`FORMAT`].
    pub format: u32,
    /// The job.
    pub job_id: JobId,
    /// The attempt whose outputs these are; also the name of its folder under [`ATTEMPTS`].
    pub attempt: String,
    /// The worker that made them.
    pub worker: String,
    /// The master as the message named it.
    pub source: Source,
    /// The renditions that were asked for.
    pub ladder: Ladder,
    /// How they were made. The preset may be another than the job's: a worker may have its own.
    #[serde(default)]
    pub profile: Profile,
    /// What the master turned out to be.
    pub master: MasterInfo,
    /// The renditions, largest first.
    pub renditions: Vec<Rendition>,
    /// The files beside the renditions: playlists and tracks for HLS and DASH, a poster, a storyboard.
    #[serde(default)]
    pub companions: Vec<Companion>,
    /// What a person should know of the result: dropped tracks, damaged frames, and the like.
    pub warnings: Vec<String>,
    /// Where the time went.
    pub timings: Timings,
}

impl Manifest {
    /// All files that it names: renditions first, then companions.
    pub fn files(&self) -> impl Iterator<Item = Named<'_>> {
        let renditions = self.renditions.iter().map(|one| (&one.path, one.bytes, &one.sha256));
        let companions = self.companions.iter().map(|one| (&one.path, one.bytes, &one.sha256));
        renditions.chain(companions).map(|(path, bytes, sha256)| Named { path, bytes, sha256 })
    }
}

/// A file that a manifest names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Named<'a> {
    /// Where it is, relative to the manifest's folder.
    pub path: &'a str,
    /// Size in bytes.
    pub bytes: u64,
    /// SHA-256, 64 hexadecimal digits.
    pub sha256: &'a str,
}

/// What the probe and the decode found in a master.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MasterInfo {
    /// Size in bytes.
    pub bytes: u64,
    /// Width in pixels as displayed: square pixels, rotation applied.
    pub width: u32,
    /// Height in pixels as displayed.
    pub height: u32,
    /// Duration of the picture in milliseconds.
    pub duration_ms: u64,
    /// The picture's codec, in ffprobe's words.
    pub video_codec: String,
    /// The chosen audio track's codec; `None` for a silent master.
    pub audio_codec: Option<String>,
}

/// One output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rendition {
    /// The rung it stands for, such as `720p`.
    pub name: String,
    /// Where it is, relative to the manifest's folder.
    pub path: String,
    /// Width in pixels; even.
    pub width: u32,
    /// Height in pixels; even.
    pub height: u32,
    /// Number of frames, counted from packets.
    pub frames: u64,
    /// Duration in milliseconds.
    pub duration_ms: u64,
    /// Size in bytes.
    pub bytes: u64,
    /// Mean bit rate of the file in bits a second: 8 × size / duration.
    #[serde(default)]
    pub bits_per_second: u64,
    /// SHA-256 of the file, 64 hexadecimal digits.
    pub sha256: String,
    /// Whether it has an audio track.
    pub audio: bool,
    /// How near it is to the picture that was given to its encoder, where the profile asks for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quality: Option<Quality>,
}

/// A file beside the renditions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Companion {
    /// What it is for.
    pub role: Role,
    /// Where it is, relative to the manifest's folder. Companions name one another by paths relative to themselves.
    pub path: String,
    /// Size in bytes.
    pub bytes: u64,
    /// SHA-256 of the file, 64 hexadecimal digits.
    pub sha256: String,
}

/// What a companion is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The master playlist of HLS: what a player is given.
    Hls,
    /// The media playlist of one track.
    HlsPlaylist,
    /// The manifest of DASH: what a player is given.
    Dash,
    /// A CMAF track, of HLS and DASH alike: the picture of one rendition, or the sound.
    Track,
    /// A picture to show before the video plays.
    Poster,
    /// The storyboard, `WebVTT`: which part of which sprite sheet shows which moment.
    Storyboard,
    /// A sprite sheet of the storyboard.
    Sprite,
}

/// Where an attempt's time went, in milliseconds of wall time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timings {
    /// Fetching the master.
    pub fetch_ms: u64,
    /// Probing it.
    pub probe_ms: u64,
    /// Transcoding and verifying.
    pub transcode_ms: u64,
    /// Publishing the renditions.
    pub publish_ms: u64,
}
