//! ffmpeg's argument lists for a plan. Pure.
//!
//! Outputs' names are relative: ffmpeg must run in the job's output folder. In its folder [`PIECES`] lie the pieces of
//! which the renditions are put together.

use std::ffi::OsString;

use crate::plan::{Piece, Planned};

mod encode;
mod graph;
mod join;
mod measure;
mod stills;

pub use encode::encode;
pub use join::{join, list};
pub use measure::{loudness, quality};
pub use stills::stills;

/// The folder of what is not finished, below the output folder.
pub const PIECES: &str = "pieces";
/// The sound of the whole master.
pub const SOUND: &str = "pieces/sound.mp4";

/// What one ffmpeg makes: some of the renditions, for one piece, and the whole sound or none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    /// Which of the pieces, counted from 0.
    pub number: usize,
    /// The piece.
    pub piece: Piece,
    /// Which of the plan's renditions.
    pub renditions: std::ops::Range<usize>,
    /// Whether it makes the sound too.
    pub sound: bool,
}

/// The name of a rendition's piece.
#[must_use]
pub fn piece_file(number: usize, rendition: &Planned) -> String {
    format!("{PIECES}/{number:05}-{}", rendition.file_name())
}

/// An argument list that grows.
#[derive(Default)]
struct Args(Vec<OsString>);

impl Args {
    /// Adds words that a space separates.
    fn add(&mut self, words: &str) {
        self.0.extend(words.split(' ').map(OsString::from));
    }

    /// Adds options with their values.
    fn pairs(&mut self, pairs: &[(&str, &str)]) {
        self.0.extend(pairs.iter().flat_map(|(key, value)| [OsString::from(key), OsString::from(value)]));
    }
}

/// `-1500000` µs as `-1.500000`.
fn seconds(us: i64) -> String {
    let sign = if us < 0 { "-" } else { "" };
    format!("{sign}{}.{:06}", us.unsigned_abs() / 1_000_000, us.unsigned_abs() % 1_000_000)
}
