//! The still pictures of a job: a poster, and the sheets of a storyboard. All are taken from key frames of finished
//! renditions, which cost next to nothing to decode. Pure.

use std::num::NonZeroU32;
use std::time::Duration;

use super::{Plan, Planned, even};
use crate::package::storyboard::Storyboard;

/// The poster is no larger than a rendition of this short side, in pixels, unless there is no other.
const POSTER_SHORT_SIDE: u32 = 720;
/// The longer side of a storyboard's picture, in pixels.
const THUMB_LONG_SIDE: u32 = 160;
/// Pictures beside and below one another in a sheet, at most.
const MOST_A_SIDE: u32 = 10;
/// With up to so many key frames (five minutes of them), each is in the storyboard; with more, every fifth is.
const EACH_KEY_FRAME: u64 = 150;
const EVERY_FIFTH: u32 = 5;

/// Which still pictures are taken, and from where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stills {
    /// Index of the rendition that the poster is a key frame of.
    pub poster_from: usize,
    /// From where the poster is looked for, in microseconds: a tenth of the way, past most titles and fades.
    pub poster_at_us: u64,
    /// Index of the rendition whose key frames the storyboard shows.
    pub sheets_from: usize,
    /// Of how many key frames one is shown.
    pub every_keys: u32,
    /// The storyboard.
    pub board: Storyboard,
}

impl Stills {
    /// The stills of a picture of `frames` frames; at least one.
    #[must_use]
    pub fn of(plan: &Plan, frames: u64) -> Self {
        let grid = &plan.grid;
        let keys = frames.max(1).div_ceil(u64::from(grid.key_every.max(1)));
        let every_keys = if keys > EACH_KEY_FRAME { EVERY_FIFTH } else { 1 };
        let count = u32::try_from(keys.div_ceil(u64::from(every_keys))).unwrap_or(u32::MAX);
        let columns = count.clamp(1, MOST_A_SIDE);
        let rows = count.div_ceil(columns).clamp(1, MOST_A_SIDE);
        let last = plan.renditions.len().saturating_sub(1);
        let short = |one: &Planned| one.width.min(one.height);
        let long = |one: &Planned| one.width.max(one.height);
        let fits = |one: &Planned| short(one) <= POSTER_SHORT_SIDE;
        let sheets_from = plan.renditions.iter().rposition(|one| long(one) >= THUMB_LONG_SIDE).unwrap_or(0);
        let (width, height) = plan.renditions.get(sheets_from).map_or((2, 2), thumb);
        Self {
            poster_from: plan.renditions.iter().position(fits).unwrap_or(last),
            poster_at_us: grid.time_us(frames / 10),
            sheets_from,
            every_keys,
            board: Storyboard {
                columns: NonZeroU32::new(columns).unwrap_or(NonZeroU32::MIN),
                rows: NonZeroU32::new(rows).unwrap_or(NonZeroU32::MIN),
                width,
                height,
                every: Duration::from_micros(grid.time_us(u64::from(grid.key_every) * u64::from(every_keys))),
                count,
                duration: Duration::from_micros(grid.time_us(frames)),
            },
        }
    }
}

/// The size of a storyboard's picture of a rendition: its shape, never larger than itself.
fn thumb(Planned { width, height, .. }: &Planned) -> (u32, u32) {
    let long = u128::from((*width).max(*height).max(1));
    let to = u128::from(THUMB_LONG_SIDE).min(long);
    let side = |side: u32| even(u128::from(side) * to, long);
    (side(*width), side(*height))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::plan;
    use crate::plan::tests::{master, options};

    fn of(size: (u32, u32), ladder: &str, seconds: u64) -> (Plan, Stills) {
        let plan = plan(&master(size.0, size.1), &ladder.parse().unwrap(), &options());
        let frames = plan.grid.frame_at(seconds * 1_000_000);
        let stills = Stills::of(&plan, frames);
        (plan, stills)
    }

    #[test]
    fn each_size_has_its_sources() {
        for (size, ladder, poster, sheets, thumb) in [
            ((3840, 2160), "2160p,1080p,720p,360p,180p", "720p", "180p", (160, 90)),
            ((1080, 1920), "1080p,720p,360p", "720p", "360p", (90, 160)),
            ((1920, 1080), "1080p", "1080p", "1080p", (160, 90)),
            ((640, 360), "360p,180p,72p", "360p", "180p", (160, 90)),
            ((64, 48), "48p", "48p", "48p", (64, 48)),
            ((4000, 16), "16p", "16p", "16p", (160, 2)),
        ] {
            let (plan, stills) = of(size, ladder, 30);
            assert_eq!(plan.renditions[stills.poster_from].name, poster, "{size:?}");
            assert_eq!(plan.renditions[stills.sheets_from].name, sheets, "{size:?}");
            assert_eq!((stills.board.width, stills.board.height), thumb, "{size:?}");
        }
    }

    #[test]
    fn each_length_has_its_sheets() {
        for (seconds, every_keys, count, (columns, rows), sheets) in [
            (0, 1, 1, (1, 1), 1),
            (5, 1, 3, (3, 1), 1),
            (300, 1, 150, (10, 10), 2),
            (302, 5, 31, (10, 4), 1),
            (7200, 5, 720, (10, 10), 8),
        ] {
            let (_, Stills { every_keys: every, board, poster_at_us, .. }) = of((640, 360), "180p", seconds);
            assert_eq!((every, board.count, board.sheets()), (every_keys, count, sheets), "{seconds} s");
            assert_eq!((board.columns.get(), board.rows.get()), (columns, rows), "{seconds} s");
            assert_eq!(board.every, Duration::from_secs(2) * every_keys);
            assert!(poster_at_us <= seconds * 100_000);
        }
    }
}
