//! What the tests of this folder share: CMAF tracks built byte by byte, and golden files.

use std::io::Cursor;
use std::path::PathBuf;

use crate::source::Rate;

use super::presentation::{Presentation, Rung};
use super::track::Track;

/// A box.
pub(crate) fn boxed(kind: &str, body: &[u8]) -> Vec<u8> {
    let size = u32::try_from(body.len() + 8).unwrap();
    [&size.to_be_bytes(), kind.as_bytes(), body].concat()
}

/// A sample description of H.264, High profile, level 3.
pub(crate) fn avc1(width: u16, height: u16) -> Vec<u8> {
    visual("avc1", width, height, &boxed("avcC", &[1, 0x64, 0x00, 0x1e, 0xff]))
}

pub(crate) fn visual(kind: &str, width: u16, height: u16, config: &[u8]) -> Vec<u8> {
    let size = [width.to_be_bytes(), height.to_be_bytes()].concat();
    boxed(kind, &[&[0; 24], size.as_slice(), &[0; 50], config].concat())
}

/// What ffmpeg writes for AAC-LC: an `esds` without its version.
pub(crate) const AAC_LC: [u8; 42] = [
    0x03, 0x80, 0x80, 0x80, 0x25, 0x00, 0x01, 0x00, 0x04, 0x80, 0x80, 0x80, 0x17, 0x40, 0x15, 0x00, 0x00,
    0x00, 0x00, 0x01, 0xf4, 0x29, 0x00, 0x01, 0xf4, 0x29, 0x05, 0x80, 0x80, 0x80, 0x05, 0x11, 0x90, 0x56,
    0xe5, 0x00, 0x06, 0x80, 0x80, 0x80, 0x01, 0x02,
];

/// A sample description of AAC-LC, stereo, 48 kHz.
pub(crate) fn mp4a() -> Vec<u8> {
    audio(&AAC_LC)
}

pub(crate) fn audio(descriptors: &[u8]) -> Vec<u8> {
    let esds = boxed("esds", &[&[0; 4], descriptors].concat());
    let head = [&[0; 16], [0, 2, 0, 16, 0, 0, 0, 0].as_slice(), &[0xbb, 0x80, 0, 0]].concat();
    boxed("mp4a", &[head, esds].concat())
}

/// An edit list with one entry, of version 0.
pub(crate) fn edit(moment: i32, speed: u32) -> Vec<u8> {
    let entry = [[0; 4], moment.to_be_bytes(), speed.to_be_bytes()].concat();
    boxed("edts", &boxed("elst", &[&[0, 0, 0, 0, 0, 0, 0, 1], entry.as_slice()].concat()))
}

/// A `moov` of one track with these sample descriptions, and with these boxes in front of them.
pub(crate) fn moov(before: &[u8], entries: &[&[u8]]) -> Vec<u8> {
    let count = u32::try_from(entries.len()).unwrap();
    let stsd = boxed("stsd", &[&[0; 4], count.to_be_bytes().as_slice(), &entries.concat()].concat());
    let mdia = boxed("mdia", &boxed("minf", &boxed("stbl", &stsd)));
    boxed("moov", &[boxed("mvhd", &[0; 100]), boxed("trak", &[before, &mdia].concat())].concat())
}

/// An index of version 1 with these entries: size in bytes, duration.
pub(crate) fn sidx(timescale: u32, start: u64, entries: &[(u32, u32)]) -> Vec<u8> {
    let mut body = vec![1, 0, 0, 0, 0, 0, 0, 1];
    body.extend(timescale.to_be_bytes());
    body.extend(start.to_be_bytes());
    body.extend([0; 10]);
    body.extend(u16::try_from(entries.len()).unwrap().to_be_bytes());
    for (size, ticks) in entries {
        body.extend([*size, *ticks, 0x8000_0000].into_iter().flat_map(u32::to_be_bytes));
    }
    boxed("sidx", &body)
}

/// A whole file, each fragment given by the bytes of its `mdat` and its duration.
pub(crate) fn cmaf(entry: &[u8], timescale: u32, start: u64, fragments: &[(usize, u32)]) -> Vec<u8> {
    let fragment = |bytes: usize| [boxed("moof", &[0; 92]), boxed("mdat", &vec![0; bytes])].concat();
    let bodies: Vec<Vec<u8>> = fragments.iter().map(|(bytes, _)| fragment(*bytes)).collect();
    let sized = bodies.iter().zip(fragments);
    let entries: Vec<_> =
        sized.map(|(body, (_, ticks))| (u32::try_from(body.len()).unwrap(), *ticks)).collect();
    let head = [boxed("ftyp", b"iso5\0\0\x02\0iso5cmfc"), moov(&edit(2002, 0x1_0000), &[entry])].concat();
    [head, sidx(timescale, start, &entries), bodies.concat()].concat()
}

pub(crate) fn track(entry: &[u8], timescale: u32, fragments: &[(usize, u32)]) -> Track {
    Track::read(&mut Cursor::new(cmaf(entry, timescale, 0, fragments))).unwrap()
}

/// 20.02 s at 30000/1001 frames a second, a key frame every 2.002 s; some fragments are larger than others.
pub(crate) fn rung(name: &str, width: u16, height: u16, bytes: usize) -> Rung {
    let fragments: Vec<_> = (0..10_usize).map(|i| (bytes + bytes / 10 * (i % 4), 60_060)).collect();
    let rate = Rate::new(30_000, 1001).unwrap();
    Rung { name: name.into(), rate, track: track(&avc1(width, height), 30_000, &fragments) }
}

/// 20.032 s of sound in fragments of 2.005 s.
pub(crate) fn sound() -> Track {
    let mut fragments = vec![(32_000, 96_256); 9];
    fragments.push((31_500, 95_232));
    track(&mp4a(), 48_000, &fragments)
}

pub(crate) fn presentation() -> Presentation {
    let rungs = vec![rung("720p", 1280, 720, 500_000), rung("360p", 640, 360, 150_000)];
    Presentation::new(rungs, Some(sound()), 6).unwrap()
}

/// Compares a text with the file of that name; `REELPOOL_UPDATE_GOLDEN=1` writes the file anew.
pub(crate) fn assert_golden(name: &str, text: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/package/golden").join(name);
    if std::env::var_os("REELPOOL_UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(text, golden, "{}: REELPOOL_UPDATE_GOLDEN=1 writes it anew", path.display());
}
