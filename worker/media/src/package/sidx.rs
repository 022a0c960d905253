//! The segment index, `sidx` (ISO/IEC 14496-12, 8.16.3): one entry for each fragment of the file.

use super::boxes::{Fields, Place};
use super::error::TrackError;
use super::segments::{ByteRange, Span};

/// What a `sidx` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Index {
    /// Units a second; at least 1.
    pub(crate) timescale: u32,
    /// When the first sample is shown, in those units.
    pub(crate) start: u64,
    /// The fragments, one after the other without gaps; at least one.
    pub(crate) fragments: Vec<Span>,
}

/// The index whose body is `bytes`, from the box at `place`.
pub(crate) fn parse(bytes: &[u8], place: Place) -> Result<Index, TrackError> {
    let damaged = |what| TrackError::Damaged { at: place.start, what };
    let short = || damaged("it ends too soon");
    let mut fields = Fields(bytes);
    let [version, ..] = fields.array::<4>().ok_or_else(short)?;
    let _reference_id = fields.u32().ok_or_else(short)?;
    let timescale = fields.u32().ok_or_else(short)?;
    let (start, first) = match version {
        0 => fields.u32().map(u64::from).zip(fields.u32().map(u64::from)),
        _ => fields.u64().zip(fields.u64()),
    }
    .ok_or_else(short)?;
    let _reserved = fields.u16().ok_or_else(short)?;
    let count = fields.u16().ok_or_else(short)?;
    if timescale == 0 {
        return Err(damaged("its time scale is 0"));
    }
    if count == 0 {
        return Err(damaged("it has no entry"));
    }
    // Entries are counted from the first byte after the index.
    let mut offset = place.end.checked_add(first).ok_or(damaged("it points past all files"))?;
    let mut fragments = Vec::new();
    for _ in 0..count {
        let (size, ticks) = fields.u32().zip(fields.u32()).ok_or_else(short)?;
        let _access_point = fields.u32().ok_or_else(short)?;
        if size >> 31 != 0 {
            return Err(damaged("it points to another index"));
        }
        let bytes = ByteRange { offset, len: u64::from(size) };
        if size == 0 || ticks == 0 {
            return Err(damaged("an entry is empty"));
        }
        offset = offset.checked_add(bytes.len).ok_or(damaged("it points past all files"))?;
        fragments.push(Span { bytes, ticks: u64::from(ticks) });
    }
    Ok(Index { timescale, start, fragments })
}
