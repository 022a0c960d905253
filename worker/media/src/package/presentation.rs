//! The tracks of one master, checked to belong together. What is here can be written as playlists without fail.

use crate::source::Rate;

use super::bandwidth;
use super::error::PackageError;
use super::layout;
use super::segments::{Span, cut, cut_at, ends, join};
use super::track::{Media, Track};

/// Sound may start so much before or after the picture and nobody notices, in milliseconds (ITU-R BT.1359: 45 ms
/// early, 125 ms late).
const APART_MS: u128 = 50;

/// A rung's track, as the caller knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rung {
    /// Its name, such as `720p`: its files are called so.
    pub name: String,
    /// Its constant frame rate.
    pub rate: Rate,
    /// Its track.
    pub track: Track,
}

/// A track with what is announced of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packaged {
    /// Its name among the files.
    pub name: String,
    /// Its constant frame rate; `None` for sound.
    pub rate: Option<Rate>,
    /// The track.
    pub track: Track,
    /// Its segments for HLS: runs of its fragments.
    pub segments: Vec<Span>,
    /// Its mean bit rate in bits a second, with the container's bytes.
    pub average_bps: u64,
    /// Its peak bit rate over about a segment, in bits a second, as RFC 8216, 4.1 defines it.
    pub peak_bps: u64,
}

/// Video tracks that can be switched between, and the sound that belongs to them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presentation {
    rungs: Vec<Packaged>,
    audio: Option<Packaged>,
    target_seconds: u32,
}

impl Presentation {
    /// Checks that the tracks belong together, and cuts them into segments of about `segment_seconds` (at least 1)
    /// out of whole fragments. All rungs are cut at the same moments, the sound at the nearest it has.
    pub fn new(rungs: Vec<Rung>, audio: Option<Track>, segment_seconds: u32) -> Result<Self, PackageError> {
        let segment_seconds = segment_seconds.max(1);
        let first = rungs.first().ok_or(PackageError::NoVideo)?;
        check_rungs(&rungs, first)?;
        if let Some(audio) = &audio {
            check_audio(audio, first)?;
        }
        let counts = cut(&first.track.fragments, first.track.timescale, segment_seconds);
        let mut moments = ends(&join(&first.track.fragments, &counts));
        // Sound may go on after the picture.
        moments.pop();
        let timescale = first.track.timescale;
        let video = rungs.into_iter().map(|Rung { name, rate, track }| {
            let segments = join(&track.fragments, &counts);
            Packaged { name, rate: Some(rate), track, segments, average_bps: 0, peak_bps: 0 }
        });
        let mut tracks: Vec<Packaged> = video.collect();
        let has_audio = audio.is_some();
        tracks.extend(audio.map(|track| {
            let counts = cut_at(&track.fragments, track.timescale, &moments, timescale, segment_seconds);
            let segments = join(&track.fragments, &counts);
            let name = layout::AUDIO.to_owned();
            Packaged { name, rate: None, track, segments, average_bps: 0, peak_bps: 0 }
        }));
        let target_seconds = tracks.iter().map(target).max().unwrap_or(1);
        for Packaged { track, segments, average_bps, peak_bps, .. } in &mut tracks {
            *average_bps = bandwidth::average(segments, track.timescale);
            *peak_bps = bandwidth::peak(segments, track.timescale, target_seconds);
        }
        let audio = if has_audio { tracks.pop() } else { None };
        Ok(Self { rungs: tracks, audio, target_seconds })
    }

    /// The rungs, in the order in which they were given; at least one.
    #[must_use]
    pub fn rungs(&self) -> &[Packaged] {
        &self.rungs
    }

    /// The sound, if there is any.
    #[must_use]
    pub fn audio(&self) -> Option<&Packaged> {
        self.audio.as_ref()
    }

    /// No segment of any track is longer, rounded to whole seconds; at least 1. RFC 8216, 6.2.4 wants one value
    /// for all playlists.
    #[must_use]
    pub fn target_seconds(&self) -> u32 {
        self.target_seconds
    }

    /// All tracks, the sound last.
    pub(crate) fn tracks(&self) -> impl Iterator<Item = &Packaged> {
        self.rungs.iter().chain(&self.audio)
    }
}

/// The longest segment in seconds, rounded to the nearest whole number (RFC 8216, 4.3.3.1), at least 1.
fn target(packaged: &Packaged) -> u32 {
    let timescale = u64::from(packaged.track.timescale);
    let longest = packaged.segments.iter().map(|segment| segment.ticks).max().unwrap_or(0);
    let rounded = longest.saturating_add(timescale / 2) / timescale.max(1);
    u32::try_from(rounded).unwrap_or(u32::MAX).max(1)
}

fn check_rungs(rungs: &[Rung], first: &Rung) -> Result<(), PackageError> {
    for (i, rung) in rungs.iter().enumerate() {
        let Rung { name, track, .. } = rung;
        if !layout::is_usable(name) {
            return Err(PackageError::Name(name.clone()));
        }
        if rungs.iter().take(i).any(|other| other.name.eq_ignore_ascii_case(name)) {
            return Err(PackageError::SameName(name.clone()));
        }
        if !matches!(track.media, Media::Video { .. }) {
            return Err(PackageError::Kind { name: name.clone(), expected: "a picture" });
        }
        if let Some(fragment) = off_grid(track, &first.track) {
            return Err(PackageError::OffGrid { name: name.clone(), first: first.name.clone(), fragment });
        }
        check_start(name, track, first)?;
    }
    Ok(())
}

fn check_audio(audio: &Track, first: &Rung) -> Result<(), PackageError> {
    if !matches!(audio.media, Media::Audio { .. }) {
        return Err(PackageError::Kind { name: layout::AUDIO.to_owned(), expected: "sound" });
    }
    check_start(layout::AUDIO, audio, first)
}

/// The first fragment that does not last as long in both.
fn off_grid(track: &Track, first: &Track) -> Option<usize> {
    let (own, its) = (track.fragments.len(), first.fragments.len());
    let same = |(a, b): (&Span, &Span)| {
        u128::from(a.ticks) * u128::from(first.timescale) == u128::from(b.ticks) * u128::from(track.timescale)
    };
    let differs = track.fragments.iter().zip(&first.fragments).position(|pair| !same(pair));
    differs.or((own != its).then_some(own.min(its)))
}

fn check_start(name: &str, track: &Track, first: &Rung) -> Result<(), PackageError> {
    let (own, its) = (u128::from(track.timescale), u128::from(first.track.timescale));
    let apart = (u128::from(track.start) * its).abs_diff(u128::from(first.track.start) * own);
    if apart * 1000 <= APART_MS * own * its {
        return Ok(());
    }
    let ms = u64::try_from(apart.saturating_mul(1000) / (own * its).max(1)).unwrap_or(u64::MAX);
    Err(PackageError::Apart { name: name.to_owned(), first: first.name.clone(), ms })
}

#[cfg(test)]
#[path = "presentation_tests.rs"]
mod tests;
