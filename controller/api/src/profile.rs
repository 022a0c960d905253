//! How the renditions of a pool are made.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How renditions are made: a built-in profile, or the default and what is written over it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Profile {
    /// The built-in profile: h264 is the default, fast takes less processor time for it, av1 is AV1. Not with the other
    /// fields.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<BuiltIn>,
    /// The picture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub video: Option<Video>,
    /// The sound: AAC, stereo, 48 kHz.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audio: Option<Audio>,
    /// The forms that renditions are published in. Default: all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 3), extend("x-kubernetes-list-type" = "set"))]
    pub packaging: Vec<Packaging>,
    /// The length of the segments of HLS and DASH. Default: 6.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 2, max = 30))]
    pub segment_seconds: Option<i32>,
    /// Whether a poster is made. Default: true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub poster: Option<bool>,
    /// Whether a storyboard is made. Default: true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storyboard: Option<bool>,
    /// How much of a master is encoded at a time: as much as a lost worker costs at most. Default: 60.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 10, max = 3600))]
    pub chunk_seconds: Option<i32>,
    /// The measure of each rendition's quality that the manifest tells. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quality: Option<Quality>,
}

/// A built-in profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the workers' names for them")]
pub enum BuiltIn {
    H264,
    Fast,
    Av1,
}

impl BuiltIn {
    /// The workers' name for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::H264 => "h264",
            Self::Fast => "fast",
            Self::Av1 => "av1",
        }
    }
}

/// The picture.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Video {
    /// H.264 by x264, or AV1 by SVT-AV1. Default: h264.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub codec: Option<Codec>,
    /// How much processor time is spent to save bits. With h264: ultrafast, superfast, veryfast, faster (the default),
    /// fast, medium, slow, slower or veryslow. With av1: 0 (slowest) to 13, default 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::preset")]
    pub preset: Option<IntOrString>,
    /// The quality, less is better and larger. With h264: 0 to 51, default 22. With av1: 0 to 63, default 35.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 63))]
    pub crf: Option<i32>,
    /// The highest bit rate of a rung's picture, in kbit/s, by its name. Others: by their pixels a second.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "crate::schema::max_kbps")]
    pub max_kbps: BTreeMap<String, i32>,
}

/// A codec.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "their own names")]
pub enum Codec {
    H264,
    Av1,
}

/// The sound.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Audio {
    /// Its bit rate in every rendition, in kbit/s. Default: 128.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 32, max = 512))]
    pub kbps: Option<i32>,
    /// The loudness that it is brought to, in LUFS (EBU R 128). Default: it is left as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = -70, max = -5))]
    pub loudness: Option<i32>,
}

/// A form in which renditions are published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "their own names")]
pub enum Packaging {
    Mp4,
    Hls,
    Dash,
}

/// A measure of quality.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "their own names")]
pub enum Quality {
    None,
    Ssim,
    Vmaf,
}
