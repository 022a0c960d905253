//! Looking into a master: our own sniff, ffprobe's header, and the packets counted.

use std::ffi::OsString;
use std::path::Path;

use crate::child::Run;
use crate::engine::Engine;
use crate::error::MediaError;
use crate::log::{Finding, Lines, Log};
use crate::scan::{self, Packet, Picture, PictureCounter};
use crate::sniff::{Container, sniff};
use crate::source::Source;

mod header;

pub use header::{Header, parse_probe};

/// ffprobe's own memory: a few frames at the pixel limit.
const PROBE_MEMORY: u64 = 2 << 30;
/// No honest header is larger; a larger one is refused.
const MAX_JSON: usize = 16 << 20;

/// See [`Engine::probe`].
pub(crate) async fn probe(engine: &Engine, input: &Path) -> Result<Source, MediaError> {
    let (container, bytes) = sniff(input)?;
    let header = read_header(engine, input, container).await?;
    let video = &header.video;
    let (width, height, max) = (u64::from(video.width), u64::from(video.height), engine.limits.max_pixels);
    let (shown_width, shown_height) = video.display_size();
    if width * height > max || u64::from(shown_width) * u64::from(shown_height) > max {
        return Err(MediaError::TooManyPixels { width, height, max });
    }
    let (picture, log) = count_packets(engine, input, container, video.index, bytes).await?;
    let mut warnings = header.notes;
    warnings.extend(judge_length(video, picture, &log)?);
    let (video, audio, start_us) = (header.video, header.audio, header.start_us);
    Ok(Source { bytes, container, start_us, video, audio, picture, warnings })
}

/// The arguments that every look at a master has.
fn careful(engine: &Engine, container: Container) -> Vec<OsString> {
    let (pixels, alloc) = (engine.limits.max_pixels.to_string(), engine.limits.max_alloc.to_string());
    let args = ["-hide_banner", "-loglevel", "level+error", "-max_alloc", &alloc, "-max_pixels", &pixels];
    let more = ["-protocol_whitelist", "file", "-format_whitelist", container.demuxer()];
    args.iter().chain(&more).map(OsString::from).collect()
}

/// `file:` and the path: no other protocol and no option can be made of it.
pub(crate) fn file_url(path: &Path) -> OsString {
    let mut url = OsString::from("file:");
    url.push(path);
    url
}

fn run<'a>(engine: &'a Engine, input: &'a Path, args: Vec<OsString>) -> Run<'a> {
    Run {
        name: "ffprobe",
        program: &engine.tools.ffprobe,
        args,
        folder: Path::new("/"),
        writes: false,
        input,
        max_file_bytes: 0,
        memory_bytes: PROBE_MEMORY,
        deadline: engine.limits.probe_deadline,
        threads: engine.limits.threads,
    }
}

async fn read_header(engine: &Engine, input: &Path, container: Container) -> Result<Header, MediaError> {
    let mut args = careful(engine, container);
    args.extend(["-show_format", "-show_streams", "-of", "json"].map(OsString::from));
    args.push(file_url(input));
    let mut json = Vec::new();
    let result = run(engine, input, args)
        .finish(&engine.sandbox, "probing", |piece| {
            let room = MAX_JSON.saturating_sub(json.len());
            json.extend_from_slice(&piece[..piece.len().min(room)]);
        })
        .await;
    let log = result.map_err(refused)?;
    parse_probe(&json).map_err(|error| match (error, log.frame_size) {
        // ffprobe leaves out a size that it was told to refuse.
        (MediaError::CorruptInput { .. }, Some((width, height, max))) => {
            MediaError::TooManyPixels { width, height, max }
        }
        (MediaError::CorruptInput { detail, .. }, _) => {
            if log.has(Finding::CutShort) {
                MediaError::TruncatedInput { detail, tail: log.tail() }
            } else {
                MediaError::CorruptInput { detail, tail: log.tail() }
            }
        }
        (error, _) => error,
    })
}

/// What it means that ffprobe could not open a file of a container that it knows.
fn refused(error: MediaError) -> MediaError {
    let MediaError::FfmpegFailed { reason, tail, .. } = error else {
        return error;
    };
    if tail.contains("Format not on whitelist") {
        MediaError::UnsupportedFormat {
            detail: "its first bytes and the rest are of different containers".into(),
        }
    } else if tail.contains("moov atom not found") {
        let detail = "its index (the moov box) is missing, which is usually written last".into();
        MediaError::TruncatedInput { detail, tail }
    } else {
        MediaError::CorruptInput { detail: format!("it cannot be opened: {reason}"), tail }
    }
}

async fn count_packets(
    engine: &Engine,
    input: &Path,
    container: Container,
    index: u32,
    bytes: u64,
) -> Result<(Picture, Log), MediaError> {
    let mut args = careful(engine, container);
    args.extend(["-select_streams", &index.to_string()].map(OsString::from));
    args.extend(scan::ENTRIES.map(OsString::from));
    args.push(file_url(input));
    let mut counter = PictureCounter::new(container.clock_may_jump());
    let mut lines = Lines::default();
    let mut count = |line: &str| {
        if let Some(packet) = Packet::parse(line) {
            counter.add(packet);
        }
    };
    let run = Run { deadline: engine.limits.scan_deadline_for(bytes), ..run(engine, input, args) };
    let log = run
        .finish(&engine.sandbox, "probing", |piece| lines.push(piece, &mut count))
        .await
        .map_err(refused)?;
    lines.finish(&mut count);
    Ok((counter.finish(), log))
}

/// Differences between header and content up to this many microseconds are nobody's concern.
const SLACK_US: u64 = 100_000;

/// Compares what the header promises with what is there. The content is what counts; the header only tells
/// whether the rest is missing (an error) or was never there (a warning).
fn judge_length(
    video: &crate::source::Video,
    picture: Picture,
    log: &Log,
) -> Result<Vec<String>, MediaError> {
    let mut warnings = Vec::new();
    let seconds = |us: u64| format!("{}.{:02} s", us / 1_000_000, us / 10_000 % 100);
    let promised = video.header_duration_us.unwrap_or(0);
    // A file's own duration counts from zero, a stream's from its first frame: the kinder of the two.
    let there = picture.duration_us().max(u64::try_from(picture.end_us).unwrap_or(0));
    let missing = promised.saturating_sub(there);
    let missing_frames = video.header_frames.unwrap_or(0).saturating_sub(picture.packets);
    let cut = log.has(Finding::CutShort) || missing_frames > 0;
    let detail = || {
        let frames = video.header_frames.map_or(String::new(), |frames| format!(" ({frames} frames)"));
        format!(
            "its header promises {}{frames}, {} ({} frames) are there",
            seconds(promised),
            seconds(picture.duration_us()),
            picture.packets
        )
    };
    if picture.frames == 0 {
        let tail = log.tail();
        return Err(if cut {
            MediaError::TruncatedInput { detail: detail(), tail }
        } else {
            MediaError::CorruptInput { detail: "no frame of its picture can be found".into(), tail }
        });
    }
    let much = |part: u64, whole: u64, least: u64| part > least && part > whole / 100;
    let many_frames = much(missing_frames, video.header_frames.unwrap_or(0), 2);
    if cut && (much(missing, promised, SLACK_US) || many_frames) {
        return Err(MediaError::TruncatedInput { detail: detail(), tail: log.tail() });
    }
    if cut {
        warnings.push(format!("the master ends early: {}", detail()));
    } else if missing > 1_000_000 && missing > promised / 10 {
        warnings.push(format!(
            "the header says {}, the picture lasts {}",
            seconds(promised),
            seconds(picture.duration_us())
        ));
    }
    if picture.lost_at_start > 0 {
        warnings.push(format!(
            "the first {} frames come before the first key frame and cannot be decoded",
            picture.lost_at_start
        ));
    }
    Ok(warnings)
}
