//! What is asked in a run, and when.

use std::path::PathBuf;
use std::time::Duration;

use reelpool_tests::clips::Clip;

use crate::seed::stream;

/// How many seconds a burst of jobs gives the fleet for each of them, on average.
const PACE: f64 = 0.3;
/// Of a hundred jobs, so many are made to fail.
const DOOMED_PERCENT: usize = 5;
/// Of a hundred videos, so many are told of twice.
const TWICE_PERCENT: u8 = 6;
/// The silence in the middle: long enough for the fleet to go to zero.
const LULL: Duration = Duration::from_secs(12);
/// A silence after one burst of three, in seconds: long enough for some of the fleet to go.
const PAUSE: std::ops::Range<f64> = 3.0..6.0;

/// Masters of different lengths and sizes.
const CLIPS: [Clip; 7] = [
    Clip { width: 96, height: 54, seconds: 1, fps: 10, audio: false },
    Clip { width: 96, height: 54, seconds: 2, fps: 25, audio: true },
    Clip { width: 128, height: 72, seconds: 3, fps: 25, audio: false },
    Clip { width: 128, height: 72, seconds: 6, fps: 25, audio: true },
    Clip { width: 320, height: 180, seconds: 3, fps: 25, audio: false },
    Clip { width: 320, height: 180, seconds: 6, fps: 25, audio: true },
    // So long that others are idle and go meanwhile.
    Clip { width: 320, height: 180, seconds: 60, fps: 25, audio: true },
];

/// What one job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A video.
    Video,
    /// A video whose upload is told of in two messages.
    ToldTwice,
    /// A text under a video's name: it must end as a dead letter.
    NoVideo,
    /// A message about a master that is not there: it must end as a dead letter.
    NotThere,
    /// A message that nobody can read: it must end as a dead letter.
    NoMessage,
}

impl Kind {
    /// Whether it must end with a manifest; otherwise, as a dead letter.
    #[must_use]
    pub fn is_video(self) -> bool {
        matches!(self, Self::Video | Self::ToldTwice)
    }
}

/// One job.
#[derive(Debug, Clone)]
pub struct Job {
    /// When it is asked for, from the start of the run.
    pub at: Duration,
    /// The master's name.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    clip: usize,
}

impl Job {
    /// A video, asked for at once; `number` says which of the clips it is.
    #[must_use]
    pub fn video(number: usize, name: String) -> Self {
        Self { at: Duration::ZERO, name, kind: Kind::Video, clip: number % CLIPS.len() }
    }

    /// The video, as a file. Only for jobs that have one.
    #[must_use]
    pub fn clip(&self) -> PathBuf {
        CLIPS[self.clip].file()
    }
}

/// Makes every clip that a run may want, so that none is made during one.
pub fn prepare() {
    for clip in CLIPS {
        let _ = clip.file();
    }
}

/// The work of `seed`: `videos` jobs that must be committed, and some more that must fail, in the order in which they
/// are asked for: in bursts, with a silence in the middle. With `messages` there are messages that name nothing, or
/// twice the same.
#[must_use]
pub fn draw(seed: u64, videos: usize, messages: bool) -> Vec<Job> {
    let mut random = stream(seed, "work");
    let mut kinds: Vec<Kind> = (0..videos)
        .map(|_| if messages && random.u8(..100) < TWICE_PERCENT { Kind::ToldTwice } else { Kind::Video })
        .collect();
    let doomed: &[Kind] =
        if messages { &[Kind::NoVideo, Kind::NotThere, Kind::NoMessage] } else { &[Kind::NoVideo] };
    kinds.extend((0..(videos * DOOMED_PERCENT).div_ceil(100)).map(|number| doomed[number % doomed.len()]));
    random.shuffle(&mut kinds);
    let all = kinds.len();
    let (mut at, mut left_in_burst, mut jobs) = (0.0, 0_usize, Vec::with_capacity(all));
    for (number, kind) in kinds.into_iter().enumerate() {
        if left_in_burst == 0 {
            left_in_burst = random.usize(1..=(all / 6).max(2));
            if number > 0 {
                at += PACE * f64::from(u32::try_from(left_in_burst).unwrap()) * (0.5 + random.f64());
                if random.u8(..3) == 0 {
                    at += PAUSE.start + random.f64() * (PAUSE.end - PAUSE.start);
                }
            }
        }
        if number == all / 2 {
            at += LULL.as_secs_f64();
        }
        left_in_burst -= 1;
        at += random.f64() * 0.1;
        jobs.push(Job {
            at: Duration::from_secs_f64(at),
            name: format!("{number:03}.mp4"),
            kind,
            clip: random.usize(..CLIPS.len()),
        });
    }
    jobs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_always_asks_for_the_same() {
        let names = |seed| format!("{:?}", draw(seed, 50, true));
        assert_eq!(names(1), names(1));
        assert_ne!(names(1), names(2));
    }

    #[test]
    fn there_are_as_many_videos_as_asked_for_and_some_that_must_fail() {
        for seed in 0..20 {
            let work = draw(seed, 200, true);
            assert_eq!(work.iter().filter(|job| job.kind.is_video()).count(), 200);
            assert_eq!(work.len(), 210);
            assert!(work.is_sorted_by_key(|job| job.at));
            assert!(work.iter().any(|job| job.kind == Kind::ToldTwice));
            let pauses = work.windows(2).map(|two| two[1].at.saturating_sub(two[0].at));
            assert!(pauses.max() >= Some(LULL));
            assert!(draw(seed, 200, false).iter().all(|job| matches!(job.kind, Kind::Video | Kind::NoVideo)));
        }
    }
}
