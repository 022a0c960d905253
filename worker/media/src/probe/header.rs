//! ffprobe's JSON, read into types.

use serde::Deserialize;
use serde_json::Value;

use crate::error::MediaError;
use crate::scan::parse_us;
use crate::source::{Audio, Rate, Transfer, Video};

/// What a master's header says, and which of its streams are chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The video stream: among moving pictures the largest, then the default one, then the first; a still only
    /// where nothing moves.
    pub video: Video,
    /// The audio stream: the default one that can be decoded, or else the first.
    pub audio: Option<Audio>,
    /// When the first of all streams starts, in microseconds of the file's own clock.
    pub start_us: i64,
    /// What is left out of the renditions, for a person.
    pub notes: Vec<String>,
}

#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    streams: Vec<Value>,
    #[serde(default)]
    format: Value,
}

/// Codecs that are a film's only when the file has nothing else.
const STILLS: [&str; 7] = ["png", "mjpeg", "bmp", "gif", "tiff", "webp", "jpegls"];

/// A JSON object of which nothing is taken for granted.
#[derive(Clone, Copy)]
struct Fields<'a>(&'a Value);

impl<'a> Fields<'a> {
    fn text(self, key: &str) -> Option<&'a str> {
        self.0.get(key)?.as_str().filter(|text| !matches!(*text, "" | "N/A" | "unknown" | "reserved"))
    }

    /// A number, or a text that holds one.
    fn number(self, key: &str) -> Option<i64> {
        let value = self.0.get(key)?;
        value.as_i64().or_else(|| value.as_str()?.trim().parse().ok())
    }

    fn positive(self, key: &str) -> Option<u32> {
        u32::try_from(self.number(key)?).ok().filter(|n| *n > 0)
    }

    fn microseconds(self, key: &str) -> Option<u64> {
        u64::try_from(parse_us(self.text(key)?)?).ok().filter(|us| *us > 0)
    }

    /// A time, which may lie before zero.
    fn time_us(self, key: &str) -> Option<i64> {
        parse_us(self.text(key)?)
    }

    fn child(self, key: &str) -> Fields<'a> {
        Fields(self.0.get(key).unwrap_or(&Value::Null))
    }

    fn is(self, disposition: &str) -> bool {
        self.child("disposition").number(disposition) == Some(1)
    }

    fn side_data(self) -> impl Iterator<Item = Fields<'a>> {
        self.0.get("side_data_list").and_then(Value::as_array).into_iter().flatten().map(Fields)
    }

    fn kind(self) -> &'a str {
        self.text("codec_type").unwrap_or("unknown")
    }

    /// ffprobe's codec name, where it knows the codec.
    fn codec(self) -> Option<&'a str> {
        self.text("codec_name").filter(|name| *name != "none")
    }

    /// One frame that is not marked as cover art, or a codec of stills in a file that does not count frames.
    fn is_still(self) -> bool {
        let frames = self.number("nb_frames").filter(|n| *n > 0);
        let codec = self.codec().unwrap_or_default();
        frames.map_or_else(|| STILLS.contains(&codec), |frames| frames == 1)
    }

    /// A picture that moves: not cover art, a thumbnail, or an enhancement of another stream.
    fn moves(self) -> bool {
        self.kind() == "video"
            && !["attached_pic", "timed_thumbnails", "still_image", "dependent"]
                .iter()
                .any(|kind| self.is(kind))
    }
}

/// Reads the output of `ffprobe -show_format -show_streams -of json` and chooses the streams.
///
/// Total: any bytes give a header or an error. Fails with the categories `corrupt_input`, `no_video`,
/// `encrypted` and `unsupported_codec`.
pub fn parse_probe(json: &[u8]) -> Result<Header, MediaError> {
    let corrupt = |detail: String| MediaError::CorruptInput { detail, tail: String::new() };
    let document: Document = serde_json::from_slice(json).map_err(|error| {
        // The parser's own words have the file's in them.
        let (line, column) = (error.line(), error.column());
        corrupt(format!("ffprobe's description of it cannot be read (line {line}, column {column})"))
    })?;
    let streams: Vec<Fields> = document.streams.iter().map(Fields).collect();
    // Matroska's mark of an encrypted track, as ffmpeg shows it; ISO media is looked at before ffprobe runs.
    if streams.iter().any(|stream| stream.child("tags").text("enc_key_id").is_some()) {
        return Err(MediaError::Encrypted);
    }
    let format = Fields(&document.format);
    let Some(stream) = best_video(&streams) else {
        return Err(MediaError::NoVideo { found: kinds(&streams) });
    };
    let Some(codec) = stream.codec() else {
        let codec = told(stream.text("codec_tag_string").unwrap_or("unknown"));
        return Err(MediaError::UnsupportedCodec { codec, tail: String::new() });
    };
    let (mut notes, video) = read_video(stream, codec, format)
        .ok_or_else(|| corrupt("the size of its picture is not known".into()))?;
    let audio = best_audio(&streams, video.index);
    let audio_index = audio.as_ref().map(|audio| audio.index);
    notes.extend(left_out(&streams, video.index, audio_index));
    Ok(Header { video, audio, start_us: format.time_us("start_time").unwrap_or(0), notes })
}

/// What kinds of streams there are, for a message.
fn kinds(streams: &[Fields]) -> String {
    let mut kinds: Vec<&str> = Vec::new();
    for stream in streams {
        if !kinds.contains(&stream.kind()) && kinds.len() < 8 {
            kinds.push(stream.kind());
        }
    }
    let kinds: Vec<String> = kinds.into_iter().map(told).collect();
    if kinds.is_empty() { "nothing".into() } else { format!("only {}", kinds.join(", ")) }
}

/// A name as it can stand in a message, whatever the file made of it: short, and in one line.
fn told(name: &str) -> String {
    name.chars().take(40).map(|c| if c.is_control() { '?' } else { c }).collect()
}

fn best_video<'a>(streams: &[Fields<'a>]) -> Option<Fields<'a>> {
    let area = |s: &Fields| {
        u64::from(s.positive("width").unwrap_or(0)) * u64::from(s.positive("height").unwrap_or(0))
    };
    let rank = |s: &Fields| (s.codec().is_some(), !s.is_still(), area(s), s.is("default"));
    // max_by_key gives the last of equals: the first of them is wanted.
    streams.iter().rev().copied().filter(|stream| stream.moves()).max_by_key(rank)
}

fn best_audio(streams: &[Fields], video: u32) -> Option<Audio> {
    let read = |stream: &Fields| {
        let audio = Audio {
            index: u32::try_from(stream.number("index")?).ok()?,
            codec: told(stream.codec()?),
            channels: stream.positive("channels").unwrap_or(0),
            start_us: stream.time_us("start_time"),
        };
        let usable = stream.positive("sample_rate").is_some() && audio.index != video;
        usable.then(|| (stream.is("default"), audio))
    };
    let usable = streams.iter().rev().filter(|stream| stream.kind() == "audio").filter_map(read);
    usable.max_by_key(|(default, _)| *default).map(|(_, audio)| audio)
}

fn read_video(stream: Fields, codec: &str, format: Fields) -> Option<(Vec<String>, Video)> {
    let mut notes = Vec::new();
    let shape = stream.text("sample_aspect_ratio").and_then(parse_shape);
    let pixel_shape = shape.unwrap_or((1, 1));
    if shape.is_none()
        && stream.text("sample_aspect_ratio").is_some_and(|text| !matches!(text, "0:1" | "1:0"))
    {
        notes.push("the header's pixel shape makes no sense: taken as square".into());
    }
    if stream.side_data().any(|data| data.number("dv_profile") == Some(5)) {
        notes.push("the picture is Dolby Vision profile 5: its colours come out wrong".into());
    }
    let video = Video {
        index: u32::try_from(stream.number("index")?).ok()?,
        codec: told(codec),
        width: stream.positive("width")?,
        height: stream.positive("height")?,
        pixel_shape,
        on_its_side: rotation(stream).rem_euclid(180) == 90,
        base_rate: stream.text("r_frame_rate").and_then(Rate::parse),
        transfer: match stream.text("color_transfer") {
            Some("smpte2084") => Transfer::Pq,
            Some("arib-std-b67") => Transfer::Hlg,
            _ => Transfer::Sdr,
        },
        primaries: stream.text("color_primaries").and_then(plain),
        matrix: stream.text("color_space").and_then(plain),
        interlaced: is_interlaced(stream, codec),
        header_frames: stream.number("nb_frames").and_then(|n| u64::try_from(n).ok()).filter(|n| *n > 0),
        header_duration_us: stream.microseconds("duration").or_else(|| format.microseconds("duration")),
    };
    Some((notes, video))
}

/// DV is pairs of fields, and most containers do not say so (IEC 61834-2; there is a progressive kind, told by its
/// frames, which are then left as they are).
fn is_interlaced(stream: Fields, codec: &str) -> bool {
    stream.text("field_order").map_or(codec == "dvvideo", |order| matches!(order, "tt" | "bb" | "tb" | "bt"))
}

/// A name that can stand in a filter's arguments as it is.
fn plain(name: &str) -> Option<String> {
    let fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (name.len() <= 32 && name.chars().all(fine)).then(|| name.to_owned())
}

/// Reads `12:11`; `None` for shapes wilder than 10:1.
fn parse_shape(text: &str) -> Option<(u32, u32)> {
    let (across, down) = text.split_once(':')?;
    let (across, down): (u32, u32) = (across.parse().ok()?, down.parse().ok()?);
    let sane = across > 0 && down > 0 && across / 10 <= down && down / 10 <= across;
    sane.then_some((across, down))
}

/// Rotation for display in degrees, by the display matrix or the tag of old files.
fn rotation(stream: Fields) -> i64 {
    let matrix = stream.side_data().find_map(|data| data.number("rotation"));
    matrix.or_else(|| stream.child("tags").number("rotate")).unwrap_or(0)
}

/// Says which streams are not in the renditions.
fn left_out(streams: &[Fields], video: u32, audio: Option<u32>) -> Vec<String> {
    let mut notes = Vec::new();
    for stream in streams {
        let index = stream.number("index").and_then(|index| u32::try_from(index).ok());
        if index == Some(video) || (index.is_some() && index == audio) {
            continue;
        }
        let what = match stream.kind() {
            "video" if stream.moves() && !stream.is_still() => "another video stream",
            "video" => "a still picture",
            "audio" => "another audio stream",
            "subtitle" => "subtitles",
            _ => continue,
        };
        let codec = told(stream.codec().unwrap_or("unknown codec"));
        let number = index.map_or("?".into(), |index| index.to_string());
        notes.push(format!("left out: {what} (stream {number}, {codec})"));
    }
    notes
}

#[cfg(test)]
#[path = "header_tests.rs"]
mod tests;
