//! ffmpeg's output arguments for CMAF tracks (ISO/IEC 23000-19), by copying: nothing is encoded again.
//!
//! Each file holds one track: its header, one `sidx` with an entry for each fragment, the fragments. Picture and
//! sound both start at 0.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

/// What every track is made with: bit by bit the same from the same input, and nothing in it that no player asks for.
const COPY: &str = "-c copy -map_metadata -1 -map_chapters -1 -fflags +bitexact -f mp4";

/// The output arguments that copy the picture `stream` (such as `0:v:0`) into a track at `path`, one fragment for
/// each of its key frames.
///
/// An edit list of one entry takes away the delay of reordered frames. CMAF's other way, negative composition
/// offsets without an edit list, is read by ffmpeg's own demuxer, and so by mpv, as a picture that comes two
/// frames late. ffmpeg warns of it (`Edit list enabled; …`): that is meant for files with several tracks.
#[must_use]
pub fn video(stream: &str, path: &Path) -> Vec<OsString> {
    output(stream, "-movflags +cmaf+frag_keyframe+global_sidx+delay_moov+skip_trailer -use_editlist 1", path)
}

/// The output arguments that copy the sound `stream` (such as `1:a:0`) into a track at `path`, in fragments of
/// `fragment` (at most a minute) and up to one AAC frame more. With the picture's fragments' length, it can be cut
/// where the picture is.
///
/// The packets before 0 are left out: AAC's priming, which a plain MP4 hides by an edit list. Without it there is
/// nothing to hide, and no player shifts the sound by it. The decoder's first 21 ms fade in, as after any seek.
#[must_use]
pub fn audio(stream: &str, fragment: Duration, path: &Path) -> Vec<OsString> {
    let us = fragment.as_micros().clamp(1, 60_000_000);
    let fragments = format!("-movflags +cmaf+global_sidx+skip_trailer -frag_duration {us}");
    output(stream, &format!(r"-bsf:a noise=drop=lte(pts+d\,0) {fragments}"), path)
}

fn output(stream: &str, words: &str, path: &Path) -> Vec<OsString> {
    // As a URL, so that no name is taken for a protocol or an option.
    let mut file = OsString::from("file:");
    file.push(path);
    let words = COPY.split(' ').chain(words.split(' ')).map(OsString::from);
    ["-map".into(), stream.into()].into_iter().chain(words).chain([file]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(args: &[OsString]) -> String {
        args.iter().map(|arg| arg.to_str().unwrap()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn each_track_has_its_arguments() {
        assert_eq!(
            line(&video("0:v:0", Path::new("cmaf/720p.mp4"))),
            "-map 0:v:0 -c copy -map_metadata -1 -map_chapters -1 -fflags +bitexact -f mp4 \
             -movflags +cmaf+frag_keyframe+global_sidx+delay_moov+skip_trailer -use_editlist 1 file:cmaf/720p.mp4"
        );
        assert_eq!(
            line(&audio("1:a:0", Duration::from_millis(2002), Path::new("cmaf/audio.mp4"))),
            "-map 1:a:0 -c copy -map_metadata -1 -map_chapters -1 -fflags +bitexact -f mp4 \
             -bsf:a noise=drop=lte(pts+d\\,0) -movflags +cmaf+global_sidx+skip_trailer -frag_duration 2002000 \
             file:cmaf/audio.mp4"
        );
    }
}
