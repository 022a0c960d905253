//! Whether a file ends where its container says, for the containers whose demuxers keep silent about it.

use std::io::{self, Read, Seek, SeekFrom};

use crate::sniff::{Container, transport_stream};

/// The longest page of Ogg (RFC 3533, 6), and room for the search of its start.
const OGG_TAIL: u64 = 65_307;
/// ASF's File Properties Object (ASF Specification 3.2): this, its size, an identity of the file, the file's size.
const ASF_FILE_PROPERTIES: [u8; 16] =
    [0xa1, 0xdc, 0xab, 0x8c, 0x47, 0xa9, 0xcf, 0x11, 0x8e, 0xe4, 0x00, 0xc0, 0x0c, 0x20, 0x53, 0x65];

/// Says how a file of `bytes` bytes that starts with `head` breaks off, where that can be seen.
///
/// Transport streams are whole packets, Ogg ends with a page that is marked as the last, AVI and ASF tell their own
/// size. The others cannot tell, or ffprobe does.
pub(crate) fn breaks_off(
    file: &mut (impl Read + Seek),
    container: Container,
    head: &[u8],
    bytes: u64,
) -> io::Result<Option<&'static str>> {
    let breaks = match container {
        Container::MpegTs => {
            transport_stream(head).is_some_and(|(first, step)| !(bytes - first).is_multiple_of(step))
        }
        Container::Ogg => {
            file.seek(SeekFrom::Start(bytes.saturating_sub(OGG_TAIL)))?;
            let mut tail = Vec::new();
            file.take(OGG_TAIL).read_to_end(&mut tail)?;
            return Ok((!ends_with_last_page(&tail)).then_some("it has no end mark"));
        }
        Container::Avi => number(head, 4, 4).is_some_and(|riff| riff.saturating_add(8) > bytes),
        Container::Asf => {
            let at = head.windows(16).position(|window| window == ASF_FILE_PROPERTIES);
            at.and_then(|at| number(head, at + 40, 8)).is_some_and(|told| told > bytes)
        }
        _ => false,
    };
    Ok(breaks.then_some(match container {
        Container::MpegTs => "it breaks off in the middle of a packet",
        _ => "its header says that the file is longer",
    }))
}

/// A little-endian number of `size` bytes.
fn number(bytes: &[u8], at: usize, size: usize) -> Option<u64> {
    let digits = bytes.get(at..at.checked_add(size)?)?;
    Some(digits.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

/// Whether Ogg's last page is whole and the last of its stream: `OggS`, version, flags (4: last), 20 bytes, the
/// count of segments, their sizes, the segments.
fn ends_with_last_page(tail: &[u8]) -> bool {
    let Some(at) = tail.windows(4).rposition(|window| window == b"OggS") else {
        return false;
    };
    let page = &tail[at..];
    let (Some(flags), Some(segments)) = (page.get(5), page.get(26)) else {
        return false;
    };
    let Some(sizes) = page.get(27..27 + usize::from(*segments)) else {
        return false;
    };
    let body: usize = sizes.iter().map(|size| usize::from(*size)).sum();
    flags & 4 != 0 && page.len() == 27 + sizes.len() + body
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn told(container: Container, file: &[u8]) -> bool {
        let head = &file[..file.len().min(4096)];
        breaks_off(&mut Cursor::new(file), container, head, file.len() as u64).unwrap().is_some()
    }

    #[test]
    fn whole_files_and_their_beginnings() {
        let packet = |size: usize, sync: usize| {
            let mut packet = vec![0xff; size];
            packet[sync] = 0x47;
            packet.repeat(20)
        };
        let page = |flags: u8| [b"OggS\0", &[flags][..], &[0; 20], &[2, 3, 4], &[7; 7]].concat();
        let avi = [&b"RIFF"[..], &1000_u32.to_le_bytes(), b"AVI ", &[0; 996]].concat();
        let asf = [&[1; 30][..], &ASF_FILE_PROPERTIES, &[0; 24], &500_u64.to_le_bytes(), &[0; 422]].concat();
        let ogg = [page(2), page(0), page(4)].concat();
        for (container, whole, cut) in [
            (Container::MpegTs, packet(188, 0), 100),
            (Container::MpegTs, packet(192, 4), 4),
            (Container::MpegTs, packet(204, 0), 16),
            (Container::MpegTs, packet(188, 0).split_off(77), 1),
            (Container::Avi, avi, 1),
            (Container::Asf, asf, 1),
            (Container::Ogg, ogg.clone(), 1),
            (Container::Ogg, ogg, page(4).len()),
        ] {
            assert!(!told(container, &whole), "{container:?}");
            assert!(told(container, &whole[..whole.len() - cut]), "{container:?} less {cut}");
        }
        assert!(!told(Container::Matroska, b"anything"));
    }
}
