//! A single-file CMAF track, as its own boxes describe it.

use std::io::{Read, Seek, SeekFrom};

use super::boxes::{Fields, Kind, Place, body, boxes, child, place};
use super::codec;
use super::error::TrackError;
use super::segments::{ByteRange, Span};
use super::sidx;

/// The longest header and index that are read: an index of 65,535 entries, all that one can have, is 768 KiB.
const MOST_BYTES: u64 = 1 << 20;
/// More boxes than this do not stand before the index.
const MOST_BOXES: u32 = 64;

/// What a track shows or plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Media {
    /// A picture.
    Video {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
    },
    /// A sound.
    Audio {
        /// How many channels.
        channels: u32,
        /// Samples a second.
        sample_rate: u32,
    },
}

/// One track in one file: a header, an index, and fragments that follow one another without gaps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Track {
    /// The codec's name, as RFC 6381 has it, such as `avc1.64001F`.
    pub codec: String,
    /// What it shows or plays.
    pub media: Media,
    /// Units of time in a second; at least 1.
    pub timescale: u32,
    /// The bytes from the file's start to the end of `moov`: what a player needs before any fragment.
    pub init: ByteRange,
    /// The bytes of `sidx`.
    pub index: ByteRange,
    /// When its first sample is shown, in units of the time scale.
    pub start: u64,
    /// The fragments, in order; at least one.
    pub fragments: Vec<Span>,
}

impl Track {
    /// Reads the track in `file`, from its first byte on.
    ///
    /// Only headers are read, one after the other and at most 1 MiB each; samples are not. Any bytes give an
    /// answer. What it says is checked against the file: each entry of the index is exactly one `moof` and its
    /// `mdat`, and after the last one there is no further.
    pub fn read(file: &mut (impl Read + Seek)) -> Result<Self, TrackError> {
        let len = file.seek(SeekFrom::End(0))?;
        let (moov_place, index_place) = heads(file, len)?;
        let (codec, media) = header(&body(file, moov_place, MOST_BYTES)?)?;
        let index = sidx::parse(&body(file, index_place, MOST_BYTES)?, index_place)?;
        let mut at = index_place.end;
        for fragment in &index.fragments {
            at = check_fragment(file, *fragment, at, len)?;
        }
        if at < len && &place(file, at, len)?.kind == b"moof" {
            return Err(TrackError::Damaged { at, what: "the index has no entry for it" });
        }
        let range = |place: Place| ByteRange { offset: place.start, len: place.end - place.start };
        Ok(Self {
            codec,
            media,
            timescale: index.timescale,
            init: ByteRange { offset: 0, len: moov_place.end },
            index: range(index_place),
            start: index.start,
            fragments: index.fragments,
        })
    }

    /// How long it plays, in units of the time scale. Saturating.
    #[must_use]
    pub fn ticks(&self) -> u64 {
        self.fragments.iter().fold(0, |sum, fragment| sum.saturating_add(fragment.ticks))
    }
}

/// Where `moov` and the first `sidx` lie; both stand before the first fragment.
fn heads(file: &mut (impl Read + Seek), len: u64) -> Result<(Place, Place), TrackError> {
    let (mut at, mut moov) = (0, None);
    for _ in 0..MOST_BOXES {
        if at >= len {
            break;
        }
        let place = place(file, at, len)?;
        match &place.kind {
            b"moov" => moov = Some(place),
            b"sidx" => return moov.map(|moov| (moov, place)).ok_or(TrackError::Missing("moov")),
            b"moof" | b"mdat" => break,
            _ => {}
        }
        at = place.end;
    }
    Err(TrackError::Missing(if moov.is_some() { "sidx" } else { "moov" }))
}

/// Checks that a fragment starts at `at` and is a `moof` and its `mdat`; gives where it ends.
fn check_fragment(
    file: &mut (impl Read + Seek),
    fragment: Span,
    at: u64,
    len: u64,
) -> Result<u64, TrackError> {
    if fragment.bytes.offset != at {
        return Err(TrackError::Damaged { at, what: "the index leaves it out" });
    }
    let end = fragment.bytes.end();
    if end > len {
        return Err(TrackError::Damaged { at, what: "the file ends before this fragment does" });
    }
    let moof = place(file, at, end)?;
    if &moof.kind != b"moof" {
        return Err(TrackError::Damaged { at, what: "the index points to it and it is no fragment" });
    }
    let mdat = place(file, moof.end, end)?;
    if &mdat.kind != b"mdat" || mdat.end != end {
        return Err(TrackError::Damaged { at, what: "the index does not say its size" });
    }
    Ok(end)
}

/// Reads the body of `moov`.
fn header(moov: &[u8]) -> Result<(String, Media), TrackError> {
    let tracks = boxes(moov).filter(|(kind, _)| kind == b"trak").count();
    if tracks != 1 {
        return Err(TrackError::NotOne { what: "tracks", found: tracks as u64 });
    }
    let track = child(moov, "trak")?;
    if let Ok(edits) = child(track, "edts") {
        check_edits(child(edits, "elst")?)?;
    }
    let media = child(child(track, "mdia")?, "minf")?;
    let stsd = child(child(media, "stbl")?, "stsd")?;
    let (_version, rest) = stsd.split_first_chunk::<4>().ok_or(TrackError::Missing("stsd"))?;
    let (count, entries) = rest.split_first_chunk::<4>().ok_or(TrackError::Missing("stsd"))?;
    let count = u32::from_be_bytes(*count);
    if count != 1 {
        return Err(TrackError::NotOne { what: "sample descriptions", found: u64::from(count) });
    }
    let (kind, entry): (Kind, &[u8]) = boxes(entries).next().ok_or(TrackError::Missing("stsd"))?;
    codec::describe(kind, entry)
}

/// One entry that starts at a moment of the media and plays at its own speed is what every player takes for a
/// plain offset.
fn check_edits(elst: &[u8]) -> Result<(), TrackError> {
    if is_one_offset(elst).unwrap_or(false) { Ok(()) } else { Err(TrackError::EditList) }
}

/// Reads an edit list (ISO/IEC 14496-12, 8.6.6).
fn is_one_offset(elst: &[u8]) -> Option<bool> {
    let mut fields = Fields(elst);
    let [version, ..] = fields.array::<4>()?;
    let count = fields.u32()?;
    let (_duration, moment) = match version {
        0 => (u64::from(fields.u32()?), i64::from(fields.u32()?.cast_signed())),
        _ => (fields.u64()?, fields.u64()?.cast_signed()),
    };
    Some(count == 1 && moment >= 0 && fields.u32()? == 0x0001_0000)
}

#[cfg(test)]
#[path = "track_tests.rs"]
mod tests;
