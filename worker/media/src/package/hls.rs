//! Playlists of HLS (RFC 8216): one that names all renditions, and one for each track.

use std::fmt::Write as _;

use super::layout;
use super::presentation::{Packaged, Presentation};
use super::segments::ByteRange;
use super::track::Media;
use crate::source::Rate;

/// Byte ranges need version 4, `EXT-X-MAP` in a playlist of whole segments 6 (RFC 8216, 7); 7 is what players
/// expect with fragmented MP4.
const VERSION: u32 = 7;

/// The master playlist (RFC 8216, 4.3.4), for a file called [`layout::MASTER`].
///
/// The smallest variant comes first: with it a player starts that knows nothing of its network.
#[must_use]
pub fn master(presentation: &Presentation) -> String {
    let mut text = head();
    if let Some(audio) = presentation.audio() {
        let channels = match audio.track.media {
            Media::Audio { channels, .. } => channels,
            Media::Video { .. } => 0,
        };
        let (name, playlist) = (layout::AUDIO, layout::playlist(&audio.name));
        let _ = writeln!(
            text,
            "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"{name}\",NAME=\"{name}\",DEFAULT=YES,AUTOSELECT=YES,\
             CHANNELS=\"{channels}\",URI=\"{playlist}\""
        );
    }
    let mut rungs: Vec<&Packaged> = presentation.rungs().iter().collect();
    rungs.sort_by_key(|rung| rung.peak_bps);
    for rung in rungs {
        stream(&mut text, rung, presentation.audio());
    }
    text
}

/// The variant of one rung (RFC 8216, 4.3.4.2): its bit rates are those of picture and sound together.
fn stream(text: &mut String, rung: &Packaged, audio: Option<&Packaged>) {
    let sum = |bps: fn(&Packaged) -> u64| bps(rung).saturating_add(audio.map_or(0, bps));
    let (peak, average) = (sum(|track| track.peak_bps), sum(|track| track.average_bps));
    let _ = write!(
        text,
        "#EXT-X-STREAM-INF:BANDWIDTH={peak},AVERAGE-BANDWIDTH={average},CODECS=\"{}",
        rung.track.codec
    );
    if let Some(audio) = audio {
        let _ = write!(text, ",{}", audio.track.codec);
    }
    text.push('"');
    if let Media::Video { width, height } = rung.track.media {
        let _ = write!(text, ",RESOLUTION={width}x{height}");
    }
    if let Some(rate) = rung.rate {
        let _ = write!(text, ",FRAME-RATE={}", frame_rate(rate));
    }
    if audio.is_some() {
        let _ = write!(text, ",AUDIO=\"{}\"", layout::AUDIO);
    }
    let _ = writeln!(text, "\n{}", layout::playlist(&rung.name));
}

/// The media playlist (RFC 8216, 4.3.3) of one of the presentation's tracks, for a file called
/// [`layout::playlist`] of its name.
#[must_use]
pub fn media(presentation: &Presentation, packaged: &Packaged) -> String {
    let mut text = head();
    let file = layout::track(&packaged.name);
    let Packaged { track, segments, .. } = packaged;
    let _ = writeln!(text, "#EXT-X-TARGETDURATION:{}", presentation.target_seconds());
    text.push_str("#EXT-X-PLAYLIST-TYPE:VOD\n");
    let _ = writeln!(text, "#EXT-X-MAP:URI=\"{file}\",BYTERANGE=\"{}\"", range(track.init));
    for segment in segments {
        let seconds = seconds(segment.ticks, track.timescale);
        let _ = writeln!(text, "#EXTINF:{seconds},\n#EXT-X-BYTERANGE:{}\n{file}", range(segment.bytes));
    }
    text.push_str("#EXT-X-ENDLIST\n");
    text
}

fn head() -> String {
    format!("#EXTM3U\n#EXT-X-VERSION:{VERSION}\n#EXT-X-INDEPENDENT-SEGMENTS\n")
}

fn range(bytes: ByteRange) -> String {
    format!("{}@{}", bytes.len, bytes.offset)
}

/// Seconds with six decimals, rounded.
fn seconds(ticks: u64, timescale: u32) -> String {
    let timescale = u128::from(timescale.max(1));
    let micros = (u128::from(ticks) * 1_000_000 + timescale / 2) / timescale;
    format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

/// Frames a second, rounded to three decimals (RFC 8216, 4.3.4.2).
fn frame_rate(rate: Rate) -> String {
    let (num, den) = (u64::from(rate.num), u64::from(rate.den));
    let thousandths = (num * 1000 + den / 2) / den;
    format!("{}.{:03}", thousandths / 1000, thousandths % 1000)
}

#[cfg(test)]
#[path = "hls_tests.rs"]
mod tests;
