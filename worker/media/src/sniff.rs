//! Our own look at a master's first bytes, before any parser of media sees it.
//!
//! ffprobe guesses the kind of a file by its content, and some kinds are lists of other files to open. So the
//! kind is settled here, from the bytes that the container's standard fixes, and ffmpeg gets that one demuxer.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use crate::ending::breaks_off;
use crate::error::MediaError;

/// A container that is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Container {
    /// MP4, MOV, 3GP (ISO base media).
    IsoMedia,
    /// Matroska and `WebM`.
    Matroska,
    /// MPEG transport stream, with packets of 188, 192 or 204 bytes.
    MpegTs,
    /// MPEG program stream.
    MpegPs,
    /// AVI.
    Avi,
    /// Flash video.
    Flv,
    /// Ogg.
    Ogg,
    /// ASF: WMV.
    Asf,
    /// MXF.
    Mxf,
}

impl Container {
    /// The name of its demuxer, as `-format_whitelist` wants it: this one and no other.
    #[must_use]
    pub fn demuxer(self) -> &'static str {
        match self {
            Self::IsoMedia => "mov",
            Self::Matroska => "matroska",
            Self::MpegTs => "mpegts",
            Self::MpegPs => "mpeg",
            Self::Avi => "avi",
            Self::Flv => "flv",
            Self::Ogg => "ogg",
            Self::Asf => "asf",
            Self::Mxf => "mxf",
        }
    }

    /// Whether its time stamps may jump in the middle, as in recordings of broadcasts and in files joined end to end.
    pub(crate) fn clock_may_jump(self) -> bool {
        matches!(self, Self::MpegTs | Self::MpegPs | Self::Ogg)
    }
}

/// How much of the file is looked at.
const HEAD_BYTES: u64 = 4096;

/// What our own look at a file says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sniffed {
    /// Its container.
    pub container: Container,
    /// Its size in bytes.
    pub bytes: u64,
    /// How it breaks off before its end.
    pub breaks_off: Option<&'static str>,
}

/// Looks at the file's start and end, and refuses what is no container or is encrypted.
pub(crate) fn sniff(path: &Path) -> Result<Sniffed, MediaError> {
    let failed = |source| MediaError::io("read", path, source);
    let mut file = File::open(path).map_err(failed)?;
    let bytes = file.metadata().map_err(failed)?.len();
    let mut head = Vec::new();
    (&mut file).take(HEAD_BYTES).read_to_end(&mut head).map_err(failed)?;
    let container = container(&head)?;
    if container == Container::IsoMedia && has_encrypted_track(&mut file, bytes).map_err(failed)? {
        return Err(MediaError::Encrypted);
    }
    let breaks_off = breaks_off(&mut file, container, &head, bytes).map_err(failed)?;
    Ok(Sniffed { container, bytes, breaks_off })
}

/// Tells the container by the first bytes of a file.
pub(crate) fn container(head: &[u8]) -> Result<Container, MediaError> {
    let at = |from: usize, magic: &[u8]| head.get(from..from.saturating_add(magic.len())) == Some(magic);
    if head.is_empty() {
        return Err(MediaError::Empty);
    }
    let boxes: [&[u8]; 7] = [b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot"];
    if boxes.iter().any(|name| at(4, name)) {
        return Ok(Container::IsoMedia);
    }
    let magics: [(&[u8], Container); 6] = [
        (&[0x1a, 0x45, 0xdf, 0xa3], Container::Matroska),
        (&[0x00, 0x00, 0x01, 0xba], Container::MpegPs),
        (b"FLV\x01", Container::Flv),
        (b"OggS", Container::Ogg),
        (&[0x30, 0x26, 0xb2, 0x75, 0x8e, 0x66, 0xcf, 0x11], Container::Asf),
        (&[0x06, 0x0e, 0x2b, 0x34, 0x02, 0x05, 0x01, 0x01], Container::Mxf),
    ];
    if let Some((_, container)) = magics.iter().find(|(magic, _)| at(0, magic)) {
        return Ok(*container);
    }
    if at(0, b"RIFF") && (at(8, b"AVI ") || at(8, b"AVIX")) {
        return Ok(Container::Avi);
    }
    if transport_stream(head).is_some() {
        return Ok(Container::MpegTs);
    }
    Err(refuse(head))
}

/// How files start that name other files to some demuxers.
const LISTS: [&[u8]; 6] = [b"#EXTM3U", b"ffconcat", b"<?xml", b"<MPD", b"<svg", b"v=0"];

/// Where the first whole packet of a transport stream starts and how long each is, in bytes: five in a row have the
/// sync byte (ISO/IEC 13818-1, 2.4.3.2), bare, after a time stamp of four bytes, or before a checksum. A recording may
/// start in the middle of a packet.
pub(crate) fn transport_stream(head: &[u8]) -> Option<(u64, u64)> {
    // A list may have the letter in all these places, if someone wants it to.
    if is_text(head) || LISTS.iter().any(|start| head.starts_with(start)) {
        return None;
    }
    [188_usize, 192, 204].into_iter().find_map(|step| {
        let sync = |first: &usize| (0..5).all(|n| head.get(first + n * step) == Some(&0x47));
        let first = (0..step).find(sync)?;
        let start = if step == 192 { (first + step - 4) % step } else { first };
        Some((start as u64, step as u64))
    })
}

/// Text in UTF-8; the end may be in the middle of a character.
fn is_text(head: &[u8]) -> bool {
    let text = match std::str::from_utf8(head) {
        Ok(_) => true,
        Err(error) => error.error_len().is_none() && error.valid_up_to() > 0,
    };
    text && !head.contains(&0)
}

/// Names what else the bytes are.
fn refuse(head: &[u8]) -> MediaError {
    let others: [(&[u8], &str); 9] = [
        (b"%PDF", "a PDF document"),
        (b"PK\x03\x04", "a ZIP archive or an office document"),
        (b"\x1f\x8b", "a gzip archive"),
        (b"7z\xbc\xaf", "a 7-Zip archive"),
        (b"\x89PNG", "a PNG picture"),
        (b"\xff\xd8\xff", "a JPEG picture"),
        (b"GIF8", "a GIF picture"),
        (b"\x7fELF", "a program"),
        (b"SQLite format 3", "a SQLite database"),
    ];
    if let Some((_, seen)) = others.iter().find(|(magic, _)| head.starts_with(magic)) {
        return MediaError::NotMedia { seen };
    }
    if is_text(head) || LISTS.iter().any(|start| head.starts_with(start)) {
        return MediaError::NotMedia { seen: "text" };
    }
    let first: Vec<String> = head.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    MediaError::UnsupportedFormat { detail: format!("it starts with the bytes {}", first.join(" ")) }
}

/// More boxes than this are not looked at: no honest header comes near.
const MAX_BOXES: u32 = 10_000;

/// Whether a sample description of an ISO base media file says that its samples are encrypted (`encv`, `enca`:
/// ISO/IEC 14496-12, 8.12).
pub(crate) fn has_encrypted_track(file: &mut (impl Read + Seek), bytes: u64) -> io::Result<bool> {
    let mut boxes_left = MAX_BOXES;
    let mut levels = vec![(0, bytes)];
    while let Some((mut at, end)) = levels.pop() {
        while let Some((kind, body, next)) = read_box(file, at, end)? {
            boxes_left = boxes_left.saturating_sub(1);
            if boxes_left == 0 {
                return Ok(false);
            }
            match &kind {
                b"moov" | b"trak" | b"mdia" | b"minf" | b"stbl" => levels.push((body, next)),
                // Its entries are boxes too, after a version and a count of four bytes each.
                b"stsd" => levels.push((body.saturating_add(8), next)),
                b"encv" | b"enca" => return Ok(true),
                _ => {}
            }
            at = next;
        }
    }
    Ok(false)
}

/// The box at `at`: its type, where its body starts, and where the next one does; `None` when none fits before `end`.
fn read_box(file: &mut (impl Read + Seek), at: u64, end: u64) -> io::Result<Option<([u8; 4], u64, u64)>> {
    if end.saturating_sub(at) < 8 {
        return Ok(None);
    }
    file.seek(SeekFrom::Start(at))?;
    let mut head = [0; 8];
    file.read_exact(&mut head)?;
    let [a, b, c, d, kind @ ..] = head;
    let (mut header, mut size) = (8, u64::from(u32::from_be_bytes([a, b, c, d])));
    if size == 0 {
        size = end - at;
    } else if size == 1 {
        if end - at < 16 {
            return Ok(None);
        }
        let mut long = [0; 8];
        file.read_exact(&mut long)?;
        (header, size) = (16, u64::from_be_bytes(long));
    }
    if size < header {
        return Ok(None);
    }
    Ok(Some((kind, at + header, at.saturating_add(size).min(end))))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;

    use super::*;

    fn boxed(kind: [u8; 4], body: &[u8]) -> Vec<u8> {
        let size = u32::try_from(body.len() + 8).unwrap();
        [&size.to_be_bytes(), &kind, body].concat()
    }

    fn movie(entry: [u8; 4]) -> Vec<u8> {
        let stsd = boxed(*b"stsd", &[[0; 8].as_slice(), &boxed(entry, &[0; 78])].concat());
        let inner = [*b"stbl", *b"minf", *b"mdia", *b"trak", *b"moov"];
        let moov = inner.iter().fold(stsd, |body, kind| boxed(*kind, &body));
        [boxed(*b"ftyp", b"isom\0\0\0\0"), boxed(*b"mdat", &[7; 100]), moov].concat()
    }

    #[test]
    fn containers_by_their_first_bytes() {
        let mut ts = vec![0; 188 * 6];
        (0..6).for_each(|i| ts[188 * i] = 0x47);
        let mut m2ts = vec![0; 192 * 6];
        (0..6).for_each(|i| m2ts[192 * i + 4] = 0x47);
        let mut parity = vec![0; 204 * 6];
        (0..6).for_each(|i| parity[204 * i] = 0x47);
        let table: [(&[u8], Container); 9] = [
            (b"\0\0\0\x20ftypisom", Container::IsoMedia),
            (b"\x1a\x45\xdf\xa3rest", Container::Matroska),
            (b"RIFF\0\0\0\0AVI LIST", Container::Avi),
            (b"FLV\x01\x05", Container::Flv),
            (b"OggS\0", Container::Ogg),
            (&ts, Container::MpegTs),
            (&m2ts, Container::MpegTs),
            (&parity, Container::MpegTs),
            (&ts[77..], Container::MpegTs),
        ];
        for (head, expected) in table {
            assert_eq!(container(head).unwrap(), expected);
        }
    }

    #[test]
    fn what_is_refused_and_as_what() {
        // A list that has the sync byte of a transport stream wherever it should be.
        let mut list = b"#EXTM3U\n".to_vec();
        list.resize(2000, b'G');
        // The same with what no text has.
        let no_text = [&list[..], b"\0\xff"].concat();
        let table: [(&[u8], &str); 10] = [
            (&list, "not_media"),
            (&no_text, "not_media"),
            (b"", "empty"),
            (b"#EXTM3U\n#EXTINF:10,\nfile:///etc/passwd", "not_media"),
            (b"ffconcat version 1.0\nfile x.mp4", "not_media"),
            (b"<?xml version=\"1.0\"?><MPD>", "not_media"),
            ("ein Text mit Ümlaut".as_bytes(), "not_media"),
            (b"\x89PNG\r\n\x1a\n", "not_media"),
            (b"\xde\xad\xbe\xef\x00\x01", "unsupported_format"),
            (b"RIFF\0\0\0\0WAVEfmt ", "unsupported_format"),
        ];
        for (head, category) in table {
            assert_eq!(
                container(head).unwrap_err().category(),
                category,
                "{}",
                String::from_utf8_lossy(head)
            );
        }
    }

    #[test]
    fn encryption_is_seen_in_the_sample_description() {
        for (entry, encrypted) in [(*b"avc1", false), (*b"encv", true), (*b"enca", true)] {
            let file = movie(entry);
            let bytes = file.len() as u64;
            assert_eq!(has_encrypted_track(&mut Cursor::new(file), bytes).unwrap(), encrypted);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_judged(head in proptest::collection::vec(any::<u8>(), 0..512)) {
            let _ = container(&head);
        }

        #[test]
        fn any_boxes_are_walked(cut in 0_usize..400, at in 0_usize..400, byte in any::<u8>()) {
            let mut file = movie(*b"encv");
            let at = at % file.len();
            file[at] = byte;
            file.truncate(cut.max(1));
            let bytes = file.len() as u64;
            has_encrypted_track(&mut Cursor::new(file), bytes).unwrap();
        }
    }
}
