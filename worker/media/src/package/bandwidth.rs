//! How fast a network must be: the three bit rates that playlists and manifests announce, in bits a second, each
//! rounded up.

use super::segments::Span;

/// The mean bit rate: all bits by all seconds, the "average segment bit rate" of RFC 8216, 4.1.
pub(crate) fn average(spans: &[Span], timescale: u32) -> u64 {
    let bits = spans.iter().map(bits).sum();
    let ticks = spans.iter().map(|span| u128::from(span.ticks)).sum();
    rate(bits, ticks, timescale)
}

/// The "peak segment bit rate" of RFC 8216, 4.1: the highest of any run of segments that lasts between 0.5 and 1.5
/// times the target duration; never below the mean.
pub(crate) fn peak(segments: &[Span], timescale: u32, target_seconds: u32) -> u64 {
    let target = u128::from(timescale) * u128::from(target_seconds);
    let mut highest = average(segments, timescale);
    for first in 0..segments.len() {
        let (mut sum, mut ticks) = (0, 0);
        for segment in segments.iter().skip(first) {
            sum += bits(segment);
            ticks += u128::from(segment.ticks);
            if 2 * ticks > 3 * target {
                break;
            }
            if 2 * ticks >= target {
                highest = highest.max(rate(sum, ticks, timescale));
            }
        }
    }
    highest
}

/// What ISO/IEC 23009-1, 5.3.5.2 calls `@bandwidth`: over a channel of that constant rate, playback that starts
/// at any fragment once `buffer_ms` of it have come never waits. Each fragment is held to be wanted whole when it
/// starts to play.
pub(crate) fn sufficient(fragments: &[Span], timescale: u32, buffer_ms: u64) -> u64 {
    // In units of 1 / (1000 × timescale) bits, so that nothing is rounded.
    let scale = u128::from(timescale) * 1000;
    let buffer = u128::from(buffer_ms.max(1)) * u128::from(timescale);
    let suffices = |rate: u128| {
        let mut wanted = 0_u128;
        fragments.iter().all(|fragment| {
            wanted += bits(fragment) * scale;
            let in_time = wanted <= rate * buffer;
            wanted = wanted.saturating_sub(rate * u128::from(fragment.ticks) * 1000);
            in_time
        })
    };
    let all: u128 = fragments.iter().map(bits).sum();
    // All bits in the time of the buffer are enough for sure.
    let (mut low, mut high) = (0, (all * scale).div_ceil(buffer));
    while low < high {
        let middle = low + (high - low) / 2;
        if suffices(middle) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    u64::try_from(high).unwrap_or(u64::MAX)
}

fn bits(span: &Span) -> u128 {
    u128::from(span.bytes.len) * 8
}

fn rate(bits: u128, ticks: u128, timescale: u32) -> u64 {
    u64::try_from((bits * u128::from(timescale)).div_ceil(ticks.max(1))).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[path = "bandwidth_tests.rs"]
mod tests;
