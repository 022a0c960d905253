//! What a master is, after it was looked into.

use std::fmt;

use reelpool_protocol::manifest::MasterInfo;

use crate::scan::Picture;
use crate::sniff::Container;

/// A master that can be transcoded: it has a picture of a known size that starts somewhere.
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    /// Size of the file in bytes.
    pub bytes: u64,
    /// Its container, by its first bytes.
    pub container: Container,
    /// When the first of all its streams starts, in microseconds of its own clock; where ffmpeg begins to count.
    pub start_us: i64,
    /// The chosen video stream.
    pub video: Video,
    /// The chosen audio stream; `None` for a silent master.
    pub audio: Option<Audio>,
    /// What the packets of the video stream say, counted.
    pub picture: Picture,
    /// What a person should know: streams left out, a header that lies, and the like.
    pub warnings: Vec<String>,
}

impl Source {
    /// Width and height in pixels as displayed: square pixels, rotation applied, not yet rounded to even.
    #[must_use]
    pub fn display_size(&self) -> (u32, u32) {
        self.video.display_size()
    }

    /// Pixels of the whole picture: frames × area. Saturating.
    #[must_use]
    pub fn pixels_in_all(&self) -> u64 {
        self.picture.frames.saturating_mul(u64::from(self.video.width) * u64::from(self.video.height))
    }

    /// The master's entry in the manifest.
    #[must_use]
    pub fn info(&self) -> MasterInfo {
        let (width, height) = self.display_size();
        MasterInfo {
            bytes: self.bytes,
            width,
            height,
            duration_ms: self.picture.duration_us() / 1000,
            video_codec: self.video.codec.clone(),
            audio_codec: self.audio.as_ref().map(|audio| audio.codec.clone()),
        }
    }
}

/// A video stream, as its header describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Video {
    /// Its index among all streams of the file.
    pub index: u32,
    /// ffprobe's name of its codec.
    pub codec: String,
    /// Stored width in pixels; at least 1.
    pub width: u32,
    /// Stored height in pixels; at least 1.
    pub height: u32,
    /// Shape of a stored pixel, width to height; never wilder than 10:1 either way.
    pub pixel_shape: (u32, u32),
    /// Clockwise rotation for display turns a stored row into a column (a quarter or three quarters of a turn).
    pub on_its_side: bool,
    /// The rate of which all time stamps are multiples, as ffprobe guesses it (`r_frame_rate`).
    pub base_rate: Option<Rate>,
    /// How brightness is coded.
    pub transfer: Transfer,
    /// Colour primaries in ffmpeg's words, where told.
    pub primaries: Option<String>,
    /// Colour matrix in ffmpeg's words, where told.
    pub matrix: Option<String>,
    /// Frames are pairs of fields.
    pub interlaced: bool,
    /// Frames as the header counts them, where it does.
    pub header_frames: Option<u64>,
    /// Duration of the stream, or else of the file, as the header says, in microseconds.
    pub header_duration_us: Option<u64>,
}

impl Video {
    /// Width and height in pixels as displayed: square pixels (the width gives), rotation applied, rounded.
    #[must_use]
    pub fn display_size(&self) -> (u32, u32) {
        let (width, height) = self.display_ratio();
        let round =
            |(num, den): (u128, u128)| u32::try_from((num + den / 2) / den).unwrap_or(u32::MAX).max(1);
        (round(width), round(height))
    }

    /// The same, exactly: each side as a fraction whose divisor is at least 1.
    pub(crate) fn display_ratio(&self) -> ((u128, u128), (u128, u128)) {
        let (across, down) = self.pixel_shape;
        let width = (u128::from(self.width.max(1)) * u128::from(across.max(1)), u128::from(down.max(1)));
        let height = (u128::from(self.height.max(1)), 1);
        if self.on_its_side { (height, width) } else { (width, height) }
    }
}

/// How brightness is coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transfer {
    /// Standard dynamic range, or not told.
    Sdr,
    /// Perceptual quantiser, SMPTE ST 2084 (HDR10, Dolby Vision).
    Pq,
    /// Hybrid log-gamma, ARIB STD-B67.
    Hlg,
}

/// An audio stream, as its header describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audio {
    /// Its index among all streams of the file.
    pub index: u32,
    /// ffprobe's name of its codec.
    pub codec: String,
    /// Channels; 0 where not told.
    pub channels: u32,
    /// When it starts, in microseconds of the master's clock, where told.
    pub start_us: Option<i64>,
}

/// A frame rate: `num / den` frames a second, both at least 1, in lowest terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rate {
    pub(crate) num: u32,
    pub(crate) den: u32,
}

impl Rate {
    /// The rate `num / den`; `None` when either is zero.
    #[must_use]
    pub fn new(num: u32, den: u32) -> Option<Self> {
        if num == 0 || den == 0 {
            return None;
        }
        let (mut a, mut b) = (num, den);
        while b != 0 {
            (a, b) = (b, a % b);
        }
        Some(Self { num: num / a, den: den / a })
    }

    /// Reads `30000/1001`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (num, den) = text.split_once('/')?;
        Self::new(num.parse().ok()?, den.parse().ok()?)
    }

    /// Frames a second.
    #[must_use]
    pub fn fps(self) -> f64 {
        f64::from(self.num) / f64::from(self.den)
    }

    /// How long one frame lasts, in microseconds, rounded.
    #[must_use]
    pub fn frame_us(self) -> u64 {
        (u64::from(self.den) * 1_000_000 + u64::from(self.num) / 2) / u64::from(self.num)
    }

    /// The rate divided by a whole number, which is taken as 1 when it is 0; the same rate where it would overflow.
    #[must_use]
    pub fn divided_by(self, n: u32) -> Self {
        self.den.checked_mul(n.max(1)).and_then(|den| Self::new(self.num, den)).unwrap_or(self)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.num, self.den)
    }
}
