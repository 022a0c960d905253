//! The plan: which renditions a master gets, and how its picture and sound get there. Pure.

use reelpool_protocol::profile::Encoder;
use reelpool_protocol::{Ladder, Profile};

use crate::encoder;
use crate::source::{Rate, Source, Transfer, Video};
use crate::tools::Tools;

mod grid;
mod outputs;
mod rate;
mod stills;

pub use grid::{Grid, Piece};
use rate::choose_rate;
pub use stills::Stills;

/// What every output file may hold beside its planned bits: index, the encoder's buffer, sound past the picture.
const FILE_ALLOWANCE: u64 = 64 << 20;

/// What the user chose beside the ladder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanOptions {
    /// How the renditions are made.
    pub profile: Profile,
    /// Threads of the decoder and of each encoder; at least 1 is used.
    pub threads: u32,
}

/// What ffmpeg is to do with one master.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Index of the video stream among all streams.
    pub video: u32,
    /// The sound, if there is any.
    pub audio: Option<AudioPlan>,
    /// Turn pairs of fields into frames.
    pub deinterlace: bool,
    /// Turn HDR into SDR, after scaling down to the largest rendition.
    pub tone_map: Option<ToneMap>,
    /// Where the frames of all renditions stand, and the pieces in which they are made.
    pub grid: Grid,
    /// The renditions, largest first; at least one.
    pub renditions: Vec<Planned>,
    /// The encoder of the picture: the profile's, or one that can make what that cannot.
    pub encoder: Encoder,
    /// How all of it is made.
    pub profile: Profile,
    /// What a person should know of it: renditions that cannot be made as the profile says.
    pub notes: Vec<String>,
    /// Threads of the decoder and of each encoder; at least 1.
    pub threads: u32,
}

/// What happens to the sound: AAC, stereo, 48 kHz, encoded once for all renditions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AudioPlan {
    /// Index of the audio stream among all streams.
    pub index: u32,
    /// Its bit rate in every rendition, in kbit/s.
    pub kbps: u32,
    /// How much louder it is made, in hundredths of a decibel. 0 in a new plan: what the profile's loudness takes is
    /// measured when it is carried out.
    pub gain_centidb: i32,
}

/// From which colours HDR is turned into SDR; names as the filter `zscale` takes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ToneMap {
    /// Transfer characteristic.
    pub transfer: &'static str,
    /// Colour primaries.
    pub primaries: &'static str,
    /// Colour matrix.
    pub matrix: &'static str,
}

/// One rendition to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// Its short side and a p, such as `720p`; unique in its plan.
    pub name: String,
    /// Width in pixels; even, at least 2.
    pub width: u32,
    /// Height in pixels; even, at least 2.
    pub height: u32,
    /// The highest bit rate over two seconds or so, in kbit/s.
    pub max_kbps: u32,
}

impl Planned {
    /// The name of its file.
    #[must_use]
    pub fn file_name(&self) -> String {
        format!("{}.mp4", self.name)
    }

    fn pixels(&self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }
}

impl Plan {
    /// A text that is the same for two plans whose pieces can stand beside each other, and different for others; `tools`
    /// made them.
    #[must_use]
    pub fn fingerprint(&self, tools: &Tools) -> String {
        // Threads change bits, and nothing that a decoder is told at the beginning.
        format!("{} {:?}", tools.version, Self { threads: 0, ..self.clone() })
    }

    /// The work in pixels: those of the master or, if more, those of the largest rendition.
    pub(crate) fn work_pixels(&self, source: &Source) -> u64 {
        let frames = source.picture.duration_us() / self.grid.rate.frame_us().max(1) + 1;
        let largest = self.renditions.first().map_or(0, Planned::pixels);
        source.pixels_in_all().max(frames.saturating_mul(largest))
    }

    /// Bytes that the renditions come to at most, all together: for each file its highest bit rate and that of
    /// the sound (none for a silent master), both times the duration of the picture as counted from its
    /// packets, divided by 8 and rounded up; summed. Tracks have the same bits once more, and the sound in one of
    /// them. Saturating.
    ///
    /// No safety factor is in it: a caller that compares it with the free disk should leave some room. The header
    /// of the master has no say in it.
    #[must_use]
    pub fn largest_output_bytes(&self, source: &Source) -> u64 {
        let us = source.picture.duration_us();
        let sound = self.sound_bytes(us);
        let sum = |sound: u64| {
            let file = |rendition: &Planned| bytes_at(rendition.max_kbps, us).saturating_add(sound);
            self.renditions.iter().map(file).fold(0, u64::saturating_add)
        };
        let files = if self.has_files() { sum(sound) } else { 0 };
        let tracks = if self.has_tracks() { sum(0).saturating_add(sound) } else { 0 };
        files.saturating_add(tracks)
    }

    /// Size that no output file may pass, in bytes: twice what the highest bit rate of the plan gives over the
    /// counted duration of the picture, the sound's, and 64 MiB. One for all files, since the kernel limits a
    /// process, not a file. Saturating.
    pub(crate) fn file_limit_bytes(&self, source: &Source) -> u64 {
        let us = source.picture.duration_us();
        let highest = self.renditions.iter().map(|rendition| rendition.max_kbps).max().unwrap_or(0);
        let picture = bytes_at(highest.saturating_mul(2), us);
        picture.saturating_add(self.sound_bytes(us)).saturating_add(FILE_ALLOWANCE)
    }

    fn sound_bytes(&self, us: u64) -> u64 {
        self.audio.as_ref().map_or(0, |audio| bytes_at(audio.kbps, us))
    }

    /// Memory that ffmpeg may need at most, in bytes: twice an estimate of its buffers. Encoders look some fifty
    /// frames ahead, each frame with its copies at lower resolution, and every thread has frames of its own.
    pub(crate) fn memory_bytes(&self, source: &Source) -> u64 {
        const BASE: u64 = 512 << 20;
        const PER_THREAD: u64 = 64 << 20;
        let frame = |pixels: u64| pixels.saturating_mul(3) / 2;
        let decoded = frame(u64::from(source.video.width) * u64::from(source.video.height)).saturating_mul(2);
        let threads = u64::from(self.threads);
        let encoder =
            |rendition: &Planned| encoder::memory_bytes(self.encoder, rendition.pixels(), self.threads);
        let buffers = self
            .renditions
            .iter()
            .map(encoder)
            .fold(decoded.saturating_mul(threads + 32), u64::saturating_add)
            .saturating_add(threads * PER_THREAD);
        buffers.saturating_add(BASE).saturating_mul(2)
    }
}

/// Bytes of `us` microseconds at `kbps` kbit/s, rounded up: kbit/s × 1000 × µs / 1 000 000 / 8. Saturating.
fn bytes_at(kbps: u32, us: u64) -> u64 {
    u64::try_from((u128::from(kbps) * u128::from(us)).div_ceil(8000)).unwrap_or(u64::MAX)
}

/// Plans the renditions of a master.
///
/// Rungs are compared with the short side of the picture as displayed (square pixels, rotated). None is ever
/// scaled up; a master smaller than every rung gets one rendition of its own size.
#[must_use]
pub fn plan(source: &Source, ladder: &Ladder, options: &PlanOptions) -> Plan {
    let rate = choose_rate(source);
    let profile = &options.profile;
    let (renditions, encoder, notes) = encodable(renditions(&source.video, ladder, rate, profile), profile);
    Plan {
        video: source.video.index,
        audio: source.audio.as_ref().map(|audio| AudioPlan {
            index: audio.index,
            kbps: profile.audio_kbps(),
            gain_centidb: 0,
        }),
        deinterlace: source.video.interlaced,
        tone_map: tone_map(source),
        grid: Grid::of(source, rate, profile.chunk_seconds()),
        renditions,
        encoder,
        profile: profile.clone(),
        notes,
        threads: options.threads.max(1),
    }
}

/// Those of the renditions that the profile's encoder can make; where it can make none, x264 makes all.
fn encodable(renditions: Vec<Planned>, profile: &Profile) -> (Vec<Planned>, Encoder, Vec<String>) {
    let encoder = profile.encoder();
    let (can, cannot): (Vec<_>, Vec<_>) = renditions
        .into_iter()
        .partition(|rendition| encoder::takes(encoder, rendition.width, rendition.height));
    let too_small = |made: &str| {
        let names: Vec<_> = cannot.iter().map(|rendition| rendition.name.as_str()).collect();
        format!("{} is too small for {}: {made}", names.join(", "), encoder.codec())
    };
    match (can.is_empty(), cannot.is_empty()) {
        (_, true) => (can, encoder, Vec::new()),
        (false, false) => (can, encoder, vec![too_small("left out")]),
        (true, false) => {
            let note = too_small("made as h264");
            (cannot, Profile::default().encoder(), vec![note])
        }
    }
}

fn renditions(video: &Video, ladder: &Ladder, rate: Rate, profile: &Profile) -> Vec<Planned> {
    let (width, height) = video.display_ratio();
    let short = if width.0 * height.1 <= height.0 * width.1 { width } else { height };
    // The exact length × rung / short side: rounding twice would bend the picture.
    let scaled = |rung: u32| {
        let side = |(num, den): (u128, u128)| even(num * u128::from(rung) * short.1, den * short.0);
        planned(side(width), side(height), rate, profile)
    };
    let fits = |rung: &u32| u128::from(*rung) * short.1 <= short.0;
    let mut renditions: Vec<Planned> =
        ladder.rungs().iter().map(|rung| rung.short_side()).filter(fits).map(scaled).collect();
    if renditions.is_empty() {
        renditions.push(planned(even(width.0, width.1), even(height.0, height.1), rate, profile));
    }
    renditions
}

fn planned(width: u32, height: u32, rate: Rate, profile: &Profile) -> Planned {
    let name = format!("{}p", width.min(height));
    let own = name.parse().ok().and_then(|rung| profile.max_kbps(rung));
    Planned { name, width, height, max_kbps: own.unwrap_or_else(|| max_kbps(width, height, rate)) }
}

/// `dividend / divisor` to the nearest even number, down when between two, at least 2.
fn even(dividend: u128, divisor: u128) -> u32 {
    let divisor = divisor.max(1);
    // 2 × ceil(x / 2 − 1 / 2), with x the quotient.
    let half = dividend.saturating_sub(divisor).div_ceil(2 * divisor);
    u32::try_from(half.saturating_mul(2)).unwrap_or(u32::MAX - 1).max(2)
}

/// 8 Mbit/s for 1080p30, and for other sizes and rates by the power of 3/4 of their pixels a second.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded")]
fn max_kbps(width: u32, height: u32, rate: Rate) -> u32 {
    let pixels = f64::from(width) * f64::from(height) * rate.fps();
    let kbps = 8000.0 * (pixels / (1920.0 * 1080.0 * 30.0)).powf(0.75);
    kbps.clamp(100.0, 100_000.0).round() as u32
}

fn tone_map(source: &Source) -> Option<ToneMap> {
    let transfer = match source.video.transfer {
        Transfer::Sdr => return None,
        Transfer::Pq => "smpte2084",
        Transfer::Hlg => "arib-std-b67",
    };
    // HDR without these, or with names that zscale does not know, is BT.2020 in all practice.
    let known = |name: &Option<String>, names: &[&'static str], otherwise| {
        names.iter().copied().find(|known| Some(*known) == name.as_deref()).unwrap_or(otherwise)
    };
    Some(ToneMap {
        transfer,
        primaries: known(&source.video.primaries, &["bt709", "smpte431", "smpte432"], "bt2020"),
        matrix: known(&source.video.matrix, &["bt709", "bt2020c"], "bt2020nc"),
    })
}

#[cfg(test)]
#[path = "plan_tests.rs"]
pub(crate) mod tests;
