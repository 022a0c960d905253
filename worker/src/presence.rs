//! What a worker is doing, and whether it may take a job: the worker's side of drain-first scale-in.
//!
//! A pure state machine; `now` is told. A worker is *drained* only when it asks the queue for nothing, so a message
//! that an outstanding receive still brings makes it busy, and that drain is void.

use std::time::Duration;

use reelpool_protocol::WorkerState;
use tokio::time::Instant;

/// What the worker is doing about the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Starting,
    /// It has nothing in hand and asks for nothing at this moment.
    Waiting,
    /// A receive is outstanding.
    Receiving,
    Busy,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Drain {
    Until(Instant),
    /// The process is shutting down.
    Final,
}

/// A worker's presence in its fleet.
#[derive(Debug, Clone)]
pub struct Presence {
    started: Instant,
    phase: Phase,
    /// Since when the worker has had nothing in hand, or has had its job.
    since: Instant,
    drain: Option<(Drain, Instant)>,
    start_up: Option<Duration>,
}

/// A drain was asked of a worker that has a job: it is void.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BusyNow;

impl Presence {
    /// A worker whose process started at `started`.
    #[must_use]
    pub fn new(started: Instant) -> Self {
        Self { started, phase: Phase::Starting, since: started, drain: None, start_up: None }
    }

    fn draining(&self, now: Instant) -> Option<(Drain, Instant)> {
        self.drain.filter(|(drain, _)| match drain {
            Drain::Until(end) => now < *end,
            Drain::Final => true,
        })
    }

    /// Asks to receive; when the answer is yes, a receive is outstanding until [`Self::received`].
    pub fn begin_receive(&mut self, now: Instant) -> bool {
        if self.draining(now).is_some() {
            if self.phase == Phase::Starting {
                self.phase = Phase::Waiting;
            }
            return false;
        }
        if self.start_up.is_none() {
            self.start_up = Some(now.saturating_duration_since(self.started));
            self.since = now;
        }
        self.phase = Phase::Receiving;
        true
    }

    /// The outstanding receive ended, with or without a message.
    pub fn received(&mut self, now: Instant, message: bool) {
        if message {
            self.phase = Phase::Busy;
            self.since = now;
            if matches!(self.drain, Some((Drain::Until(_), _))) {
                self.drain = None;
            }
        } else {
            self.phase = Phase::Waiting;
        }
    }

    /// The message in hand is settled.
    pub fn settled(&mut self, now: Instant) {
        self.phase = Phase::Waiting;
        self.since = now;
    }

    /// Takes no new job for `term`, unless a job is in hand. Asking again renews the term, and never shortens what was
    /// asked before: who asks for less may not know that the number of workers was lowered for this one.
    ///
    /// # Errors
    /// [`BusyNow`] when a job is in hand.
    pub fn drain(&mut self, now: Instant, term: Duration) -> Result<(), BusyNow> {
        if self.phase == Phase::Busy {
            return Err(BusyNow);
        }
        let end = now + term;
        self.drain = Some(match self.draining(now) {
            None => (Drain::Until(end), now),
            Some((Drain::Until(before), since)) => (Drain::Until(before.max(end)), since),
            Some(last) => last,
        });
        Ok(())
    }

    /// Takes jobs again, unless the process is shutting down.
    pub fn undrain(&mut self) {
        if !matches!(self.drain, Some((Drain::Final, _))) {
            self.drain = None;
        }
    }

    /// Takes no new job any more.
    pub fn shut_down(&mut self, now: Instant) {
        let since = self.draining(now).map_or(now, |(_, since)| since);
        self.drain = Some((Drain::Final, since));
    }

    /// What it is doing and for how long.
    #[must_use]
    pub fn state(&self, now: Instant) -> (WorkerState, Duration) {
        let (state, since) = match (self.draining(now), self.phase) {
            (Some((_, since)), _) => (WorkerState::Draining, since),
            (None, Phase::Starting) => (WorkerState::Starting, self.started),
            (None, Phase::Busy) => (WorkerState::Busy, self.since),
            (None, Phase::Waiting | Phase::Receiving) => (WorkerState::Idle, self.since),
        };
        (state, now.saturating_duration_since(since))
    }

    /// Whether it may be removed: it drains, has nothing in hand, and no receive is outstanding.
    #[must_use]
    pub fn is_drained(&self, now: Instant) -> bool {
        self.draining(now).is_some() && matches!(self.phase, Phase::Waiting | Phase::Starting)
    }

    /// For how much longer the drain holds; `None` when there is none or it is final.
    #[must_use]
    pub fn drain_lapses_in(&self, now: Instant) -> Option<Duration> {
        match self.draining(now) {
            Some((Drain::Until(end), _)) => Some(end.saturating_duration_since(now)),
            _ => None,
        }
    }

    /// How long it took from the start of the process to the first receive.
    #[must_use]
    pub fn start_up(&self) -> Option<Duration> {
        self.start_up
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERM: Duration = Duration::from_secs(10);

    fn idle(now: Instant) -> Presence {
        let mut presence = Presence::new(now);
        assert!(presence.begin_receive(now));
        presence.received(now, false);
        presence
    }

    #[test]
    fn a_drained_worker_takes_nothing_until_the_drain_lapses() {
        let now = Instant::now();
        let mut worker = idle(now);
        worker.drain(now, TERM).unwrap();
        assert!(worker.is_drained(now));
        assert!(!worker.begin_receive(now + TERM / 2));
        assert_eq!(worker.drain_lapses_in(now + TERM / 2), Some(TERM / 2));
        assert!(!worker.is_drained(now + TERM));
        assert!(worker.begin_receive(now + TERM));
    }

    #[test]
    fn while_a_receive_is_outstanding_no_worker_is_drained() {
        let now = Instant::now();
        let mut worker = idle(now);
        assert!(worker.begin_receive(now));
        worker.drain(now, TERM).unwrap();
        assert_eq!(worker.state(now).0, WorkerState::Draining);
        assert!(!worker.is_drained(now));
        worker.received(now, false);
        assert!(worker.is_drained(now));
    }

    #[test]
    fn a_message_that_still_arrives_makes_the_drain_void() {
        let now = Instant::now();
        let mut worker = idle(now);
        worker.begin_receive(now);
        worker.drain(now, TERM).unwrap();
        worker.received(now, true);
        assert_eq!(worker.state(now).0, WorkerState::Busy);
        assert!(!worker.is_drained(now));
        assert_eq!(worker.drain(now, TERM), Err(BusyNow));
        worker.settled(now);
        assert!(worker.begin_receive(now));
    }

    #[test]
    fn a_shorter_drain_does_not_shorten_a_longer_one() {
        let now = Instant::now();
        let mut worker = idle(now);
        worker.drain(now, TERM * 10).unwrap();
        worker.drain(now, TERM).unwrap();
        assert_eq!(worker.drain_lapses_in(now), Some(TERM * 10));
        worker.undrain();
        worker.drain(now, TERM).unwrap();
        assert_eq!(worker.drain_lapses_in(now), Some(TERM));
    }

    #[test]
    fn renewing_keeps_the_beginning_and_moves_the_end() {
        let now = Instant::now();
        let mut worker = idle(now);
        worker.drain(now, TERM).unwrap();
        let later = now + TERM / 2;
        worker.drain(later, TERM).unwrap();
        assert_eq!(worker.state(later), (WorkerState::Draining, TERM / 2));
        assert_eq!(worker.drain_lapses_in(later), Some(TERM));
        worker.undrain();
        // Idle since it was idle, not since the un-drain.
        assert_eq!(worker.state(later), (WorkerState::Idle, TERM / 2));
    }

    #[test]
    fn a_shutdown_is_final() {
        let now = Instant::now();
        let mut worker = idle(now);
        worker.shut_down(now);
        worker.undrain();
        worker.drain(now, Duration::ZERO).unwrap();
        assert!(!worker.begin_receive(now + TERM * 1000));
        assert!(worker.is_drained(now));
        assert_eq!(worker.drain_lapses_in(now), None);
    }
}
