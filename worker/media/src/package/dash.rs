//! The manifest of DASH (ISO/IEC 23009-1): static, the on-demand profile (8.3): each representation is one file
//! with an index.

use std::fmt::Write as _;

use super::bandwidth;
use super::layout;
use super::presentation::{Packaged, Presentation};
use super::track::Media;

/// The media presentation description, for a file called [`layout::MPD`].
#[must_use]
pub fn mpd(presentation: &Presentation) -> String {
    let duration = presentation.tracks().map(duration_us).max().unwrap_or(0);
    let buffer_ms = presentation.tracks().map(longest_fragment_ms).max().unwrap_or(1);
    let mut text = format!(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" profiles="urn:mpeg:dash:profile:isoff-on-demand:2011" type="static" mediaPresentationDuration="PT{}S" minBufferTime="PT{}.{:03}S">
  <Period id="0">
"#,
        seconds(duration),
        buffer_ms / 1000,
        buffer_ms % 1000,
    );
    adaptation_set(&mut text, "video", presentation.rungs(), buffer_ms);
    if let Some(audio) = presentation.audio() {
        adaptation_set(&mut text, "audio", std::slice::from_ref(audio), buffer_ms);
    }
    text.push_str("  </Period>\n</MPD>\n");
    text
}

/// Tracks to choose from (5.3.3): all their fragments start with a key frame, at the same moments.
fn adaptation_set(text: &mut String, kind: &str, tracks: &[Packaged], buffer_ms: u64) {
    let _ = writeln!(
        text,
        r#"    <AdaptationSet contentType="{kind}" mimeType="{kind}/mp4" subsegmentAlignment="true" subsegmentStartsWithSAP="1">"#
    );
    for track in tracks {
        representation(text, track, buffer_ms);
    }
    text.push_str("    </AdaptationSet>\n");
}

/// One track (5.3.5), its index and its header (5.3.9.2). Nothing that is written needs escaping: names and codecs
/// are made of letters, digits, `.`, `-` and `_`.
fn representation(text: &mut String, packaged: &Packaged, buffer_ms: u64) {
    let Packaged { name, rate, track, .. } = packaged;
    let bandwidth = bandwidth::sufficient(&track.fragments, track.timescale, buffer_ms);
    let _ =
        write!(text, r#"      <Representation id="{name}" codecs="{}" bandwidth="{bandwidth}""#, track.codec);
    let mut channels = None;
    match track.media {
        Media::Video { width, height } => {
            let _ = write!(text, r#" width="{width}" height="{height}" sar="1:1""#);
        }
        Media::Audio { channels: count, sample_rate } => {
            let _ = write!(text, r#" audioSamplingRate="{sample_rate}""#);
            channels = Some(count);
        }
    }
    match rate {
        Some(rate) if rate.den == 1 => {
            let _ = write!(text, r#" frameRate="{}""#, rate.num);
        }
        Some(rate) => {
            let _ = write!(text, r#" frameRate="{rate}""#);
        }
        None => {}
    }
    text.push_str(">\n");
    // For one and two channels the standard's number of a layout is that of its channels.
    if let Some(channels @ 1..=2) = channels {
        let _ = writeln!(
            text,
            r#"        <AudioChannelConfiguration schemeIdUri="urn:mpeg:dash:23003:3:audio_channel_configuration:2011" value="{channels}"/>"#
        );
    }
    let last = |range: super::segments::ByteRange| range.end().saturating_sub(1);
    let (index, init) = (track.index, track.init);
    let _ = writeln!(
        text,
        r#"        <BaseURL>{}</BaseURL>
        <SegmentBase indexRange="{}-{}" timescale="{}">
          <Initialization range="{}-{}"/>
        </SegmentBase>
      </Representation>"#,
        layout::track(name),
        index.offset,
        last(index),
        track.timescale,
        init.offset,
        last(init),
    );
}

/// When the track ends, in microseconds from 0, rounded up: rounded down, a player would cut the last frame.
fn duration_us(packaged: &Packaged) -> u64 {
    let track = &packaged.track;
    let ticks = u128::from(track.start) + u128::from(track.ticks());
    u64::try_from((ticks * 1_000_000).div_ceil(u128::from(track.timescale.max(1)))).unwrap_or(u64::MAX)
}

fn longest_fragment_ms(packaged: &Packaged) -> u64 {
    let track = &packaged.track;
    let longest = track.fragments.iter().map(|fragment| fragment.ticks).max().unwrap_or(0);
    u64::try_from((u128::from(longest) * 1000).div_ceil(u128::from(track.timescale.max(1))))
        .unwrap_or(u64::MAX)
}

/// Seconds without needless zeros.
fn seconds(us: u64) -> String {
    let text = format!("{}.{:06}", us / 1_000_000, us % 1_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
#[path = "dash_tests.rs"]
mod tests;
