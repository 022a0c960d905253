//! The one constant frame rate of all renditions.

use std::time::Duration;

use crate::source::{Rate, Source};

/// No rendition has more frames a second than this (and a hair, so that 60000/1001 and its like are never halved).
pub(super) const MAX_FPS: f64 = 60.06;
/// A master whose rate cannot be divided into bounds gets this one.
const FASTEST: Rate = Rate { num: 60, den: 1 };
/// Slide shows get at least this rate: a player's seek bar and the key frame grid need frames.
const SLOWEST: Rate = Rate { num: 1, den: 1 };
/// The rate of a single frame that tells none.
const STILL: Rate = Rate { num: 25, den: 1 };

/// Mean frames a second, by the packets.
fn mean_fps(source: &Source) -> Option<f64> {
    source.picture.mean_gap_us().map(|gap| 1_000_000.0 / gap)
}

/// The usual rates, slowest first.
const USUAL: [Rate; 9] = [
    Rate { num: 24_000, den: 1001 },
    Rate { num: 24, den: 1 },
    Rate { num: 25, den: 1 },
    Rate { num: 30_000, den: 1001 },
    Rate { num: 30, den: 1 },
    Rate { num: 48, den: 1 },
    Rate { num: 50, den: 1 },
    Rate { num: 60_000, den: 1001 },
    Rate { num: 60, den: 1 },
];

/// One constant rate within bounds.
pub(super) fn choose_rate(source: &Source) -> Rate {
    let rate = own_rate(source);
    let parts = (2..1000).find(|parts| rate.divided_by(*parts).fps() <= MAX_FPS);
    let rate =
        if rate.fps() <= MAX_FPS { rate } else { parts.map_or(FASTEST, |parts| rate.divided_by(parts)) };
    if rate.fps() < SLOWEST.fps() { SLOWEST } else { rate }
}

/// The master's own rate where it has one; for a variable rate one that keeps its time stamps.
fn own_rate(source: &Source) -> Rate {
    let base = source.video.base_rate;
    let Some((gap, fps)) = source.picture.mean_gap_us().zip(mean_fps(source)) else {
        return base.filter(|base| base.fps() <= MAX_FPS).unwrap_or(STILL);
    };
    let near = |rate: &Rate, part: f64| (rate.fps() - fps).abs() <= fps * part;
    if let Some(base) = base.filter(|base| near(base, 0.02)) {
        return base;
    }
    let longest = Duration::from_micros(source.picture.longest_gap_us).as_secs_f64() * 1e6;
    // Stamps in whole milliseconds make equal gaps differ a little.
    let is_constant = longest <= gap * 1.5 + 1000.0;
    // Interlaced streams tell the rate of their fields as the base.
    if !is_constant && !source.video.interlaced {
        if let Some(base) = base.filter(|base| base.fps() >= fps && base.fps() <= (fps * 3.0).min(MAX_FPS)) {
            return base;
        }
        return USUAL.into_iter().find(|rate| rate.fps() >= fps).unwrap_or(FASTEST);
    }
    let far = |rate: &Rate| (rate.fps() - fps).abs();
    let usual = USUAL.into_iter().filter(|rate| near(rate, 0.01)).min_by(|a, b| far(a).total_cmp(&far(b)));
    usual.or_else(|| Rate::new(thousandths(fps), 1000)).unwrap_or(STILL)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded")]
fn thousandths(fps: f64) -> u32 {
    (fps.min(1_000_000.0) * 1000.0).round() as u32
}
