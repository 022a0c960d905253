//! The storyboard: a `WebVTT` file that tells a player's seek bar which picture of which sprite sheet belongs to
//! which moment. Players take the text of each cue for a link to a part of an image (Media Fragments URI 1.0,
//! 4.2.2, `xywh`).

use std::fmt::Write as _;
use std::num::NonZeroU32;
use std::time::Duration;

use super::layout;

/// Sprite sheets: pictures of equal size, taken at equal distances, in rows from the left and from the top.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Storyboard {
    /// Pictures beside one another in a sheet.
    pub columns: NonZeroU32,
    /// Pictures below one another in a sheet.
    pub rows: NonZeroU32,
    /// Width of a picture in pixels.
    pub width: u32,
    /// Height of a picture in pixels.
    pub height: u32,
    /// From one picture to the next; a distance under a millisecond is taken as one.
    pub every: Duration,
    /// How many pictures there are in all sheets.
    pub count: u32,
    /// How long the video plays.
    pub duration: Duration,
}

impl Storyboard {
    /// How many sheets the pictures fill, the last one perhaps in part.
    #[must_use]
    pub fn sheets(&self) -> u32 {
        u32::try_from(u64::from(self.count).div_ceil(self.a_sheet())).unwrap_or(u32::MAX)
    }

    /// The `WebVTT` file: a cue for each picture until the next one, the last until the video's end. Pictures that
    /// would come after the end have none.
    #[must_use]
    pub fn vtt(&self) -> String {
        let every = u64::try_from(self.every.as_millis()).unwrap_or(u64::MAX).max(1);
        let end = u64::try_from(self.duration.as_millis()).unwrap_or(u64::MAX);
        let mut text = String::from("WEBVTT\n");
        for picture in 0..u64::from(self.count) {
            let from = picture.saturating_mul(every);
            if from >= end {
                break;
            }
            let is_last = picture + 1 == u64::from(self.count);
            let to = if is_last { end } else { from.saturating_add(every).min(end) };
            let (number, place) = (picture / self.a_sheet() + 1, picture % self.a_sheet());
            let columns = u64::from(self.columns.get());
            let x = place % columns * u64::from(self.width);
            let y = place / columns * u64::from(self.height);
            let name = layout::sheet(u32::try_from(number).unwrap_or(u32::MAX));
            let _ = write!(text, "\n{} --> {}\n{name}#xywh={x},{y}", timestamp(from), timestamp(to));
            let _ = writeln!(text, ",{},{}", self.width, self.height);
        }
        text
    }

    fn a_sheet(&self) -> u64 {
        u64::from(self.columns.get()) * u64::from(self.rows.get())
    }
}

/// `hh:mm:ss.mmm` (`WebVTT`, 4.1).
fn timestamp(ms: u64) -> String {
    let (seconds, ms) = (ms / 1000, ms % 1000);
    format!("{:02}:{:02}:{:02}.{ms:03}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
#[path = "storyboard_tests.rs"]
mod tests;
