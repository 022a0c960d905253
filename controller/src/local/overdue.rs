//! Which workers must be killed, because nothing else frees their place: those that were stopped and do not end, and
//! those that hang. Pure.

use reelpool_core::{Millis, Timestamp};

/// How much longer than its grace period a worker may take to end: it may have to wait for a receive, and to hand
/// its job back.
const BEYOND_GRACE: Millis = Millis::from_secs(60);
/// A worker is not taken to hang sooner, however short its holds are: the machine may be very busy.
const LEAST_SILENCE: Millis = Millis::from_secs(60);
/// So many questions in a row must have stayed without an answer: a pause of this process is not the worker's silence.
const LEAST_QUESTIONS: u32 = 3;

/// For how long workers are waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// How long a worker may go without an answer.
    pub silence: Millis,
    /// How long a worker may take to end that was told to stop.
    pub end: Millis,
}

impl Patience {
    /// With workers of this visibility timeout and grace period, in seconds.
    ///
    /// A worker that hangs last extended its hold before it fell silent, so after twice the visibility timeout it
    /// holds no message any more.
    #[must_use]
    pub fn new(visibility: u64, grace: u64) -> Self {
        let visibility = Millis::from_secs(visibility);
        Self {
            silence: visibility.plus(visibility).max(LEAST_SILENCE),
            end: Millis::from_secs(grace).plus(BEYOND_GRACE),
        }
    }

    /// Whether a worker must be killed. `stopping_since` is when it was told to stop, `silence` for how long it gives
    /// no answer; `None`: it was not, it does.
    #[must_use]
    pub fn judge(
        &self,
        stopping_since: Option<Timestamp>,
        silence: Option<Silence>,
        now: Timestamp,
    ) -> Option<Overdue> {
        if let Some(since) = stopping_since {
            let taken = now.since(since);
            return (taken > self.end).then_some(Overdue::DoesNotEnd(taken));
        }
        let silence = silence.filter(|silence| silence.questions >= LEAST_QUESTIONS)?;
        let length = now.since(silence.since);
        (length > self.silence).then_some(Overdue::Hangs(length))
    }
}

/// A worker gives no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Silence {
    /// When it was first known.
    pub since: Timestamp,
    /// How many questions in a row have stayed without an answer.
    pub questions: u32,
}

/// Why a worker must be killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overdue {
    /// It was told to stop so long ago and has not ended.
    DoesNotEnd(Millis),
    /// It has not answered for so long that it holds no message any more.
    Hangs(Millis),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(0).plus(Millis::from_secs(seconds))
    }

    #[test]
    fn patience_follows_the_workers_own_times() {
        let seconds = |visibility, grace| {
            let Patience { silence, end } = Patience::new(visibility, grace);
            (silence.get() / 1000, end.get() / 1000)
        };
        assert_eq!(seconds(30, 30), (60, 90));
        assert_eq!(seconds(120, 0), (240, 60));
        assert_eq!(seconds(3, 3_600), (60, 3_660), "short holds do not make it hasty");
        assert_eq!(Patience::new(u64::MAX, u64::MAX).end, Millis::new(u64::MAX));
    }

    #[test]
    fn who_must_be_killed() {
        let patience = Patience::new(120, 600);
        let silent = |seconds, questions| Some(Silence { since: at(seconds), questions });
        let hangs = |seconds| Some(Overdue::Hangs(Millis::from_secs(seconds)));
        for (name, stopping, silence, now, expected) in [
            ("it answers", None, None, 9_999, None),
            ("it may answer again", None, silent(10, 200), 250, None),
            ("its hold has run out", None, silent(10, 200), 251, hangs(241)),
            ("we did not ask for a while", None, silent(10, 2), 9_999, None),
            ("asked often enough", None, silent(10, 3), 9_999, hangs(9_989)),
            ("within its grace", Some(at(10)), None, 670, None),
            ("beyond its grace", Some(at(10)), None, 671, Some(Overdue::DoesNotEnd(Millis::from_secs(661)))),
            ("one that ends need not answer", Some(at(10)), silent(10, 200), 600, None),
            ("the clock was set back", None, silent(500, 9), 10, None),
        ] {
            assert_eq!(patience.judge(stopping, silence, at(now)), expected, "{name}");
        }
    }
}
