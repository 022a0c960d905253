//! Packaging for HLS and DASH: both play the same single-file CMAF tracks.
//!
//! The way of a job: ffmpeg copies each rung and the sound into a track of its own ([`cmaf`]); [`Track::read`]
//! looks what is in it; [`Presentation::new`] checks that the tracks belong together and cuts segments; and
//! [`hls`] and [`dash`] write what a player opens first. [`storyboard`] is apart: it tells a player's seek bar
//! which picture of which sprite sheet belongs to which moment. All of it is pure but for reading tracks.
//!
//! No library does this here. `mp4-atom`, the one that is well kept, decodes all boxes there are but neither finds
//! byte ranges nor names codecs, and brings some ten crates, a second `thiserror` among them, for the few fields
//! that are wanted.

mod bandwidth;
mod boxes;
pub mod cmaf;
mod codec;
pub mod dash;
mod error;
#[cfg(test)]
mod fixtures;
pub mod hls;
pub mod layout;
mod presentation;
mod segments;
mod sidx;
pub mod storyboard;
mod track;

pub use error::{PackageError, TrackError};
pub use presentation::{Packaged, Presentation, Rung};
pub use segments::{ByteRange, Span};
pub use track::{Media, Track};
