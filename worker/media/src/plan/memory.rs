//! How much memory a plan takes, and how it is made with what there is. Pure.
//!
//! Memory is what the kernel counts against a limit of a process's data: private and writable, touched or not. It is
//! more than what is resident, by a third with one thread and by two thirds with eight.

use std::ops::Range;

use reelpool_protocol::profile::Encoder;

use super::{Plan, Planned};
use crate::encoder;
use crate::source::{Source, Transfer};

const MIB: u64 = 1 << 20;
/// ffmpeg and its libraries with nothing but the sound to do.
const BASE: u64 = 40 * MIB;
/// A thread of the decoder and of the filters: its stack, and what is freed and kept.
const PER_THREAD: u64 = 6 * MIB;
/// A thread of an encoder, its scaler's among them.
const PER_ENCODER_THREAD: u64 = 16 * MIB;
/// Frames that a decoder may have to keep at the same time (H.264 and HEVC: 16), a byte and a half a pixel each.
const DECODED_FRAMES: u64 = 16;
/// Encoders add so many pixels to each side of a frame, and more to come to a round number.
const PADDING: u64 = 128;
/// Half bytes a pixel of a frame that waits in an encoder: the picture, its half-size copies, motion vectors.
const WAITING_HALF_BYTES: u64 = 9;
/// Frames that an encoder has beside those it looks ahead to: B-frames, those in its hand, those it refers to filtered.
const ENCODED_FRAMES: u64 = 8;
/// Half bytes a pixel that one more thread of an encoder takes.
const ENCODER_THREAD_HALF_BYTES: u64 = 26;
/// Bytes a pixel that SVT-AV1 takes for each thread that it is told of.
const AV1_BYTES: u64 = 300;
/// What it takes for each of these whatever the size: for one, it starts twenty threads and more, and all that their
/// stacks may grow to counts.
const AV1_STACKS: u64 = 380 * MIB;
/// Bytes a pixel of tone-mapping: several frames of three planes of 32 bits.
const TONE_MAP_BYTES: u64 = 60;
/// A limit leaves room for masters of another kind than those that were measured.
const LIMIT_ALLOWANCE: u64 = 1 << 30;

/// How a plan is made with the memory that there is. See [`Plan::fit`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fit {
    /// Threads of the decoder and of each encoder; at least 1.
    pub threads: u32,
    /// The renditions that are made at the same time, one pass after the other: each rendition is in one of them.
    pub passes: Vec<Range<usize>>,
    /// Memory that the largest pass takes, in bytes, as estimated.
    pub needed: u64,
    /// Memory that there is, in bytes.
    pub limit: Option<u64>,
}

impl Fit {
    /// Whether the estimate is within the limit.
    #[must_use]
    pub fn fits(&self) -> bool {
        self.limit.is_none_or(|limit| self.needed <= limit)
    }

    /// What is needed and what is there, where that is less.
    pub(crate) fn shortage(&self) -> Option<String> {
        let limit = self.limit.filter(|_| !self.fits())?;
        Some(format!("about {} MiB of memory are needed, {} MiB are there", self.needed / MIB, limit / MIB))
    }
}

impl Plan {
    /// Memory that one ffmpeg takes that decodes the master and makes `renditions` (indices of this plan's, those
    /// that there are) with `threads` threads, in bytes. Saturating.
    ///
    /// An upper bound, by what ffmpeg 5.1 took for masters of 1080p and 4K: with x264 and one to eight threads, with
    /// SVT-AV1 1.4 and one or two.
    #[must_use]
    pub fn memory_estimate(&self, source: &Source, renditions: Range<usize>, threads: u32) -> u64 {
        let threads = u64::from(threads.max(1));
        let made = self.renditions.get(renditions).unwrap_or_default();
        let pixels = u64::from(source.video.width).saturating_mul(u64::from(source.video.height));
        let deep = if source.video.transfer == Transfer::Sdr { 1 } else { 2 };
        let decoded = pixels.saturating_mul(3 * (DECODED_FRAMES + threads) * deep) / 2;
        let padded: u64 = made.iter().map(padded_pixels).fold(0, u64::saturating_add);
        let encoders = made.len() as u64;
        let encoded = match self.encoder {
            Encoder::X264 { preset, .. } => {
                let half_bytes =
                    WAITING_HALF_BYTES * waiting(preset.name()) + ENCODER_THREAD_HALF_BYTES * threads;
                padded.saturating_mul(half_bytes) / 2
            }
            Encoder::SvtAv1 { .. } => {
                let parallel = threads.min(u64::from(encoder::MOST_PARALLEL_AV1));
                padded.saturating_mul(AV1_BYTES * parallel).saturating_add(encoders * AV1_STACKS * parallel)
            }
        };
        let largest = made.first().filter(|_| self.tone_map.is_some()).map_or(0, Planned::pixels);
        [decoded, encoded, largest.saturating_mul(TONE_MAP_BYTES)]
            .into_iter()
            .fold(BASE + threads * (PER_THREAD + encoders * PER_ENCODER_THREAD), u64::saturating_add)
    }

    /// Memory that no ffmpeg of this plan may pass, in bytes: twice the estimate for all of it, and a GiB.
    pub(crate) fn memory_bytes(&self, source: &Source) -> u64 {
        let all = self.memory_estimate(source, 0..self.renditions.len(), self.threads);
        all.saturating_mul(2).saturating_add(LIMIT_ALLOWANCE)
    }

    /// How to make this plan with `limit` bytes of memory: with fewer threads, down to half of them, then in more
    /// passes, each of which decodes the master again, then with fewer threads still. Where even that is too much,
    /// what takes least, which [`Fit::fits`] tells.
    #[must_use]
    pub fn fit(&self, source: &Source, limit: Option<u64>) -> Fit {
        let all = self.threads.max(1);
        let half = all.div_ceil(2);
        let with = |threads| self.packed(source, limit, threads);
        // The first of equals is the one with the most threads.
        let most = (half..=all).rev().map(with).filter(Fit::fits).min_by_key(|fit| fit.passes.len());
        most.or_else(|| (1..half).rev().map(with).find(Fit::fits)).unwrap_or_else(|| with(1))
    }

    /// As many renditions in each pass as there is memory for, at least one.
    fn packed(&self, source: &Source, limit: Option<u64>, threads: u32) -> Fit {
        let needs = |pass: Range<usize>| self.memory_estimate(source, pass, threads);
        let mut passes: Vec<Range<usize>> = Vec::new();
        for i in 0..self.renditions.len() {
            match passes.last_mut() {
                Some(pass) if limit.is_none_or(|limit| needs(pass.start..i + 1) <= limit) => pass.end = i + 1,
                _ => passes.push(i..i + 1),
            }
        }
        let needed = passes.iter().cloned().map(needs).max().unwrap_or(0);
        Fit { threads, passes, needed, limit }
    }
}

fn padded_pixels(rendition: &Planned) -> u64 {
    (u64::from(rendition.width) + PADDING).saturating_mul(u64::from(rendition.height) + PADDING)
}

/// Frames that x264 keeps: those that it looks ahead to, those that it refers to (x264 --fullhelp), and others.
fn waiting(preset: &str) -> u64 {
    let (ahead, refers) = match preset {
        // No B-frames, and nothing is filtered.
        "ultrafast" => return 4,
        "superfast" => (0, 1),
        "veryfast" => (10, 1),
        "faster" => (20, 2),
        "fast" => (30, 2),
        "medium" => (40, 3),
        "slow" => (50, 5),
        "slower" => (60, 8),
        _ => (60, 16),
    };
    ahead + refers + ENCODED_FRAMES
}

#[cfg(test)]
#[path = "memory_tests.rs"]
mod tests;
