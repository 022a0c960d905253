use std::io::Cursor;

use proptest::prelude::*;

use super::*;
use crate::package::fixtures::{avc1, boxed, cmaf, edit, moov, mp4a, sidx};

fn read(bytes: &[u8]) -> Result<Track, TrackError> {
    Track::read(&mut Cursor::new(bytes))
}

/// The file that the tests damage, and where its index and its first fragment start.
fn whole() -> (Vec<u8>, usize, usize) {
    let bytes = cmaf(&avc1(640, 360), 30_000, 0, &[(1000, 60_060), (2000, 60_060), (500, 1001)]);
    let find = |kind: &[u8]| bytes.windows(4).position(|window| window == kind).unwrap() - 4;
    let (index, first) = (find(b"sidx"), find(b"moof"));
    (bytes, index, first)
}

#[test]
fn a_track_is_read_as_it_is() {
    let (bytes, index, first) = whole();
    let (index, first) = (index as u64, first as u64);
    let track = read(&bytes).unwrap();
    let span = |offset, len, ticks| Span { bytes: ByteRange { offset, len }, ticks };
    let expected = Track {
        codec: "avc1.64001E".into(),
        media: Media::Video { width: 640, height: 360 },
        timescale: 30_000,
        init: ByteRange { offset: 0, len: index },
        index: ByteRange { offset: index, len: first - index },
        start: 0,
        fragments: vec![
            span(first, 1108, 60_060),
            span(first + 1108, 2108, 60_060),
            span(first + 3216, 608, 1001),
        ],
    };
    assert_eq!(track, expected);
    assert_eq!(track.ticks(), 121_121);
    assert_eq!(track.fragments[2].bytes.end(), bytes.len() as u64);
}

#[test]
fn a_sound_track_is_read_as_it_is() {
    let bytes = cmaf(&mp4a(), 48_000, 960, &[(1000, 96_256)]);
    let track = read(&bytes).unwrap();
    assert_eq!((track.codec.as_str(), track.start), ("mp4a.40.2", 960));
    assert_eq!(track.media, Media::Audio { channels: 2, sample_rate: 48_000 });
}

#[test]
fn other_boxes_may_stand_around() {
    let (bytes, index, _) = whole();
    let spaced =
        [&bytes[..index], &boxed("free", &[0; 9]), &bytes[index..], &boxed("mfra", &[0; 20])].concat();
    assert_eq!(read(&spaced).unwrap().init, ByteRange { offset: 0, len: index as u64 });
}

#[test]
fn each_fault_of_a_file_is_named() {
    let (bytes, index, first) = whole();
    let head = &bytes[..index];
    let body = &bytes[first..];
    let with_index = |index: &[u8]| [head, index, body].concat();
    let patched = |at: usize, new: &[u8]| {
        let mut bytes = bytes.clone();
        bytes[at..at + new.len()].copy_from_slice(new);
        bytes
    };
    let entries = [(1108, 60_060), (2108, 60_060), (608, 1001)];
    let table: [(&str, Vec<u8>); 14] = [
        ("no box `moov`", Vec::new()),
        ("no box `moov`", boxed("ftyp", b"isom")),
        ("no box `sidx`", [head, body].concat()),
        ("no box `moov`", [boxed("ftyp", b""), sidx(30_000, 0, &entries), body.to_vec()].concat()),
        ("no box `moov`", boxed("free", b"").repeat(100_000)),
        ("its time scale is 0", with_index(&sidx(0, 0, &entries))),
        ("it has no entry", with_index(&sidx(30_000, 0, &[]))),
        ("an entry is empty", with_index(&sidx(30_000, 0, &[(0, 1)]))),
        ("an entry is empty", with_index(&sidx(30_000, 0, &[(1108, 0)]))),
        ("it points to another index", with_index(&sidx(30_000, 0, &[(0x8000_0454, 1)]))),
        ("the index does not say its size", with_index(&sidx(30_000, 0, &[(3216, 1)]))),
        ("the index has no entry for it", with_index(&sidx(30_000, 0, &entries[..2]))),
        ("the file ends before this fragment does", bytes[..bytes.len() - 1].to_vec()),
        ("it is no fragment", patched(first + 4, b"free")),
    ];
    for (message, bytes) in table {
        let told = read(&bytes).unwrap_err().to_string();
        assert!(told.contains(message), "{message}: {told}");
    }
}

#[test]
fn an_index_must_end_where_the_fragments_start() {
    let (bytes, index, _) = whole();
    let mut skipping = bytes;
    // Its last byte of `first_offset`.
    skipping[index + 35] = 1;
    let told = read(&skipping).unwrap_err().to_string();
    assert!(told.contains("the index leaves it out"), "{told}");
}

#[test]
fn each_fault_of_a_header_is_named() {
    let with = |moov: Vec<u8>| {
        let (bytes, index, _) = whole();
        [&moov, &bytes[index..]].concat()
    };
    let entry = avc1(640, 360);
    let trak = moov(&[], &[&entry])[8 + 108..].to_vec();
    let huge = boxed("moov", &vec![0; (1 << 20) + 1]);
    let table: [(&str, Vec<u8>); 8] = [
        ("has 0 tracks", with(boxed("moov", b""))),
        ("has 2 tracks", with(boxed("moov", &[trak.clone(), trak].concat()))),
        ("has 2 sample descriptions", with(moov(&[], &[&entry, &entry]))),
        ("has 0 sample descriptions", with(moov(&[], &[]))),
        ("no box `mdia`", with(boxed("moov", &boxed("trak", b"")))),
        ("an edit list", with(moov(&edit(-1, 0x1_0000), &[&entry]))),
        ("an edit list", with(moov(&edit(0, 0x2_0000), &[&entry]))),
        ("far longer", with(huge)),
    ];
    for (message, bytes) in table {
        let told = read(&bytes).unwrap_err().to_string();
        assert!(told.contains(message), "{message}: {told}");
    }
}

#[test]
fn a_disk_that_fails_is_told_apart() {
    struct Broken(Cursor<Vec<u8>>);
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("the disk is gone"))
        }
    }
    impl Seek for Broken {
        fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
            self.0.seek(to)
        }
    }
    let error = Track::read(&mut Broken(Cursor::new(whole().0))).unwrap_err();
    assert!(matches!(&error, TrackError::Io(error) if error.to_string() == "the disk is gone"), "{error}");
}

/// A track that was read lies in its file, whatever the file.
fn lies_in(track: &Track, len: usize) -> bool {
    let ranges = [track.init, track.index].into_iter();
    let ranges: Vec<_> = ranges.chain(track.fragments.iter().map(|fragment| fragment.bytes)).collect();
    let follow = ranges.windows(2).all(|pair| pair[0].end() <= pair[1].offset);
    let last = ranges.last().is_some_and(|last| last.end() <= len as u64);
    follow && last && ranges.iter().all(|range| range.len > 0) && track.timescale > 0
}

proptest! {
    #[test]
    fn any_bytes_are_judged(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        if let Ok(track) = read(&bytes) {
            prop_assert!(lies_in(&track, bytes.len()));
        }
    }

    #[test]
    fn any_damage_is_judged(
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
        is_cut in any::<bool>(),
        is_sound in any::<bool>(),
    ) {
        let entry = if is_sound { mp4a() } else { avc1(640, 360) };
        let mut bytes = cmaf(&entry, 30_000, 0, &[(10, 60_060), (20, 60_060), (5, 1001)]);
        for (at, byte) in damage {
            *at.get_mut(&mut bytes) = byte;
        }
        if is_cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        if let Ok(track) = read(&bytes) {
            prop_assert!(lies_in(&track, bytes.len()));
        }
    }
}
