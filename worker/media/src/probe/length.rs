//! What a master's header promises, against what is there.

use crate::error::MediaError;
use crate::log::{Finding, Log};
use crate::scan::Picture;
use crate::sniff::Container;
use crate::source::Video;

/// Differences between header and content up to this many microseconds are nobody's concern.
const SLACK_US: u64 = 100_000;
/// A constant frame rate repeats each frame for as long as it stands, and two frames can be told to be years apart.
/// No honest master is longer than 12 hours and 10 seconds a frame, in microseconds.
const HONEST_US: u64 = 12 * 3600 * 1_000_000;
const HONEST_FRAME_US: u64 = 10 * 1_000_000;

/// What the packets of the sound come to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sound {
    /// How many there are.
    pub packets: u64,
    /// When the last of it ends, in microseconds.
    pub end_us: i64,
}

/// What was counted in a master.
pub(super) struct Counted<'a> {
    /// Its container.
    pub container: Container,
    /// The chosen video stream, by its header.
    pub video: &'a Video,
    /// The packets of that stream.
    pub picture: Picture,
    /// The packets of the chosen audio stream.
    pub sound: Sound,
    /// How the file breaks off, by our own look at its end.
    pub breaks_off: Option<&'static str>,
}

impl Counted<'_> {
    /// Compares. The content is what counts; the header only tells whether the rest is missing (an error) or was
    /// never there (a warning).
    pub fn judge(&self, log: &Log) -> Result<Vec<String>, MediaError> {
        let Picture { frames, lost_at_start, end_us, .. } = self.picture;
        let lasts = self.picture.duration_us();
        let cut = log.has(Finding::CutShort);
        let missing_frames = self.video.header_frames.unwrap_or(0).saturating_sub(self.picture.packets);
        if frames == 0 {
            let tail = log.tail();
            return Err(if cut || missing_frames > 0 {
                MediaError::TruncatedInput { detail: self.shortage(), tail }
            } else {
                MediaError::CorruptInput { detail: "no frame of its picture can be found".into(), tail }
            });
        }
        let promised = self.promised_us().unwrap_or(0);
        // A file's own duration counts from zero, a stream's from its first frame: the kinder of the two.
        let there = lasts.max(u64::try_from(end_us).unwrap_or(0));
        let missing = promised.saturating_sub(there);
        let much = |part: u64, whole: u64, least: u64| part > least && part > whole / 100;
        // Frames alone may be missing for good reasons: an edit list leaves them out, or they were empty.
        let much_time = much(missing, promised, SLACK_US) && (cut || missing_frames > 0);
        if much_time || (cut && much(missing_frames, self.video.header_frames.unwrap_or(0), 2)) {
            return Err(MediaError::TruncatedInput { detail: self.shortage(), tail: log.tail() });
        }
        if lasts > HONEST_US.saturating_add(frames.saturating_mul(HONEST_FRAME_US)) {
            let detail =
                format!("its {frames} frames stand for {}: its time stamps are broken", seconds(lasts));
            return Err(MediaError::CorruptInput { detail, tail: log.tail() });
        }
        // The duration may be the file's, which is that of its longest stream.
        let longest = there.max(u64::try_from(self.sound.end_us).unwrap_or(0));
        let lies = missing > promised / 10 || promised.saturating_sub(longest) > promised / 100;
        let mut warnings = Vec::new();
        if cut {
            warnings.push(format!("the master ends early: {}", self.shortage()));
        } else if missing > 1_000_000 && lies {
            warnings.push(format!(
                "the header says {}, the picture lasts {}",
                seconds(promised),
                seconds(lasts)
            ));
        } else if let Some(how) = self.breaks_off {
            warnings.push(format!("the master ends early: {how}"));
        }
        if lost_at_start > 0 {
            warnings.push(format!(
                "the first {lost_at_start} frames come before the first key frame and cannot be decoded"
            ));
        }
        Ok(warnings)
    }

    /// How long the header says that the picture is, in microseconds. ffprobe shortens the duration of an AVI that
    /// was cut to what is there, but not its count of frames, which all last the same.
    fn promised_us(&self) -> Option<u64> {
        let counted = self.video.header_frames.zip(self.video.base_rate);
        let counted = counted.filter(|_| self.container == Container::Avi);
        self.video
            .header_duration_us
            .max(counted.map(|(frames, rate)| frames.saturating_mul(rate.frame_us())))
    }

    fn shortage(&self) -> String {
        let there =
            format!("{} ({} frames) are there", seconds(self.picture.duration_us()), self.picture.packets);
        let frames = self.video.header_frames.map_or(String::new(), |frames| format!(" ({frames} frames)"));
        match self.promised_us() {
            Some(promised) => format!("its header promises {}{frames}, {there}", seconds(promised)),
            None => format!("it breaks off, {there}"),
        }
    }
}

fn seconds(us: u64) -> String {
    format!("{}.{:02} s", us / 1_000_000, us / 10_000 % 100)
}

#[cfg(test)]
#[path = "length_tests.rs"]
mod tests;
