//! The grid on which the frames of all renditions stand, and the pieces that it is cut into.

use crate::source::{Rate, Source};

/// Seconds from one key frame to the next, before they are rounded up to whole frames.
const KEY_FRAME_SECONDS: u32 = 2;
/// Pieces are cut at every fifth key frame, so that the pictures of a storyboard stand alike in each.
pub(crate) const KEYS_A_STEP: u32 = 5;
/// A sound that begins up to this much before the picture is kept from its beginning, in microseconds.
const LONGEST_LEAD_US: i64 = 60_000_000;

/// Where the frames stand: at one constant rate from one origin, with key frames at one distance; the same in every
/// rendition and whatever pieces they were made in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grid {
    /// The rate of all renditions.
    pub rate: Rate,
    /// Frames from one key frame to the next: those of two seconds, rounded up.
    pub key_every: u32,
    /// Where frame 0 stands on the master's clock, in microseconds: the start of the picture, or of a sound before it.
    pub origin_us: i64,
    /// The master's clock jumps. It must be mended by reading all of it, so there is one piece.
    pub broken_clock: bool,
    /// What is made at a time, in order; at least one.
    pub pieces: Vec<Piece>,
}

/// A part of the picture, between two key frames of the grid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// Its first frame.
    pub first: u64,
    /// How many frames it has; `None`: all that come.
    pub frames: Option<u64>,
}

impl Piece {
    /// The whole picture.
    pub const WHOLE: Self = Self { first: 0, frames: None };
}

impl Grid {
    /// The grid of a master at `rate`, cut into pieces of about `piece_seconds` seconds. One that is shorter than one
    /// and a half of them is made in one piece.
    #[must_use]
    pub fn of(source: &Source, rate: Rate, piece_seconds: u32) -> Self {
        let key_every = keys_apart(rate);
        let broken_clock = source.picture.clock_breaks > 0;
        let mut grid =
            Self { rate, key_every, origin_us: origin_us(source), broken_clock, pieces: vec![Piece::WHOLE] };
        let step_seconds = KEY_FRAME_SECONDS * KEYS_A_STEP;
        let steps = u64::from((piece_seconds / step_seconds).max(1));
        let piece = steps * u64::from(key_every) * u64::from(KEYS_A_STEP);
        let frames = grid.frames(source);
        if !broken_clock && frames > piece.saturating_add(piece / 2) {
            // What is left over is made with the last one.
            let last = (frames.saturating_sub(piece / 2)) / piece;
            grid.pieces =
                (0..=last).map(|n| Piece { first: n * piece, frames: (n < last).then_some(piece) }).collect();
        }
        grid
    }

    /// The same grid, made in one piece.
    #[must_use]
    pub fn in_one_piece(&self) -> Self {
        Self { pieces: vec![Piece::WHOLE], ..self.clone() }
    }

    /// From the origin to the end of the picture, in microseconds.
    #[must_use]
    pub fn duration_us(&self, source: &Source) -> u64 {
        u64::try_from(source.picture.end_us.saturating_sub(self.origin_us)).unwrap_or(0)
    }

    /// How many frames the picture has on the grid, give or take one.
    #[must_use]
    pub fn frames(&self, source: &Source) -> u64 {
        self.frame_at(self.duration_us(source)).max(1)
    }

    /// How many frames stand before `us` microseconds from the origin: us × rate, rounded. Saturating.
    #[must_use]
    pub fn frame_at(&self, us: u64) -> u64 {
        let per = u128::from(self.rate.den) * 1_000_000;
        let frames = (u128::from(us) * u128::from(self.rate.num) + per / 2) / per;
        u64::try_from(frames).unwrap_or(u64::MAX)
    }

    /// When a frame is shown, in microseconds from the origin: frame / rate, rounded. Saturating.
    #[must_use]
    pub fn time_us(&self, frame: u64) -> u64 {
        let num = u128::from(self.rate.num);
        let us = (u128::from(frame) * u128::from(self.rate.den) * 1_000_000 + num / 2) / num;
        u64::try_from(us).unwrap_or(u64::MAX)
    }

    /// How many frames `piece` will have, give or take one where it is the last.
    #[must_use]
    pub fn frames_of(&self, piece: Piece, source: &Source) -> u64 {
        piece.frames.unwrap_or_else(|| self.frames(source).saturating_sub(piece.first).max(1))
    }
}

fn keys_apart(rate: Rate) -> u32 {
    let frames = (u64::from(rate.num) * u64::from(KEY_FRAME_SECONDS)).div_ceil(u64::from(rate.den));
    u32::try_from(frames).unwrap_or(u32::MAX)
}

fn origin_us(source: &Source) -> i64 {
    let picture = source.picture.start_us;
    let sound = source.audio.as_ref().and_then(|audio| audio.start_us);
    sound
        .filter(|sound| *sound < picture && picture.saturating_sub(*sound) <= LONGEST_LEAD_US)
        .unwrap_or(picture)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::plan::tests::master;

    fn lasting(seconds: i64, rate: Rate) -> Source {
        let mut source = master(640, 360);
        let end = seconds * 1_000_000;
        let frame = i64::try_from(rate.frame_us()).unwrap();
        (source.picture.last_us, source.picture.end_us) = (end - frame, end);
        source
    }

    #[test]
    fn a_short_master_is_made_in_one_piece_and_a_long_one_in_many() {
        let rate = Rate { num: 30, den: 1 };
        for (seconds, pieces) in [(1, 1), (60, 1), (90, 1), (91, 2), (149, 2), (151, 3), (3600, 60)] {
            let grid = Grid::of(&lasting(seconds, rate), rate, 60);
            assert_eq!(grid.pieces.len(), pieces, "{seconds} s");
            assert_eq!(grid.pieces[0].first, 0);
            assert_eq!(grid.pieces.last().unwrap().frames, None);
            assert_eq!(grid.in_one_piece().pieces, [Piece::WHOLE]);
        }
        let grid = Grid::of(&lasting(151, rate), rate, 60);
        assert_eq!(grid.pieces[1], Piece { first: 1800, frames: Some(1800) });
    }

    #[test]
    fn a_clock_that_jumps_is_read_in_one_go() {
        let rate = Rate { num: 25, den: 1 };
        let mut source = lasting(3600, rate);
        source.picture.clock_breaks = 1;
        assert_eq!(Grid::of(&source, rate, 60).pieces, [Piece::WHOLE]);
    }

    #[test]
    fn a_sound_before_the_picture_is_kept_unless_it_is_far_before() {
        let rate = Rate { num: 25, den: 1 };
        for (sound, origin) in [
            (None, 2_000_000),
            (Some(3_000_000), 2_000_000),
            (Some(500_000), 500_000),
            (Some(-90_000_000), 2_000_000),
        ] {
            let mut source = lasting(10, rate);
            source.picture.start_us = 2_000_000;
            source.audio =
                Some(crate::source::Audio { index: 1, codec: "aac".into(), channels: 2, start_us: sound });
            let grid = Grid::of(&source, rate, 60);
            assert_eq!(grid.origin_us, origin, "{sound:?}");
            assert_eq!(grid.duration_us(&source), u64::try_from(10_000_000 - origin).unwrap());
        }
    }

    proptest! {
        #[test]
        fn pieces_follow_one_another_and_begin_at_key_frames(
            num in 1_u32..61_000, den in 1_u32..1002, end in 0_i64..20_000_000_000, seconds in 1_u32..4000,
        ) {
            let rate = Rate::new(num, den).unwrap();
            prop_assume!(rate.fps() >= 1.0 && rate.fps() <= 60.06);
            let mut source = master(640, 360);
            (source.picture.last_us, source.picture.end_us) = (end, end);
            let grid = Grid::of(&source, rate, seconds);
            let mut next = 0;
            for (n, piece) in grid.pieces.iter().enumerate() {
                prop_assert_eq!(piece.first, next);
                prop_assert_eq!(piece.first % (u64::from(grid.key_every) * u64::from(KEYS_A_STEP)), 0);
                prop_assert_eq!(piece.frames.is_none(), n + 1 == grid.pieces.len());
                prop_assert!(grid.frames_of(*piece, &source) > 0);
                next += piece.frames.unwrap_or(0);
            }
            prop_assert!(next < grid.frames(&source) || grid.pieces.len() == 1);
        }

        #[test]
        fn frames_and_times_are_each_others_inverse(num in 1_u32..61_000, den in 1_u32..1002, frame in 0_u64..1_000_000_000) {
            let rate = Rate::new(num, den).unwrap();
            prop_assume!(rate.fps() <= 60.06);
            let grid = Grid::of(&master(640, 360), rate, 60);
            prop_assert_eq!(grid.frame_at(grid.time_us(frame)), frame);
        }
    }
}
