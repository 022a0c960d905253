//! The boxes that ISO base media files are made of (ISO/IEC 14496-12, 4.2), from a file and from memory.
//!
//! Total: any bytes give an answer, and nothing is held in memory but one box of a bounded size.

use std::io::{Read, Seek, SeekFrom};

use super::error::TrackError;

/// A box's type, such as `moov`.
pub(crate) type Kind = [u8; 4];

/// Where a box of a file lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) kind: Kind,
    /// Its first byte.
    pub(crate) start: u64,
    /// The first byte after its header.
    pub(crate) body: u64,
    /// The first byte after it.
    pub(crate) end: u64,
}

/// The box at `at` of a file of `len` bytes; a damaged one when it does not lie wholly in the file.
pub(crate) fn place(file: &mut (impl Read + Seek), at: u64, len: u64) -> Result<Place, TrackError> {
    let damaged = |what| TrackError::Damaged { at, what };
    let left = len.checked_sub(at).filter(|left| *left >= 8).ok_or(damaged("the file ends in it"))?;
    file.seek(SeekFrom::Start(at))?;
    let [a, b, c, d, kind @ ..] = read_array::<8>(file)?;
    let (header, size) = match u32::from_be_bytes([a, b, c, d]) {
        0 => (8, left),
        1 if left < 16 => return Err(damaged("the file ends in it")),
        1 => (16, u64::from_be_bytes(read_array(file)?)),
        size => (8, u64::from(size)),
    };
    if size < header {
        return Err(damaged("it is shorter than its own header"));
    }
    if size > left {
        return Err(damaged("the file ends in it"));
    }
    Ok(Place { kind, start: at, body: at + header, end: at + size })
}

fn read_array<const N: usize>(file: &mut impl Read) -> Result<[u8; N], TrackError> {
    let mut bytes = [0; N];
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// The body of a box of a file, which must not be longer than `most` bytes.
pub(crate) fn body(file: &mut (impl Read + Seek), place: Place, most: u64) -> Result<Vec<u8>, TrackError> {
    let len = place.end - place.body;
    if len > most {
        return Err(TrackError::Damaged { at: place.start, what: "it is far longer than any such box" });
    }
    file.seek(SeekFrom::Start(place.body))?;
    let mut bytes = Vec::new();
    file.take(len).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The boxes in `bytes`, one after the other, each as its type and its body; they end before the first that does
/// not fit.
pub(crate) fn boxes(bytes: &[u8]) -> impl Iterator<Item = (Kind, &[u8])> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let (head, after) = rest.split_first_chunk::<8>()?;
        let [a, b, c, d, kind @ ..] = *head;
        // Nothing that we read in memory is longer than 4 GiB: the longer form of the size has no use there.
        let size = match u32::from_be_bytes([a, b, c, d]) {
            0 => rest.len(),
            size => usize::try_from(size).ok()?,
        };
        let body = after.get(..size.checked_sub(8)?)?;
        rest = rest.get(size..)?;
        Some((kind, body))
    })
}

/// The first box of that type in `bytes`.
pub(crate) fn child<'a>(bytes: &'a [u8], kind: &'static str) -> Result<&'a [u8], TrackError> {
    let found = boxes(bytes).find(|(found, _)| found == kind.as_bytes());
    found.map(|(_, body)| body).ok_or(TrackError::Missing(kind))
}

/// Reads numbers, most significant byte first, from the front of some bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl<'a> Fields<'a> {
    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (bytes, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*bytes)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    pub(crate) fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(bytes)
    }
}

#[cfg(test)]
#[path = "boxes_tests.rs"]
mod tests;
