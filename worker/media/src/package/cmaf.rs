//! ffmpeg's output arguments for CMAF tracks (ISO/IEC 23000-19), by copying: nothing is encoded again.
//!
//! Each file holds one track: its header, one `sidx` with an entry for each fragment, the fragments. Picture and
//! sound both start at 0.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

/// The output arguments that copy the picture `stream` (such as `0:v:0`) into a track at `path`, one fragment for
/// each of its key frames.
///
/// An edit list of one entry takes away the delay of reordered frames. CMAF's other way, negative composition
/// offsets without an edit list, is read by ffmpeg's own demuxer, and so by mpv and VLC, as a picture that comes
/// two frames late. That ffmpeg knows only that other way for CMAF and warns of `Edit list enabled` is harmless.
#[must_use]
pub fn video(stream: &str, path: &Path) -> Vec<OsString> {
    let words = [
        "-map",
        stream,
        "-c",
        "copy",
        "-map_metadata",
        "-1",
        "-map_chapters",
        "-1",
        "-fflags",
        "+bitexact",
        "-movflags",
        "+cmaf+frag_keyframe+global_sidx+delay_moov+skip_trailer",
        "-use_editlist",
        "1",
        "-f",
        "mp4",
    ];
    output(&words, path)
}

/// The output arguments that copy the sound `stream` (such as `1:a:0`) into a track at `path`, in fragments of
/// `fragment` and up to one AAC frame more. Of the picture's fragments' length, they can be cut alike.
///
/// The packets before 0 are left out: AAC's priming, which a plain MP4 hides by an edit list. Without it there is
/// nothing to hide, and no player shifts the sound by it. The decoder's first 21 ms fade in, as after any seek.
#[must_use]
pub fn audio(stream: &str, fragment: Duration, path: &Path) -> Vec<OsString> {
    let fragment = fragment.as_micros().clamp(1, 60_000_000).to_string();
    let words = [
        "-map",
        stream,
        "-c",
        "copy",
        "-map_metadata",
        "-1",
        "-map_chapters",
        "-1",
        "-fflags",
        "+bitexact",
        "-bsf:a",
        r"noise=drop=lte(pts+d\,0)",
        "-movflags",
        "+cmaf+global_sidx+skip_trailer",
        "-frag_duration",
        &fragment,
        "-f",
        "mp4",
    ];
    output(&words, path)
}

fn output(words: &[&str], path: &Path) -> Vec<OsString> {
    // As a URL, so that no name is taken for a protocol or an option.
    let mut file = OsString::from("file:");
    file.push(path);
    words.iter().map(OsString::from).chain([file]).collect()
}
