//! Where the files of a presentation lie, seen from the folder of its playlists. All links are relative, so that
//! the folder can be served from anywhere.

/// The master playlist of HLS.
pub const MASTER: &str = "master.m3u8";
/// The manifest of DASH.
pub const MPD: &str = "manifest.mpd";
/// The poster.
pub const POSTER: &str = "poster.jpg";
/// The storyboard.
pub const STORYBOARD: &str = "storyboard.vtt";
/// The sheets of the storyboard, numbered from 1, as ffmpeg names the files of a series.
pub const SHEETS: &str = "sprite_%03d.jpg";
/// The folder of the CMAF tracks.
pub const TRACKS: &str = "cmaf";
/// The name that the sound has among the tracks; no rung may be called so.
pub const AUDIO: &str = "audio";

/// The CMAF track of a rung, or of the sound ([`AUDIO`]).
#[must_use]
pub fn track(name: &str) -> String {
    format!("{TRACKS}/{name}.mp4")
}

/// The media playlist of a rung, or of the sound ([`AUDIO`]).
#[must_use]
pub fn playlist(name: &str) -> String {
    format!("{name}.m3u8")
}

/// The name of the sheet of a storyboard with that number, counted from 1: one of [`SHEETS`].
#[must_use]
pub fn sheet(number: u32) -> String {
    format!("sprite_{number:03}.jpg")
}

/// Whether a rung may be called so: its name becomes a file's name and stands in playlists and XML, where these
/// characters mean nothing (letters, digits, `-`, `_`).
pub(crate) fn is_usable(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    // Not all disks tell capitals apart.
    let is_taken = [AUDIO, "master"].iter().any(|taken| taken.eq_ignore_ascii_case(name));
    (1..=64).contains(&name.len()) && name.bytes().all(plain) && !is_taken
}
