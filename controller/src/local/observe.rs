//! Reads the world: the length of the queue and the workers' own words. Nothing is written here and nothing chosen.

use std::sync::Arc;
use std::time::Duration;

use reelpool_core::policy::expected_start_up;
use reelpool_core::{Observation, QueueDepth, Sample, Timestamp, WorkerId};
use reelpool_protocol::WorkerStatus;

use super::fleet::LocalFleet;
use crate::clock::Clock;
use crate::fleet::{Ask, FleetClient, Question};
use crate::queue::{QueueError, QueueLength};

/// Reads the world.
pub struct Observer {
    queue: Arc<dyn QueueLength>,
    client: FleetClient,
    clock: Clock,
    last: Option<Sample<QueueDepth>>,
}

/// What was read, before it is put together with what is known.
#[derive(Debug)]
pub struct Seen {
    queue: Sample<QueueDepth>,
    workers: WorkersSeen,
}

/// What the workers said.
#[derive(Debug)]
pub struct WorkersSeen {
    answers: Vec<(WorkerId, Option<WorkerStatus>)>,
    /// Those that have not told their address yet, so that they could not be asked.
    without_address: Vec<WorkerId>,
    /// When they were asked. Answers count from then, whenever they came: a drain may hold for less than is thought,
    /// never for longer.
    asked_at: Timestamp,
}

impl Observer {
    /// An observer of this queue and, through `client`, of the workers.
    #[must_use]
    pub fn new(queue: Arc<dyn QueueLength>, client: FleetClient, clock: Clock) -> Self {
        Self { queue, client, clock, last: None }
    }

    /// Looks at the queue for the first time.
    pub async fn first(&mut self, soon: Duration) -> Result<(), QueueError> {
        let observed_at = self.clock.now();
        let value = self.queue.depth(soon).await?;
        self.last = Some(Sample::Known { value, observed_at });
        Ok(())
    }

    /// Looks at everything at once. May be dropped half-way.
    pub async fn look(&self, fleet: &LocalFleet) -> Seen {
        let soon = expected_start_up(fleet.start_up_time()).into();
        let (queue, workers) = tokio::join!(self.look_at_queue(soon), self.look_at_workers(fleet));
        Seen { queue, workers }
    }

    /// Looks at the workers. May be dropped half-way.
    pub async fn look_at_workers(&self, fleet: &LocalFleet) -> WorkersSeen {
        let questions: Vec<_> = fleet
            .addresses()
            .into_iter()
            .map(|(id, address)| Ask::new(id, address, Question::Status))
            .collect();
        let without_address = fleet.without_address();
        let asked_at = self.clock.now();
        let answers = self.client.ask_all(questions).await;
        let answers = answers
            .into_iter()
            .map(|(id, answer)| {
                let answer = answer.inspect_err(|error| tracing::debug!(worker = %id, %error, "no answer"));
                (id, answer.ok())
            })
            .collect();
        WorkersSeen { answers, without_address, asked_at }
    }

    async fn look_at_queue(&self, soon: Duration) -> Sample<QueueDepth> {
        let now = self.clock.now();
        match &self.last {
            Some(sample @ Sample::Known { observed_at, .. })
                if Duration::from(now.since(*observed_at)) < self.queue.shortest_interval() =>
            {
                return sample.clone();
            }
            _ => {}
        }
        match self.queue.depth(soon).await {
            // A slow answer may be as old as its question.
            Ok(value) => Sample::Known { value, observed_at: now },
            Err(error) => {
                let since = match &self.last {
                    Some(Sample::Missing { since, .. }) => *since,
                    _ => now,
                };
                Sample::Missing { cause: error.to_string(), since }
            }
        }
    }

    /// Puts together what was read and what is known. Returns the observation and the jobs that have begun.
    pub fn take(
        &mut self,
        seen: Seen,
        fleet: &mut LocalFleet,
    ) -> (Observation, Vec<(WorkerId, reelpool_protocol::Source)>) {
        let missing = |sample: &Sample<QueueDepth>| matches!(sample, Sample::Missing { .. });
        if let Sample::Missing { cause, .. } = &seen.queue
            && !self.last.as_ref().is_some_and(missing)
        {
            tracing::warn!("the queue's length is not known, so the fleet does not shrink: {cause}");
        }
        self.last = Some(seen.queue.clone());
        let asked_at = seen.workers.asked_at;
        let begun = self.take_workers(seen.workers, fleet);
        let observation = Observation {
            queue: seen.queue,
            workers: Sample::Known { value: fleet.observations(), observed_at: asked_at },
            current: fleet.current(),
            service_time: fleet.service_time(),
            start_up_time: fleet.start_up_time(),
        };
        (observation, begun)
    }

    /// Takes what the workers said. Returns the jobs that have begun.
    pub fn take_workers(
        &self,
        seen: WorkersSeen,
        fleet: &mut LocalFleet,
    ) -> Vec<(WorkerId, reelpool_protocol::Source)> {
        let now = self.clock.now();
        for id in seen.without_address {
            // It may have told its address while the others were asked.
            if fleet.get_mut(&id).is_some_and(|member| member.address.is_none()) {
                fleet.silent(&id, now);
            }
        }
        let mut begun = Vec::new();
        for (id, answer) in seen.answers {
            match answer {
                Some(status) => begun.extend(fleet.answered(&id, status, seen.asked_at).map(|job| (id, job))),
                None => fleet.silent(&id, now),
            }
        }
        begun
    }
}

#[cfg(test)]
#[path = "observe_tests.rs"]
mod tests;
