//! Who leads: what a candidate does about the lease it sees. Pure; it is told the time.
//!
//! Why there are never two leaders. A leader counts its time from the moment *before* it sent the write that renewed
//! the lease, and stops at the end of [`Timing::renew`]. The write reached the API server after that moment, and others
//! saw it later still; each waits the whole [`Timing::lease`] from when it saw it, by its own clock. So no two clocks
//! are ever compared, only how fast they run: the leader has stopped before the first other begins as long as no clock
//! runs faster than another by `lease / renew` (15 s to 10 s: half as fast again). What is left of the five seconds is
//! for writes that the leader had sent before it stopped. Every write to the lease names the version it was made from,
//! so that of two candidates that act on the same sight of it, one is refused.
//!
//! It holds as long as nobody else writes the lease. One that is deleted by hand is left to its leader by all who had
//! seen it; a process that begins right then has not, and takes it at once.

use std::time::Duration;

use super::error::LeaseError;
use super::moment::Moment;

/// How long a lease lasts and how often it is renewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    lease: u32,
    renew: Duration,
    retry: Duration,
}

impl Default for Timing {
    /// Kubernetes' own: 15 s, 10 s, 2 s.
    fn default() -> Self {
        Self { lease: 15, renew: Duration::from_secs(10), retry: Duration::from_secs(2) }
    }
}

impl Timing {
    /// Others wait `lease` seconds after the last sign of a leader, a leader that could not renew for `renew` has lost,
    /// and either looks again every `retry`.
    pub fn new(lease: u32, renew: Duration, retry: Duration) -> Result<Self, LeaseError> {
        let spare = renew.saturating_add(renew / 4);
        if renew.is_zero()
            || retry.is_zero()
            || spare > Duration::from_secs(lease.into())
            || retry * 2 > renew
        {
            return Err(LeaseError::Timing { lease, renew, retry });
        }
        Ok(Self { lease, renew, retry })
    }

    /// Times that nobody checks, to show what comes of wrong ones.
    #[cfg(test)]
    pub(super) fn unsound(lease: u32, renew: Duration, retry: Duration) -> Self {
        Self { lease, renew, retry }
    }

    /// For how long others wait after the last sign of a leader.
    #[must_use]
    pub fn lease(self) -> Duration {
        Duration::from_secs(self.lease.into())
    }

    /// The same as whole seconds, as the lease says it.
    #[must_use]
    pub fn lease_seconds(self) -> i32 {
        i32::try_from(self.lease).unwrap_or(i32::MAX)
    }

    /// After how long without a renewal a leader has lost.
    #[must_use]
    pub fn renew(self) -> Duration {
        self.renew
    }

    /// How often a candidate looks at the lease, and a leader renews it.
    #[must_use]
    pub fn retry(self) -> Duration {
        self.retry
    }

    /// The longest one call to the API server may take: three fit into the time in which a leader must renew.
    #[must_use]
    pub fn call(self) -> Duration {
        self.renew / 3
    }
}

/// What there is to know of a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseView {
    /// What changes with every write: the object's uid and resourceVersion.
    pub version: String,
    /// Who holds it; `None` when nobody does.
    pub holder: Option<String>,
    /// For how long its holder asks others to wait.
    pub duration: Option<Duration>,
    /// How often it has changed hands.
    pub transitions: i32,
}

/// The last change of the lease that a candidate saw, and when it saw it by its own clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// The version it had then; `None` when it was gone, though there was one before.
    pub version: Option<String>,
    /// For how long to wait from then.
    pub wait: Duration,
    /// When the change was seen.
    pub at: Moment,
}

/// What a candidate is to do about the lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Take it: write yourself as its holder.
    Acquire {
        /// How often it has changed hands, this time included.
        transitions: i32,
    },
    /// It is yours: write that you still hold it.
    Renew,
    /// It is another's: nothing can be done before then.
    Wait {
        /// When the other has lost it if nothing is heard from it.
        until: Moment,
    },
    /// You led, and do not any more: another holds it, or (`None`) you could not renew it in time.
    Lost {
        /// Who holds it.
        to: Option<String>,
    },
}

/// What `identity` is to do at `now` about the lease it sees (`None`: there is none).
///
/// `observed` is the last change seen, this sight included; `leads_until` is the end of its own time when it leads.
#[must_use]
pub fn evaluate(
    lease: Option<&LeaseView>,
    identity: &str,
    observed: Option<&Observed>,
    leads_until: Option<Moment>,
    now: Moment,
) -> Step {
    let holder = lease.and_then(|lease| lease.holder.as_deref());
    if let Some(until) = leads_until {
        if now >= until {
            return Step::Lost { to: None };
        }
        if let Some(other) = holder.filter(|holder| *holder != identity) {
            return Step::Lost { to: Some(other.to_owned()) };
        }
    }
    // Also a write whose answer was lost: nobody else has this identity.
    if holder == Some(identity) {
        return Step::Renew;
    }
    // One that is gone is still its holder's: it does not know yet, and may put it back.
    let held = holder.is_some() || (lease.is_none() && leads_until.is_none());
    if let Some(seen) = observed.filter(|_| held) {
        let until = seen.at.plus(seen.wait);
        if now < until {
            return Step::Wait { until };
        }
    }
    Step::Acquire { transitions: lease.map_or(0, |lease| lease.transitions.saturating_add(1)) }
}

/// A candidate and what it remembers.
#[derive(Debug, Clone)]
pub struct Candidate {
    identity: String,
    timing: Timing,
    observed: Option<Observed>,
    leads_until: Option<Moment>,
}

impl Candidate {
    /// One that has seen nothing yet. No other may ever have the same identity.
    #[must_use]
    pub fn new(identity: String, timing: Timing) -> Self {
        Self { identity, timing, observed: None, leads_until: None }
    }

    /// Its name in the lease.
    #[must_use]
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// The last change of the lease that it saw.
    #[must_use]
    pub fn observed(&self) -> Option<&Observed> {
        self.observed.as_ref()
    }

    /// Until when it leads, if nothing else happens; `None` when it never did.
    #[must_use]
    pub fn leads_until(&self) -> Option<Moment> {
        self.leads_until
    }

    /// Whether it leads at `now`.
    #[must_use]
    pub fn leads(&self, now: Moment) -> bool {
        self.leads_until.is_some_and(|until| now < until)
    }

    /// It sees `lease` at `now`: what it is to do.
    pub fn look(&mut self, lease: Option<&LeaseView>, now: Moment) -> Step {
        self.observe(lease, now);
        evaluate(lease, &self.identity, self.observed.as_ref(), self.leads_until, now)
    }

    /// Its write of the lease, sent at `asked_at`, was accepted; it hears of that at `now`.
    pub fn wrote(&mut self, written: &LeaseView, asked_at: Moment, now: Moment) {
        self.observe(Some(written), now);
        let until = asked_at.plus(self.timing.renew);
        let lost = self.leads_until.is_some_and(|until| now >= until);
        // What was lost stays lost; and an answer that comes too late makes nobody a leader.
        if !lost && now < until {
            self.leads_until = Some(until);
        }
    }

    /// Notes when the lease was seen to change.
    fn observe(&mut self, lease: Option<&LeaseView>, now: Moment) {
        let version = lease.map(|lease| lease.version.clone());
        let wait = match (lease, &self.observed) {
            (None, None) => return,
            (_, Some(seen)) if seen.version == version => return,
            // Even if it was free when last seen: another may have taken it since, before it was deleted.
            (None, Some(seen)) => seen.wait.max(self.timing.lease()),
            (Some(LeaseView { holder: None, .. }), _) => Duration::ZERO,
            // Another version of this program may hold it with a longer time.
            (Some(lease), _) => lease.duration.unwrap_or_default().max(self.timing.lease()),
        };
        self.observed = Some(Observed { version, wait, at: now });
    }
}

#[cfg(test)]
#[path = "evaluate_tests.rs"]
mod tests;
