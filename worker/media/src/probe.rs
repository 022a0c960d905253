//! Looking into a master: our own sniff, ffprobe's header, and the packets counted.

use std::ffi::OsString;
use std::path::Path;

use crate::child::{Access, Run};
use crate::engine::Engine;
use crate::error::MediaError;
use crate::log::{Finding, Lines, Log};
use crate::scan::{self, Packet, Picture, PictureCounter};
use crate::sniff::{Container, Sniffed, sniff};
use crate::source::Source;

mod header;
mod length;

use length::{Counted, Sound};

pub use header::{Header, parse_probe};

/// ffprobe's own memory: a few frames at the pixel limit.
const PROBE_MEMORY: u64 = 2 << 30;
/// No honest header is larger; a larger one is refused.
const MAX_JSON: usize = 16 << 20;

/// See [`Engine::probe`].
pub(crate) async fn probe(engine: &Engine, input: &Path) -> Result<Source, MediaError> {
    let Sniffed { container, bytes, breaks_off } = sniff(input)?;
    let header = read_header(engine, input, container).await?;
    let video = &header.video;
    let (width, height, max) = (u64::from(video.width), u64::from(video.height), engine.limits.max_pixels);
    let (shown_width, shown_height) = video.display_size();
    if width * height > max || u64::from(shown_width) * u64::from(shown_height) > max {
        return Err(MediaError::TooManyPixels { width, height, max });
    }
    let (picture, sound, log) = count_packets(engine, input, container, &header, bytes).await?;
    let mut warnings = header.notes;
    warnings.extend(Counted { container, video, picture, sound, breaks_off }.judge(&log)?);
    // A track that is announced and never comes: screen recorders do that.
    if let Some(audio) = header.audio.as_ref().filter(|_| sound.packets == 0) {
        warnings.push(format!("left out: an audio stream with nothing in it (stream {})", audio.index));
    }
    let audio = header.audio.filter(|_| sound.packets > 0);
    let (video, start_us) = (header.video, header.start_us);
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
        access: Access::None,
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
    if tail.contains("moov atom not found") {
        let detail = "its index (the moov box) is missing, which is usually written last".into();
        MediaError::TruncatedInput { detail, tail }
    } else {
        MediaError::CorruptInput { detail: format!("it cannot be opened: {reason}"), tail }
    }
}

/// The picture's packets and the sound's, summed up, and what ffprobe complained of.
async fn count_packets(
    engine: &Engine,
    input: &Path,
    container: Container,
    header: &Header,
    bytes: u64,
) -> Result<(Picture, Sound, Log), MediaError> {
    let mut args = careful(engine, container);
    args.extend(scan::ENTRIES.map(OsString::from));
    args.push(file_url(input));
    let mut counter = PictureCounter::new(container.clock_may_jump());
    let mut lines = Lines::default();
    let (video, audio) = (Some(header.video.index), header.audio.as_ref().map(|audio| audio.index));
    let mut sound = Sound::default();
    let mut count = |line: &str| match Packet::parse(line) {
        Some(packet) if packet.stream == video => counter.add(packet),
        Some(packet) if packet.stream == audio => {
            sound.packets += 1;
            let end = packet.at_us.unwrap_or(0).saturating_add(packet.lasts_us);
            sound.end_us = sound.end_us.max(end);
        }
        _ => {}
    };
    let run = Run { deadline: engine.limits.scan_deadline_for(bytes), ..run(engine, input, args) };
    let log = run
        .finish(&engine.sandbox, "probing", |piece| lines.push(piece, &mut count))
        .await
        .map_err(refused)?;
    lines.finish(&mut count);
    Ok((counter.finish(), sound, log))
}
