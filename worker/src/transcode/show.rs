//! A plan in words, for `--dry-run`.

use std::fmt::Write;
use std::time::Duration;

use reelpool_media::{Plan, Planned, Source, Transfer};
use reelpool_protocol::Profile;
use reelpool_protocol::profile::{Encoder, Packaging, Quality};

/// The plan for a master named `name`, several lines.
#[must_use]
pub fn plan(name: &str, source: &Source, plan: &Plan, profile: &Profile) -> String {
    let mut text = String::new();
    let mut line = |head: &str, words: String| {
        let _ = writeln!(text, "{head:<11} {words}");
    };
    line("master", format!("{name}: {}", master(source)));
    line("profile", profile.built_in_name().unwrap_or("its own").to_owned());
    line("video", video(plan));
    line("audio", audio(plan, profile));
    line("packaging", packaging(profile));
    for (index, rendition) in plan.renditions.iter().enumerate() {
        line(if index == 0 { "renditions" } else { "" }, self::rendition(rendition));
    }
    line("at most", bytes(plan.largest_output_bytes(source)));
    for (index, warning) in source.warnings.iter().chain(&plan.notes).enumerate() {
        line(if index == 0 { "warnings" } else { "" }, warning.clone());
    }
    text
}

fn master(source: &Source) -> String {
    let info = source.info();
    let mut words = vec![
        format!("{}x{}", info.width, info.height),
        clock(Duration::from_millis(info.duration_ms)),
        info.video_codec,
        source.audio.as_ref().map_or_else(
            || "no sound".to_owned(),
            |audio| match audio.channels {
                0 => audio.codec.clone(),
                1 => format!("{}, mono", audio.codec),
                channels => format!("{}, {channels} channels", audio.codec),
            },
        ),
        bytes(source.bytes),
    ];
    match source.video.transfer {
        Transfer::Sdr => {}
        Transfer::Pq => words.insert(3, "HDR (PQ)".to_owned()),
        Transfer::Hlg => words.insert(3, "HDR (HLG)".to_owned()),
    }
    words.join(", ")
}

fn video(plan: &Plan) -> String {
    let encoder = match plan.encoder {
        Encoder::X264 { .. } => "H.264 by x264",
        Encoder::SvtAv1 { .. } => "AV1 by SVT-AV1",
    };
    let (preset, crf) = (plan.encoder.preset_name(), plan.encoder.crf());
    let mut words = format!("{encoder}, preset {preset}, CRF {crf}, {} frames/s", rate(plan.grid.rate.fps()));
    for (is_so, what) in
        [(plan.deinterlace, ", de-interlaced"), (plan.tone_map.is_some(), ", HDR turned into SDR")]
    {
        words += if is_so { what } else { "" };
    }
    words
}

fn audio(plan: &Plan, profile: &Profile) -> String {
    let Some(audio) = &plan.audio else { return "none".to_owned() };
    let loudness = profile.loudness().map(|lufs| format!(", brought to {lufs} LUFS")).unwrap_or_default();
    format!("AAC, stereo, 48 kHz, {} kbit/s{loudness}", audio.kbps)
}

fn packaging(profile: &Profile) -> String {
    let names: Vec<_> = profile.packaging().iter().copied().map(Packaging::name).collect();
    let mut words = names.join(", ");
    if names != ["mp4"] {
        let _ = write!(words, ", segments of {} s", profile.segment_seconds());
    }
    for (is_so, what) in [(profile.poster(), ", poster"), (profile.storyboard(), ", storyboard")] {
        words += if is_so { what } else { "" };
    }
    if profile.quality() != Quality::None {
        let _ = write!(words, ", quality by {}", profile.quality().name());
    }
    words
}

fn rendition(rendition: &Planned) -> String {
    let Planned { name, width, height, max_kbps } = rendition;
    format!("{name:<6} {:<10} at most {max_kbps} kbit/s", format!("{width}x{height}"))
}

/// `29.97`, `25`.
fn rate(fps: f64) -> String {
    let text = format!("{fps:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A size in decimal units, as disks are sold: `1.3 MB`.
#[must_use]
pub fn bytes(bytes: u64) -> String {
    let units = [(1_000_000_000, "GB"), (1_000_000, "MB"), (1000, "kB")];
    match units.into_iter().find(|(unit, _)| bytes >= *unit) {
        Some((unit, name)) => {
            let tenths = bytes / (unit / 10);
            format!("{}.{} {name}", tenths / 10, tenths % 10)
        }
        None => format!("{bytes} bytes"),
    }
}

/// A span as `1:05` or `2:03:07`.
#[must_use]
pub fn clock(span: Duration) -> String {
    let seconds = span.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_spans_and_rates() {
        let sizes = [
            (0, "0 bytes"),
            (999, "999 bytes"),
            (1000, "1.0 kB"),
            (1_949_999, "1.9 MB"),
            (12_345_678_901, "12.3 GB"),
        ];
        for (number, text) in sizes {
            assert_eq!(bytes(number), text);
        }
        assert_eq!([5, 65, 7387].map(|s| clock(Duration::from_secs(s))), ["0:05", "1:05", "2:03:07"]);
        assert_eq!([25.0, 30_000.0 / 1001.0, 12.5].map(rate), ["25", "29.97", "12.5"]);
    }
}
