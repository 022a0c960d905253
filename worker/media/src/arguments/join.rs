//! The ffmpeg that puts pieces and sound together, without another encoding.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::time::Duration;

use super::{Args, PIECES, SOUND, piece_file, seconds};
use crate::package::{cmaf, layout};
use crate::plan::{Plan, Planned};

/// The arguments of the ffmpeg that makes the finished files of `plan` from its pieces, which all are there: of each
/// rendition a [`list`] where there is more than one piece. Each rendition becomes a file with the sound, which is
/// what is verified, and a track of its own for HLS and DASH where those are asked for, as the sound does.
#[must_use]
pub fn join(plan: &Plan) -> Vec<OsString> {
    let mut args = Args::default();
    args.add("-nostdin -hide_banner -nostats -loglevel level+warning -progress pipe:1 -stats_period 1 -y");
    for rendition in &plan.renditions {
        args.add("-protocol_whitelist file");
        let file = if plan.grid.pieces.len() > 1 {
            args.add("-format_whitelist concat,mov -f concat");
            list_file(rendition)
        } else {
            args.add("-format_whitelist mov");
            piece_file(0, rendition)
        };
        args.add(&format!("-i file:{file}"));
    }
    if plan.audio.is_some() {
        args.add(&format!("-protocol_whitelist file -format_whitelist mov -i file:{SOUND}"));
    }
    for (i, rendition) in plan.renditions.iter().enumerate() {
        args.add(&format!("-map {i}:v"));
        if plan.audio.is_some() {
            args.add(&format!("-map {}:a", plan.renditions.len()));
        }
        args.add("-c copy -map_metadata -1 -map_chapters -1 -movflags +faststart -f mp4");
        args.0.push(rendition.file_name().into());
        if plan.has_tracks() {
            args.0.extend(cmaf::video(&format!("{i}:v"), layout::track(&rendition.name).as_ref()));
        }
    }
    if plan.audio.is_some() && plan.has_tracks() {
        let sound = format!("{}:a", plan.renditions.len());
        let fragment = Duration::from_micros(plan.grid.time_us(plan.grid.key_every.into()));
        args.0.extend(cmaf::audio(&sound, fragment, layout::track(layout::AUDIO).as_ref()));
    }
    args.0
}

/// The name of the list of a rendition's pieces, and what stands in it, in the language of ffmpeg's concat demuxer.
#[must_use]
pub fn list(plan: &Plan, rendition: &Planned) -> (String, String) {
    let mut text = "ffconcat version 1.0\n".to_owned();
    for (number, piece) in plan.grid.pieces.iter().enumerate() {
        let path = piece_file(number, rendition);
        // Relative to the list.
        let name = path.strip_prefix(PIECES).unwrap_or(&path).trim_start_matches('/');
        let _ = writeln!(text, "file {name}");
        if let Some(frames) = piece.frames {
            let us = plan.grid.time_us(piece.first.saturating_add(frames)) - plan.grid.time_us(piece.first);
            let _ = writeln!(text, "duration {}", seconds(i64::try_from(us).unwrap_or(i64::MAX)));
        }
    }
    (list_file(rendition), text)
}

fn list_file(rendition: &Planned) -> String {
    format!("{PIECES}/{}.ffconcat", rendition.name)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use reelpool_protocol::Profile;

    use super::*;
    use crate::plan::tests::master;
    use crate::plan::{AudioPlan, PlanOptions, plan};

    fn text(args: &[OsString]) -> String {
        args.iter().map(|arg| arg.to_str().unwrap()).collect::<Vec<_>>().join(" ")
    }

    fn options(piece_seconds: u32) -> PlanOptions {
        let profile = format!(r#"{{"chunkSeconds":{piece_seconds}}}"#);
        PlanOptions { profile: Profile::from_json(&profile).unwrap(), threads: 1 }
    }

    const HEAD: &str =
        "-nostdin -hide_banner -nostats -loglevel level+warning -progress pipe:1 -stats_period 1 -y";

    const COPY: &str = "-c copy -map_metadata -1 -map_chapters -1 -movflags +faststart -f mp4";

    fn track(stream: &str, name: &str) -> String {
        text(&cmaf::video(stream, Path::new(&format!("cmaf/{name}.mp4"))))
    }

    #[test]
    fn one_piece_is_read_as_it_is() {
        let mut plan = plan(&master(640, 360), &"360p,180p".parse().unwrap(), &options(60));
        plan.audio = Some(AudioPlan { index: 1, kbps: 128, gain_centidb: 0 });
        let one = "-protocol_whitelist file -format_whitelist mov -i file:pieces";
        let sound = cmaf::audio("2:a", Duration::from_secs(2), Path::new("cmaf/audio.mp4"));
        let expected = format!(
            "{HEAD} {one}/00000-360p.mp4 {one}/00000-180p.mp4 {one}/sound.mp4 -map 0:v -map 2:a {COPY} 360p.mp4 {} \
             -map 1:v -map 2:a {COPY} 180p.mp4 {} {}",
            track("0:v", "360p"),
            track("1:v", "180p"),
            text(&sound)
        );
        assert_eq!(text(&join(&plan)), expected);
    }

    #[test]
    fn many_pieces_are_read_by_a_list() {
        let mut source = master(640, 360);
        crate::plan::tests::timed(&mut source, "30000/1001", 30_000.0 / 1001.0);
        (source.picture.frames, source.picture.last_us, source.picture.end_us) =
            (1050, 35_001_633, 35_035_000);
        let plan = plan(&source, &"180p".parse().unwrap(), &options(10));
        let expected = format!(
            "{HEAD} -protocol_whitelist file -format_whitelist concat,mov -f concat -i file:pieces/180p.ffconcat \
             -map 0:v {COPY} 180p.mp4 {}",
            track("0:v", "180p")
        );
        assert_eq!(text(&join(&plan)), expected);
        let (name, list) = list(&plan, &plan.renditions[0]);
        assert_eq!(name, "pieces/180p.ffconcat");
        let piece = |n: u32| format!("file {n:05}-180p.mp4\nduration 10.010000\n");
        assert_eq!(
            list,
            format!("ffconcat version 1.0\n{}{}{}file 00003-180p.mp4\n", piece(0), piece(1), piece(2))
        );
    }
}
