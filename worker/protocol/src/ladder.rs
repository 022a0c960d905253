//! The ladder: which renditions a master is to be turned into.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The smallest rung a ladder may name, in pixels of the short side.
pub const MIN_RUNG: u32 = 16;
/// The largest rung a ladder may name, in pixels of the short side (8K).
pub const MAX_RUNG: u32 = 4320;
/// How many rungs one ladder may have: each costs an encoder with its own memory.
pub const MAX_RUNGS: usize = 12;

/// One step of a ladder: the length of the picture's short side in pixels, as in `720p`.
///
/// It is always even and between [`MIN_RUNG`] and [`MAX_RUNG`]. Written and read as `720p`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Rung(u32);

impl Rung {
    /// The length of the short side, in pixels.
    #[must_use]
    pub fn short_side(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Rung {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}p", self.0)
    }
}

impl FromStr for Rung {
    type Err = LadderError;

    fn from_str(text: &str) -> Result<Self, LadderError> {
        let text = text.trim();
        let unreadable = || LadderError::NotARung(excerpt(text));
        let digits = text.strip_suffix(['p', 'P']).ok_or_else(unreadable)?;
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(unreadable());
        }
        let height: u32 = digits.parse().map_err(|_| unreadable())?;
        if !(MIN_RUNG..=MAX_RUNG).contains(&height) {
            return Err(LadderError::OutOfRange(height));
        }
        if height % 2 == 1 {
            return Err(LadderError::Odd(height));
        }
        Ok(Self(height))
    }
}

impl TryFrom<String> for Rung {
    type Error = LadderError;

    fn try_from(text: String) -> Result<Self, LadderError> {
        text.parse()
    }
}

impl From<Rung> for String {
    fn from(rung: Rung) -> Self {
        rung.to_string()
    }
}

/// The renditions asked for: at least one rung, largest first, none twice.
///
/// Two ladders that ask for the same renditions are equal, whatever order they were written in.
/// On the command line: `1080p,720p`. In JSON and YAML: a list of strings.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Vec<Rung>", into = "Vec<Rung>")]
pub struct Ladder(Vec<Rung>);

impl Ladder {
    /// The rungs, largest first.
    #[must_use]
    pub fn rungs(&self) -> &[Rung] {
        &self.0
    }
}

impl Default for Ladder {
    /// The ladder of a job that names none: 1080p, 720p, 480p, 360p.
    fn default() -> Self {
        Self([1080, 720, 480, 360].map(Rung).to_vec())
    }
}

impl TryFrom<Vec<Rung>> for Ladder {
    type Error = LadderError;

    fn try_from(mut rungs: Vec<Rung>) -> Result<Self, LadderError> {
        rungs.sort_unstable_by(|a, b| b.cmp(a));
        rungs.dedup();
        match rungs.len() {
            0 => Err(LadderError::Empty),
            n if n > MAX_RUNGS => Err(LadderError::TooMany(n)),
            _ => Ok(Self(rungs)),
        }
    }
}

impl From<Ladder> for Vec<Rung> {
    fn from(ladder: Ladder) -> Self {
        ladder.0
    }
}

impl fmt::Display for Ladder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, rung) in self.0.iter().enumerate() {
            write!(f, "{}{rung}", if i == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

impl FromStr for Ladder {
    type Err = LadderError;

    /// Reads rungs separated by commas or white space.
    fn from_str(text: &str) -> Result<Self, LadderError> {
        let rungs = text.split(|c: char| c == ',' || c.is_whitespace()).filter(|part| !part.is_empty());
        Self::try_from(rungs.map(str::parse).collect::<Result<Vec<Rung>, _>>()?)
    }
}

/// Why a text is not a ladder.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LadderError {
    /// There was no rung at all.
    #[error("a ladder needs at least one rung, such as 720p")]
    Empty,
    /// There were more than [`MAX_RUNGS`].
    #[error("a ladder has at most {MAX_RUNGS} rungs, this one has {0}")]
    TooMany(usize),
    /// A part was not of the form `720p`.
    #[error("`{0}` is not a rung: write the short side in pixels and a p, such as 720p")]
    NotARung(String),
    /// A rung was smaller than [`MIN_RUNG`] or larger than [`MAX_RUNG`].
    #[error("{0}p is out of range: a rung is between {MIN_RUNG}p and {MAX_RUNG}p")]
    OutOfRange(u32),
    /// A rung was odd; 4:2:0 video has even sizes only.
    #[error("{0}p is odd: video sizes are even, use {up}p", up = .0.saturating_add(1))]
    Odd(u32),
}

/// The first characters of outside text, so that an error stays one line.
pub(crate) fn excerpt(text: &str) -> String {
    const LIMIT: usize = 40;
    let mut short: String = text.chars().take(LIMIT).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(LIMIT).is_some() {
        short.push('…');
    }
    short
}
