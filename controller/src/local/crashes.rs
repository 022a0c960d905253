//! How soon a crashed worker is replaced: later after each crash, so that a fleet that cannot work does not burn the
//! machine with starting.

use reelpool_core::{Millis, Timestamp};

/// The delay after the first crash; it doubles with each further one.
const FIRST: Millis = Millis::from_secs(1);
/// The longest delay.
const LONGEST: Millis = Millis::from_secs(60);
/// A worker that has been up for so long was sound when it started.
pub const SOUND_AFTER: Millis = Millis::from_secs(60);

/// The crashes that still matter.
#[derive(Debug, Clone, Default)]
pub struct Crashes {
    in_a_row: u32,
    last: Option<Timestamp>,
    /// One for each crashed worker that may not be replaced yet: when it may.
    held_until: Vec<Timestamp>,
}

impl Crashes {
    /// A worker has crashed; returns after what time its place may be filled. One that `was_sound` has shown that workers
    /// can start and work: whatever ended it, its place waits for the shortest time, and it does not make others wait.
    pub fn crashed(&mut self, was_sound: bool, now: Timestamp) -> Millis {
        let in_a_row = if was_sound { 0 } else { self.in_a_row };
        let delay = Millis::new(FIRST.get().saturating_mul(1 << in_a_row.min(16))).min(LONGEST);
        if !was_sound {
            self.in_a_row = self.in_a_row.saturating_add(1);
            self.last = Some(now);
        }
        self.held_until.push(now.plus(delay));
        delay
    }

    /// A worker that was started at `started` has done a job, or has been up for [`SOUND_AFTER`]: when it is newer
    /// than the last crash, workers can start again, and the next crash is a first one.
    pub fn sound(&mut self, started: Timestamp) {
        if self.last.is_none_or(|last| started >= last) {
            self.in_a_row = 0;
        }
    }

    /// How many of `wanted` new workers may be started now.
    pub fn allowed(&mut self, wanted: u32, now: Timestamp) -> u32 {
        self.held_until.retain(|until| *until > now);
        wanted.saturating_sub(u32::try_from(self.held_until.len()).unwrap_or(u32::MAX))
    }

    /// After what time the next place may be filled; `None`: none is held.
    #[must_use]
    pub fn next(&self, now: Timestamp) -> Option<Millis> {
        self.held_until.iter().map(|until| until.since(now)).filter(|left| *left > Millis::ZERO).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    #[test]
    fn the_delay_grows_to_a_minute_and_a_sound_worker_resets_it() {
        let mut crashes = Crashes::default();
        let delays: Vec<u64> = (0..9).map(|_| crashes.crashed(false, at(0)).get() / 1000).collect();
        assert_eq!(delays, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        crashes.sound(at(-1));
        assert_eq!(crashes.crashed(false, at(1)), LONGEST, "a worker older than the crashes proves nothing");
        crashes.sound(at(2));
        assert_eq!(crashes.crashed(false, at(3)), FIRST);
    }

    #[test]
    fn a_worker_that_had_worked_is_replaced_soon_however_often_that_happens() {
        let mut crashes = Crashes::default();
        let delays: Vec<Millis> = (0..9).map(|_| crashes.crashed(true, at(0))).collect();
        assert_eq!(delays, [FIRST; 9]);
        assert_eq!(crashes.crashed(false, at(0)), FIRST, "nor do those count against others");
    }

    #[test]
    fn only_the_crashed_workers_places_wait() {
        let mut crashes = Crashes::default();
        crashes.crashed(false, at(0));
        assert_eq!(crashes.allowed(3, at(0)), 2, "two are wanted for other reasons");
        assert_eq!(crashes.allowed(1, at(0)), 0);
        assert_eq!(crashes.next(at(0)), Some(FIRST));
        assert_eq!(crashes.allowed(1, at(1)), 1);
        assert_eq!(crashes.next(at(1)), None);
    }
}
