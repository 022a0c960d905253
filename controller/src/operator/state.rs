//! What the operator knows of one pool between two passes. All of it may be lost: it makes the next passes more
//! careful, never less.

use reelpool_api::WorkerPoolStatus;
use reelpool_core::{Limit, Memory, Millis, QueueDepth, Reason, Sample, Timestamp};

use super::backoff::Backoff;
use super::condemned::Condemned;
use super::contest::Contest;
use super::deployment::{DeploymentView, is_later};
use super::marks::Marks;
use super::members::Members;
use super::observe::Written;
use super::plan::Held;
use super::status::Finding;

/// What the operator knows of one pool.
#[derive(Debug, Default)]
pub struct PoolState {
    /// The identity of the pool: one that was deleted and made anew begins anew.
    pub uid: String,
    /// The memory of the decision.
    pub memory: Memory,
    /// The last look at the queue.
    pub queue: Option<Sample<QueueDepth>>,
    /// Whether the queue did not answer the last time.
    pub is_queue_silent: bool,
    /// The workers.
    pub members: Members,
    /// The Deployment as our own last write left it.
    pub written: Option<DeploymentView>,
    /// What was last applied to the Deployment.
    pub applied: Option<Applied>,
    /// Other writers of the number of replicas.
    pub contest: Contest,
    /// Those that the number was lowered for and that Kubernetes has not taken yet.
    pub condemned: Condemned,
    /// The marks that were written and are not seen yet.
    pub marks: Marks,
    /// What holds the number up, and since when.
    pub held: Option<(Held, Timestamp)>,
    /// What a worker said that would not be drained, and since when that is so.
    pub drain_refused: Option<(String, Timestamp)>,
    /// What was last wrong with the workers, and when it was so last.
    pub trouble: Option<(Finding, Timestamp)>,
    /// How often in a row a pass was hurried.
    pub hurried: u32,
    /// How often others changed the Deployment of late, and when it was last brought back.
    pub corrections: Corrections,
    /// What was last complained of in the log.
    pub complaint: Option<String>,
    /// The identity of the Deployment that `targetRef` names.
    pub target_uid: Option<String>,
    /// The last decision, as far as another one would be told.
    pub told: Option<(u32, Reason, Vec<Limit>)>,
    /// The status as it was written last, and when.
    pub status: Option<(WorkerPoolStatus, Timestamp)>,
    /// The version of the pool that this write left.
    pub version: Option<String>,
    /// Whether the pool was ready when that was told last.
    pub was_ready: Option<bool>,
    /// How long to wait after failures of the API server.
    pub backoff: Backoff,
    /// How long to wait after failures of the queue.
    pub queue_backoff: Backoff,
    /// The generation of the spec of the last pass.
    pub generation: Option<i64>,
}

/// What was applied to a Deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Applied {
    /// A hash of what was to be.
    pub hash: u64,
    /// The Deployment's generation after that. Any other means that somebody has changed it.
    pub generation: i64,
}

/// What others change of a Deployment is brought back, but not without end at once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Corrections {
    count: u32,
    last: Timestamp,
}

impl Corrections {
    /// So many are made at once.
    const AT_ONCE: u32 = 10;
    /// Then one in this time, until nobody changes anything for twice as long.
    const EVERY: Millis = Millis::from_secs(30);

    /// Whether one may be made now.
    #[must_use]
    pub fn may_be_made(&self, now: Timestamp) -> bool {
        self.count < Self::AT_ONCE || now.since(self.last) >= Self::EVERY
    }

    /// One was made.
    pub fn made(&mut self, now: Timestamp) {
        let calm = now.since(self.last) >= Self::EVERY.plus(Self::EVERY);
        *self = Self { count: if calm { 1 } else { self.count.saturating_add(1) }, last: now };
    }
}

impl PoolState {
    /// Takes the depth of the queue, or why it is not known. Missing counts from when it was first missed.
    pub fn take_queue(
        &mut self,
        answer: Result<QueueDepth, String>,
        asked_at: Timestamp,
    ) -> Sample<QueueDepth> {
        let sample = match answer {
            Ok(value) => Sample::Known { value, observed_at: asked_at },
            Err(cause) => {
                let since = match &self.queue {
                    Some(Sample::Missing { since, .. }) => *since,
                    _ => asked_at,
                };
                Sample::Missing { cause, since }
            }
        };
        self.queue = Some(sample.clone());
        sample
    }

    /// Our own last write to the Deployment, for whoever reads it next.
    #[must_use]
    pub fn last_write(&self) -> Written<'_> {
        match &self.written {
            _ if self.condemned.is_unsure() => Written::Unsure,
            Some(view) => Written::This(view),
            None => Written::Nothing,
        }
    }

    /// Begins anew with a target that is another Deployment than the one before, though of the same name.
    pub fn follow_target(&mut self, uid: &str) {
        if self.target_uid.as_deref() != Some(uid) {
            self.target_uid = Some(uid.to_owned());
            self.contest = Contest::default();
            self.condemned.clear();
            self.written = None;
        }
    }

    /// For how long this has held the number up.
    pub fn held_for(&mut self, held: Option<Held>, now: Timestamp) -> Option<(Held, Millis)> {
        self.held = held.map(|held| match self.held {
            Some((before, since)) if before == held => (held, since),
            _ => (held, now),
        });
        self.held.map(|(held, since)| (held, now.since(since)))
    }

    /// The version of the pool that was last seen, when `read` is what was read of it: our own write may be later.
    #[must_use]
    pub fn version_after<'a>(&'a self, read: &'a str) -> &'a str {
        self.version.as_deref().filter(|own| is_later(own, read)).unwrap_or(read)
    }

    /// For how long the status has been as it is.
    #[must_use]
    pub fn status_age(&self, now: Timestamp) -> Option<Millis> {
        self.status.as_ref().map(|(_, at)| now.since(*at))
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
