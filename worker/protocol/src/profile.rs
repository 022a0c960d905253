//! The profile: how the renditions of a master are made, as data.
//!
//! In JSON and YAML it is an object of which every field may be left out: a profile is the default and what is
//! written over it. `worker/protocol/profile.schema.json` ([`SCHEMA`]) says the same to editors.

mod error;
mod preset;
mod read;
mod write;

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ladder::Rung;

pub use error::ProfileError;
pub use preset::{Preset, PresetError};
pub(crate) use read::named;

/// The JSON schema (draft 2020-12) of a profile, for editors; [`Profile::from_value`] refuses no less than it.
pub const SCHEMA: &str = include_str!("../profile.schema.json");
/// The names of the profiles that are built in; the first is the default.
pub const BUILT_IN: [&str; 3] = ["h264", "fast", "av1"];

/// CRF of H.264: 0 is lossless, 51 the worst.
pub const CRF_H264: RangeInclusive<i64> = 0..=51;
/// CRF of AV1.
pub const CRF_AV1: RangeInclusive<i64> = 0..=63;
/// Presets of SVT-AV1: 0 is the slowest.
pub const PRESET_AV1: RangeInclusive<i64> = 0..=13;
/// A highest bit rate of a rendition's picture, in kbit/s; SVT-AV1 takes no higher one.
pub const MAX_KBPS: RangeInclusive<i64> = 50..=100_000;
/// The sound's bit rate, in kbit/s.
pub const AUDIO_KBPS: RangeInclusive<i64> = 32..=512;
/// The loudness that sound is brought to, in LUFS (EBU R 128).
pub const LOUDNESS: RangeInclusive<i64> = -70..=-5;
/// The length of a segment, in seconds.
pub const SEGMENT_SECONDS: RangeInclusive<i64> = 2..=30;
/// The length of a chunk, in seconds; it is never less than that of a segment.
pub const CHUNK_SECONDS: RangeInclusive<i64> = 10..=3600;

/// How renditions are made. Its values are always within the bounds above.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Value", into = "Value")]
pub struct Profile {
    encoder: Encoder,
    max_kbps: BTreeMap<Rung, u32>,
    audio_kbps: u32,
    loudness: Option<i32>,
    packaging: Vec<Packaging>,
    segment_seconds: u32,
    poster: bool,
    storyboard: bool,
    chunk_seconds: u32,
    quality: Quality,
}

/// The encoder of the picture and how hard it tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Encoder {
    /// H.264 by x264.
    X264 {
        /// How much processor time is spent to save bits.
        preset: Preset,
        /// The quality: within [`CRF_H264`], less is better and larger.
        crf: u8,
    },
    /// AV1 by SVT-AV1.
    SvtAv1 {
        /// Within [`PRESET_AV1`], less is slower and smaller.
        preset: u8,
        /// The quality: within [`CRF_AV1`], less is better and larger.
        crf: u8,
    },
}

impl Encoder {
    /// x264 as it is when a profile says nothing more: preset `faster`, CRF 22.
    pub(crate) fn x264() -> Self {
        Self::X264 { preset: Preset::default(), crf: 22 }
    }

    /// SVT-AV1 as it is when a profile says nothing more: preset 10, CRF 35. Less processor time than x264's
    /// `veryfast`, for 39 % fewer bits than its `medium`.
    pub(crate) fn svt_av1() -> Self {
        Self::SvtAv1 { preset: 10, crf: 35 }
    }

    /// The codec, as profiles name it.
    #[must_use]
    pub fn codec(self) -> &'static str {
        match self {
            Self::X264 { .. } => "h264",
            Self::SvtAv1 { .. } => "av1",
        }
    }

    /// The CRF.
    #[must_use]
    pub fn crf(self) -> u8 {
        match self {
            Self::X264 { crf, .. } | Self::SvtAv1 { crf, .. } => crf,
        }
    }

    /// The preset, as profiles write it.
    #[must_use]
    pub fn preset_name(self) -> String {
        match self {
            Self::X264 { preset, .. } => preset.name().to_owned(),
            Self::SvtAv1 { preset, .. } => preset.to_string(),
        }
    }
}

/// A form in which renditions are published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Packaging {
    /// An MP4 file for each rendition.
    Mp4,
    /// CMAF with a playlist for HLS.
    Hls,
    /// CMAF with a manifest for DASH.
    Dash,
}

impl Packaging {
    /// All of them, with their names.
    pub(crate) const ALL: [(&'static str, Self); 3] =
        [("mp4", Self::Mp4), ("hls", Self::Hls), ("dash", Self::Dash)];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Mp4 => "mp4",
            Self::Hls => "hls",
            Self::Dash => "dash",
        }
    }
}

/// Which measure of each rendition's quality the manifest tells.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Quality {
    /// None.
    #[default]
    None,
    /// Structural similarity.
    Ssim,
    /// Netflix's VMAF.
    Vmaf,
}

impl Quality {
    pub(crate) const ALL: [(&'static str, Self); 3] =
        [("none", Self::None), ("ssim", Self::Ssim), ("vmaf", Self::Vmaf)];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Ssim => "ssim",
            Self::Vmaf => "vmaf",
        }
    }
}

impl Default for Profile {
    /// The built-in profile `h264`.
    fn default() -> Self {
        Self {
            encoder: Encoder::x264(),
            max_kbps: BTreeMap::new(),
            audio_kbps: 128,
            loudness: None,
            packaging: Packaging::ALL.map(|(_, packaging)| packaging).to_vec(),
            segment_seconds: 6,
            poster: true,
            storyboard: true,
            chunk_seconds: 60,
            quality: Quality::None,
        }
    }
}

impl Profile {
    /// The built-in profile of that name, one of [`BUILT_IN`].
    #[must_use]
    pub fn built_in(name: &str) -> Option<Self> {
        let encoder = match name {
            "h264" => Encoder::x264(),
            "fast" => Encoder::X264 { preset: Preset::VERYFAST, crf: 22 },
            "av1" => Encoder::svt_av1(),
            _ => return None,
        };
        Some(Self { encoder, ..Self::default() })
    }

    /// The name of the built-in profile that is the same.
    #[must_use]
    pub fn built_in_name(&self) -> Option<&'static str> {
        BUILT_IN.into_iter().find(|name| Self::built_in(name).as_ref() == Some(self))
    }

    /// Reads a profile from JSON text. Where JSON repeats a field, the last one counts.
    pub fn from_json(text: &str) -> Result<Self, ProfileError> {
        let value = serde_json::from_str(text).map_err(|error| ProfileError::not_json(&error))?;
        Self::from_value(&value)
    }

    /// Reads a profile from a JSON document.
    pub fn from_value(value: &Value) -> Result<Self, ProfileError> {
        read::document(value)
    }

    /// The encoder of the picture.
    #[must_use]
    pub fn encoder(&self) -> Encoder {
        self.encoder
    }

    /// The highest bit rate of a rung's picture, in kbit/s; `None` leaves it to the worker's formula.
    #[must_use]
    pub fn max_kbps(&self, rung: Rung) -> Option<u32> {
        self.max_kbps.get(&rung).copied()
    }

    /// The sound's bit rate in every rendition, in kbit/s.
    #[must_use]
    pub fn audio_kbps(&self) -> u32 {
        self.audio_kbps
    }

    /// The loudness that the sound is brought to, in LUFS; `None` leaves it as it is.
    #[must_use]
    pub fn loudness(&self) -> Option<i32> {
        self.loudness
    }

    /// The forms that renditions are published in: at least one, none twice, in the order of [`Packaging`].
    #[must_use]
    pub fn packaging(&self) -> &[Packaging] {
        &self.packaging
    }

    /// The length of the segments of HLS and DASH, in seconds.
    #[must_use]
    pub fn segment_seconds(&self) -> u32 {
        self.segment_seconds
    }

    /// Whether a poster is made.
    #[must_use]
    pub fn poster(&self) -> bool {
        self.poster
    }

    /// Whether a storyboard is made.
    #[must_use]
    pub fn storyboard(&self) -> bool {
        self.storyboard
    }

    /// How much of a master is encoded at a time, in seconds: as much as a lost worker costs at most. At least
    /// [`segment_seconds`](Self::segment_seconds).
    #[must_use]
    pub fn chunk_seconds(&self) -> u32 {
        self.chunk_seconds
    }

    /// The measure of quality in the manifest.
    #[must_use]
    pub fn quality(&self) -> Quality {
        self.quality
    }

    /// The same with another preset of x264; `None` where the profile's encoder is not x264.
    #[must_use]
    pub fn with_x264_preset(&self, preset: Preset) -> Option<Self> {
        match self.encoder {
            Encoder::X264 { crf, .. } => {
                Some(Self { encoder: Encoder::X264 { preset, crf }, ..self.clone() })
            }
            Encoder::SvtAv1 { .. } => None,
        }
    }
}
