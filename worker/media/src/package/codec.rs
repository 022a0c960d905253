//! What a sample description says: the codec's name as RFC 6381 has it, and the picture's size or the sound's
//! channels.

use super::boxes::{Fields, child};
use super::error::TrackError;
use super::track::Media;

/// Reads one entry of an `stsd` box: its type and its body.
pub(crate) fn describe(kind: [u8; 4], entry: &[u8]) -> Result<(String, Media), TrackError> {
    let codec = match &kind {
        b"avc1" => avc(visual_children(entry)?),
        b"av01" => av1(visual_children(entry)?),
        b"mp4a" => mp4a(entry.get(AUDIO_ENTRY..).ok_or(TrackError::Missing("mp4a"))?),
        _ => Err(TrackError::Codec(String::from_utf8_lossy(&kind).escape_default().to_string())),
    }?;
    let media = if &kind == b"mp4a" { sound(entry) } else { picture(entry) };
    Ok((codec, media.ok_or(TrackError::Missing("stsd"))?))
}

/// Bytes of a `VisualSampleEntry` before the boxes in it (ISO/IEC 14496-12, 12.1.3).
const VISUAL_ENTRY: usize = 78;
/// Bytes of an `AudioSampleEntry` before the boxes in it (ISO/IEC 14496-12, 12.2.3).
const AUDIO_ENTRY: usize = 28;

fn visual_children(entry: &[u8]) -> Result<&[u8], TrackError> {
    entry.get(VISUAL_ENTRY..).ok_or(TrackError::Missing("stsd"))
}

fn picture(entry: &[u8]) -> Option<Media> {
    let mut fields = Fields(entry.get(24..)?);
    let (width, height) = fields.u16().zip(fields.u16())?;
    Some(Media::Video { width: u32::from(width), height: u32::from(height) })
}

fn sound(entry: &[u8]) -> Option<Media> {
    let channels = Fields(entry.get(16..)?).u16()?;
    // A number of 16.16 bits.
    let rate = Fields(entry.get(24..)?).u16()?;
    Some(Media::Audio { channels: u32::from(channels), sample_rate: u32::from(rate) })
}

/// `avc1.PPCCLL`: profile, constraints and level in hexadecimal digits (RFC 6381, 3.3), from the bytes after the
/// version in `avcC` (ISO/IEC 14496-15, 5.3.3.1).
fn avc(boxes: &[u8]) -> Result<String, TrackError> {
    let [_, profile, constraints, level] =
        Fields(child(boxes, "avcC")?).array().ok_or(TrackError::Missing("avcC"))?;
    Ok(format!("avc1.{profile:02X}{constraints:02X}{level:02X}"))
}

/// `av01.P.LLT.DD`: profile, level and tier, bits ("AV1 Codec ISO Media File Format Binding", sections 2.3 and 5).
fn av1(boxes: &[u8]) -> Result<String, TrackError> {
    let [_, profile, flags] = Fields(child(boxes, "av1C")?).array().ok_or(TrackError::Missing("av1C"))?;
    let (profile, level) = (profile >> 5, profile & 0x1f);
    let tier = if flags & 0x80 == 0 { 'M' } else { 'H' };
    let (high, twelve) = (flags & 0x40 != 0, flags & 0x20 != 0);
    let bits = match (high, profile == 2 && twelve) {
        (true, true) => 12,
        (true, false) => 10,
        (false, _) => 8,
    };
    Ok(format!("av01.{profile}.{level:02}{tier}.{bits:02}"))
}

/// `mp4a.40.N`: the object type, and for MPEG-4 audio the audio object type (RFC 6381, 3.3).
fn mp4a(boxes: &[u8]) -> Result<String, TrackError> {
    let esds = child(boxes, "esds")?;
    decoder(esds).ok_or(TrackError::Missing("esds"))
}

/// Walks the descriptors of an `esds` box (ISO/IEC 14496-1, 7.2.6).
fn decoder(esds: &[u8]) -> Option<String> {
    let mut stream = Fields(descriptor(esds.get(4..)?, 3)?);
    let _id = stream.u16()?;
    let flags = stream.u8()?;
    if flags & 0x80 != 0 {
        stream.u16()?;
    }
    if flags & 0x40 != 0 {
        let len = stream.u8()?;
        stream.take(usize::from(len))?;
    }
    if flags & 0x20 != 0 {
        stream.u16()?;
    }
    let mut config = Fields(descriptor(stream.0, 4)?);
    let object = config.u8()?;
    if object != 0x40 {
        return Some(format!("mp4a.{object:02X}"));
    }
    // Stream type, buffer size, highest and mean bit rate.
    config.take(12)?;
    let mut specific = Fields(descriptor(config.0, 5)?);
    let first = specific.u8()?;
    // Five bits, or 31 and six bits more (ISO/IEC 14496-3, 1.6.2.1).
    let audio_object = match first >> 3 {
        31 => 32 + ((first & 0x07) << 3 | specific.u8()? >> 5),
        plain => plain,
    };
    Some(format!("mp4a.40.{audio_object}"))
}

/// The body of the first descriptor with this tag. Sizes are written in up to four groups of seven bits
/// (ISO/IEC 14496-1, 8.3.3).
fn descriptor(bytes: &[u8], wanted: u8) -> Option<&[u8]> {
    let mut fields = Fields(bytes);
    loop {
        let tag = fields.u8()?;
        let mut size = 0;
        for _ in 0..4 {
            let byte = fields.u8()?;
            size = size << 7 | usize::from(byte & 0x7f);
            if byte & 0x80 == 0 {
                break;
            }
        }
        let body = fields.take(size)?;
        if tag == wanted {
            return Some(body);
        }
    }
}

#[cfg(test)]
#[path = "codec_tests.rs"]
mod tests;
