//! Segments: runs of whole fragments, cut where a player may start and change the rung.

/// A range of bytes of a file; never empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ByteRange {
    /// The first byte, counted from 0.
    pub offset: u64,
    /// How many bytes.
    pub len: u64,
}

impl ByteRange {
    /// The first byte after it. Saturating.
    #[must_use]
    pub fn end(self) -> u64 {
        self.offset.saturating_add(self.len)
    }
}

/// A run of whole fragments: where it lies in the file, and how long it plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Span {
    /// Its bytes.
    pub bytes: ByteRange,
    /// Its duration in units of the track's time scale; at least 1.
    pub ticks: u64,
}

/// How many fragments belong to each segment, so that each comes as near to `seconds` as whole fragments allow.
pub(crate) fn cut(fragments: &[Span], timescale: u32, seconds: u32) -> Vec<usize> {
    let target = u128::from(timescale) * u128::from(seconds);
    let mut counts = Vec::new();
    let (mut count, mut length) = (0, 0);
    for (i, fragment) in fragments.iter().enumerate() {
        count += 1;
        length += u128::from(fragment.ticks);
        let next = fragments.get(i + 1).map(|next| u128::from(next.ticks));
        // With the next one it would be farther from the target than without.
        if next.is_none_or(|next| 2 * length + next > 2 * target) {
            counts.push(count);
            (count, length) = (0, 0);
        }
    }
    counts
}

/// How many fragments belong to each segment, so that the segments end as near as whole fragments allow to `ends`,
/// rising moments in units of 1 / `ends_timescale` seconds, and after the last of them every `seconds`.
pub(crate) fn cut_at(
    fragments: &[Span],
    timescale: u32,
    ends: &[u64],
    ends_timescale: u32,
    seconds: u32,
) -> Vec<usize> {
    // Both in units of 1 / (timescale × ends_timescale) seconds.
    let own = |span: &Span| u128::from(span.ticks) * u128::from(ends_timescale);
    let mut ends = ends.iter().map(|end| u128::from(*end) * u128::from(timescale)).peekable();
    let mut counts = Vec::new();
    let (mut taken, mut count, mut at) = (0, 0, 0_u128);
    for pair in fragments.windows(2) {
        let [fragment, next] = pair else { continue };
        let Some(end) = ends.peek().copied() else { break };
        count += 1;
        at += own(fragment);
        let next = at + own(next);
        let is_nearest = |end: u128| at.abs_diff(end) <= next.abs_diff(end);
        if is_nearest(end) {
            counts.push(count);
            taken += count;
            count = 0;
            while ends.next_if(|end| is_nearest(*end)).is_some() {}
        }
    }
    counts.extend(cut(fragments.get(taken..).unwrap_or_default(), timescale, seconds));
    counts
}

/// Joins fragments to segments of so many of them each.
pub(crate) fn join(fragments: &[Span], counts: &[usize]) -> Vec<Span> {
    let mut fragments = fragments.iter();
    let joined = counts.iter().filter_map(|count| {
        let run = fragments.by_ref().take(*count);
        run.copied().reduce(|run, next| Span {
            bytes: ByteRange { len: run.bytes.len.saturating_add(next.bytes.len), ..run.bytes },
            ticks: run.ticks.saturating_add(next.ticks),
        })
    });
    joined.collect()
}

/// The moments at which spans end, counted from the start of the first.
pub(crate) fn ends(spans: &[Span]) -> Vec<u64> {
    let mut at = 0_u64;
    spans
        .iter()
        .map(|span| {
            at = at.saturating_add(span.ticks);
            at
        })
        .collect()
}

#[cfg(test)]
#[path = "segments_tests.rs"]
mod tests;
