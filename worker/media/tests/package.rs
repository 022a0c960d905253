//! Tracks and playlists from real fragments, held against what ffprobe says of them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "tests")]

use std::path::{Path, PathBuf};
use std::process::Command;

use reelpool_media::package::{Media, Packaged, Presentation, Span, layout};
use serde_json::Value;
use tempfile::TempDir;

#[path = "support/presentation.rs"]
mod presentation;
use presentation::{Drawn, RUNGS, texts};

const NTSC: Drawn = Drawn { encoder: "libx264", rate: (30_000, 1001), seconds: 20, segment_seconds: 6 };
const PAL: Drawn = Drawn { rate: (25, 1), ..NTSC };
const AV1: Drawn = Drawn { encoder: "libsvtav1", ..PAL };

#[test]
fn h264_at_30000_1001() {
    whole("h264-30000-1001", NTSC);
}

#[test]
fn h264_at_25() {
    whole("h264-25", PAL);
}

#[test]
fn av1_at_25() {
    if AV1.can_be_encoded() {
        whole("av1-25", AV1);
    } else {
        eprintln!("LEFT OUT: this ffmpeg has no libsvtav1");
    }
}

fn whole(name: &str, drawn: Drawn) {
    let folder = TempDir::new().unwrap();
    let made = drawn.make(folder.path());
    assert_golden(name, &made);
    for packaged in made.rungs() {
        assert_video(folder.path(), packaged, drawn);
    }
    assert_audio(folder.path(), made.audio().unwrap());
    for packaged in made.rungs().iter().chain(made.audio()) {
        assert_tiles(folder.path(), packaged);
    }
    assert_other_readers_agree(folder.path(), &made);
}

/// The texts as the golden file says, all numbers of bytes and bits left out: each ffmpeg makes others. Those are
/// checked against the files by the other assertions.
fn assert_golden(name: &str, made: &Presentation) {
    let named = texts(made).into_iter().map(|(file, text)| format!("==> {file} <==\n{}", masked(&text)));
    let text = named.collect::<Vec<_>>().join("\n");
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(format!("{name}.txt"));
    if std::env::var_os("REELPOOL_UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &text).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(text, golden, "{}: REELPOOL_UPDATE_GOLDEN=1 writes it anew", path.display());
}

fn masked(text: &str) -> String {
    let keys = ["BANDWIDTH=", "BYTERANGE:", "BYTERANGE=\"", "bandwidth=\"", "indexRange=\"", "range=\""];
    let mut masked = String::new();
    let mut rest = text;
    while let Some((at, key)) = keys.iter().filter_map(|key| Some((rest.find(key)?, key))).min() {
        let (before, after) = rest.split_at(at + key.len());
        masked += before;
        masked.push('#');
        rest = after.trim_start_matches(|c: char| c.is_ascii_digit() || c == '@' || c == '-');
    }
    masked + rest
}

/// Every fragment starts with the one key frame in it, at the moment and the byte that the index says.
fn assert_video(folder: &Path, packaged: &Packaged, drawn: Drawn) {
    let (stream, packets) = probe(&folder.join(layout::track(&packaged.name)));
    let track = &packaged.track;
    let (_, width, height) = RUNGS.into_iter().find(|(name, ..)| *name == packaged.name).unwrap();
    assert_eq!(track.media, Media::Video { width, height });
    if stream["codec_name"] == "h264" {
        assert_eq!(track.codec, format!("avc1.6400{:02X}", stream["level"].as_u64().unwrap()));
    } else {
        assert_eq!(track.codec, format!("av01.0.{:02}M.08", stream["level"].as_u64().unwrap()));
    }
    assert_eq!(stream["start_time"], "0.000000");
    assert_eq!(packets.len() as u64, u64::from(drawn.seconds * drawn.rate.0).div_ceil(drawn.rate.1.into()));
    let mut at = 0;
    for (fragment, packets) in by_fragment(&track.fragments, &packets) {
        assert_eq!((packets[0].pts, packets[0].is_key), (at, true));
        assert!(packets[1..].iter().all(|packet| !packet.is_key), "one key frame in each fragment");
        at += i64::try_from(fragment.ticks).unwrap();
    }
    assert_eq!(track.start, 0);
}

/// The sound starts at 0, with the packet that does so in the encoder's file; nothing else is missing.
fn assert_audio(folder: &Path, packaged: &Packaged) {
    let (stream, packets) = probe(&folder.join(layout::track(&packaged.name)));
    assert_eq!(packaged.track.media, Media::Audio { channels: 2, sample_rate: 48_000 });
    assert_eq!(packaged.track.codec, "mp4a.40.2");
    assert_eq!(stream["start_time"], "0.000000");
    let (_, encoded) = probe(&folder.join("encoded-audio.m4a"));
    let hashes = |packets: &[Packet]| packets.iter().map(|packet| packet.hash.clone()).collect::<Vec<_>>();
    assert_eq!(encoded[0].pts, -1024);
    assert_eq!(hashes(&packets), hashes(&encoded[1..]));
    let mut at = 0;
    for (fragment, packets) in by_fragment(&packaged.track.fragments, &packets) {
        assert_eq!(packets[0].pts, at);
        at += i64::try_from(fragment.ticks).unwrap();
    }
}

/// Header, index and segments are the file, each byte of it once.
fn assert_tiles(folder: &Path, packaged: &Packaged) {
    let track = &packaged.track;
    let mut at = track.init.end();
    assert_eq!((track.init.offset, track.index.offset), (0, at));
    at = track.index.end();
    for segment in &packaged.segments {
        assert_eq!(segment.bytes.offset, at);
        at = segment.bytes.end();
    }
    assert_eq!(at, std::fs::metadata(folder.join(layout::track(&packaged.name))).unwrap().len());
}

/// ffmpeg's own readers of HLS and DASH find the same packets as in the tracks themselves, and the same bit rates.
fn assert_other_readers_agree(folder: &Path, made: &Presentation) {
    for packaged in made.rungs().iter().chain(made.audio()) {
        let hashes = |file: String| {
            let (_, packets) = probe(&folder.join(file));
            packets.into_iter().map(|packet| packet.hash).collect::<Vec<_>>()
        };
        assert_eq!(hashes(layout::playlist(&packaged.name)), hashes(layout::track(&packaged.name)));
    }
    let master = ffprobe(&folder.join(layout::MASTER), &["-show_streams", "-show_programs"]);
    let mpd = ffprobe(&folder.join(layout::MPD), &["-show_streams"]);
    for document in [&master, &mpd] {
        let streams = document["streams"].as_array().unwrap().iter();
        let mut widths: Vec<_> = streams.map(|stream| stream["width"].as_u64()).collect();
        widths.sort_unstable();
        assert_eq!(widths, [None, Some(320), Some(640)]);
    }
    for (i, stream) in mpd["streams"].as_array().unwrap().iter().enumerate() {
        let id = stream["tags"]["id"].as_str().unwrap();
        // One at a time: reading several, ffmpeg ends with the first that does.
        let own = count_packets(&folder.join(layout::track(id)), 0);
        assert_eq!(count_packets(&folder.join(layout::MPD), i), own, "{id}");
    }
    let announced = master["programs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|program| program["tags"]["variant_bitrate"].as_str().unwrap().parse::<u64>().unwrap());
    let audio = made.audio().unwrap().peak_bps;
    let mut peaks: Vec<_> = made.rungs().iter().map(|rung| rung.peak_bps + audio).collect();
    peaks.sort_unstable();
    assert_eq!(announced.collect::<Vec<_>>(), peaks);
}

fn count_packets(file: &Path, stream: usize) -> u64 {
    let args = ["-show_streams", "-count_packets", "-select_streams", &stream.to_string()];
    let document = ffprobe(file, &args);
    document["streams"][0]["nb_read_packets"].as_str().unwrap().parse().unwrap()
}

struct Packet {
    pts: i64,
    at: u64,
    is_key: bool,
    hash: String,
}

/// The packets of each fragment, by where they lie in the file.
fn by_fragment<'a>(fragments: &'a [Span], packets: &'a [Packet]) -> Vec<(&'a Span, Vec<&'a Packet>)> {
    let within = |span: &Span, packet: &Packet| (span.bytes.offset..span.bytes.end()).contains(&packet.at);
    let each = |span| (span, packets.iter().filter(|packet| within(span, packet)).collect::<Vec<_>>());
    let split: Vec<_> = fragments.iter().map(each).collect();
    assert_eq!(split.iter().map(|(_, packets)| packets.len()).sum::<usize>(), packets.len());
    split
}

/// ffprobe's first stream of a file, and its packets.
fn probe(path: &Path) -> (Value, Vec<Packet>) {
    let document = ffprobe(path, &["-show_streams", "-show_packets", "-show_data_hash", "md5"]);
    let packet = |packet: &Value| Packet {
        pts: packet["pts"].as_i64().unwrap(),
        at: packet["pos"].as_str().unwrap_or("0").parse().unwrap(),
        is_key: packet["flags"].as_str().unwrap().starts_with('K'),
        hash: packet["data_hash"].as_str().unwrap().to_owned(),
    };
    let packets = document["packets"].as_array().unwrap().iter().map(packet).collect();
    (document["streams"][0].clone(), packets)
}

fn ffprobe(path: &Path, args: &[&str]) -> Value {
    let mut command = Command::new("ffprobe");
    command.args(["-v", "error", "-of", "json"]).args(args).arg(path);
    let done = command.output().unwrap();
    let told = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success() && told.is_empty(), "{command:?}: {told}");
    serde_json::from_slice(&done.stdout).unwrap()
}
