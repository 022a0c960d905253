//! The worker processes of this run: which there are, what each last said, and what they have taught us.

use std::net::SocketAddr;

use reelpool_core::{Millis, Timestamp, WorkerId, WorkerObservation, WorkerState};
use reelpool_protocol::{JobId, WorkerStatus};

use super::crashes::{Crashes, SOUND_AFTER};
use super::overdue::Silence;
use super::plan::KnownWorker;
use super::process::Process;
use crate::fleet::{Recent, Report, observation};

/// One worker process.
#[derive(Debug)]
pub struct Member {
    /// Its name.
    pub id: WorkerId,
    /// The process.
    pub process: Process,
    /// When it was started.
    pub started_at: Timestamp,
    /// Where it answers; `None` until it says so.
    pub address: Option<SocketAddr>,
    /// Its last word.
    pub report: Option<Report>,
    /// For how long it gives no answer; `None` while it does, and before it was first asked.
    pub silence: Option<Silence>,
    /// When it was told to stop; `None`: it was not.
    pub stopping_since: Option<Timestamp>,
    /// Whether it was killed because nothing else would have freed its place.
    pub killed: bool,
    /// The job it was last seen with.
    pub job: Option<(JobId, String)>,
    /// Whether it has done a job, or was up for long: it could start, and work.
    pub was_sound: bool,
}

/// The worker processes of this run.
#[derive(Debug)]
pub struct LocalFleet {
    /// What the names of this run's workers begin with.
    run: String,
    started: u32,
    /// All that have not ended, in the order in which they were started.
    pub members: Vec<Member>,
    /// How soon crashed workers are replaced.
    pub crashes: Crashes,
    /// Whether any worker of this run has ever been ready.
    pub any_was_ready: bool,
    service_times: Recent,
    start_up_times: Recent,
}

impl LocalFleet {
    /// No workers yet; names will begin with `run`.
    #[must_use]
    pub fn new(run: String) -> Self {
        Self {
            run,
            started: 0,
            members: Vec::new(),
            crashes: Crashes::default(),
            any_was_ready: false,
            service_times: Recent::default(),
            start_up_times: Recent::default(),
        }
    }

    /// A name that no worker has had.
    pub fn next_id(&mut self) -> WorkerId {
        self.started = self.started.saturating_add(1);
        WorkerId::from(format!("w{}-{}", self.run, self.started))
    }

    /// Takes a worker that has just been started.
    pub fn add(&mut self, id: WorkerId, process: Process, now: Timestamp) {
        self.members.push(Member {
            id,
            process,
            started_at: now,
            address: None,
            report: None,
            silence: None,
            stopping_since: None,
            killed: false,
            job: None,
            was_sound: false,
        });
    }

    /// The worker of this name, unless it has ended.
    pub fn get_mut(&mut self, id: &WorkerId) -> Option<&mut Member> {
        self.members.iter_mut().find(|member| member.id == *id)
    }

    /// Takes the end of a worker.
    pub fn remove(&mut self, id: &WorkerId) -> Option<Member> {
        let at = self.members.iter().position(|member| member.id == *id)?;
        Some(self.members.remove(at))
    }

    /// The workers that count: started, not ended, and not being stopped.
    pub fn serving(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|member| member.stopping_since.is_none())
    }

    /// How many workers count.
    #[must_use]
    pub fn current(&self) -> u32 {
        u32::try_from(self.serving().count()).unwrap_or(u32::MAX)
    }

    /// Where to ask whom.
    #[must_use]
    pub fn addresses(&self) -> Vec<(WorkerId, SocketAddr)> {
        self.members.iter().filter_map(|member| Some((member.id.clone(), member.address?))).collect()
    }

    /// The workers that cannot be asked yet.
    #[must_use]
    pub fn without_address(&self) -> Vec<WorkerId> {
        self.members
            .iter()
            .filter(|member| member.address.is_none())
            .map(|member| member.id.clone())
            .collect()
    }

    /// Takes that a worker gave no answer.
    pub fn silent(&mut self, id: &WorkerId, now: Timestamp) {
        if let Some(member) = self.get_mut(id) {
            let silence = member.silence.get_or_insert(Silence { since: now, questions: 0 });
            silence.questions = silence.questions.saturating_add(1);
        }
    }

    /// Takes a worker's answer to what it was asked at `asked_at`. Returns the job it has begun, if it was not known
    /// to have it.
    pub fn answered(
        &mut self,
        id: &WorkerId,
        status: WorkerStatus,
        asked_at: Timestamp,
    ) -> Option<reelpool_protocol::Source> {
        if asked_at.since(self.get_mut(id)?.started_at) >= SOUND_AFTER {
            self.is_sound(id);
        }
        let start_up = status.start_up_ms.map(Millis::new);
        let member = self.get_mut(id)?;
        let known_before = member.report.as_ref().is_some_and(|report| report.status.start_up_ms.is_some());
        let job = status.jobs.first().map(|job| (job.job_id, job.attempt.clone()));
        let begun = status.jobs.first().filter(|_| job != member.job).map(|job| job.source.clone());
        if job.is_some() {
            member.job = job;
        }
        member.silence = None;
        member.report = Some(Report { status, asked_at });
        if let Some(start_up) = start_up.filter(|_| !known_before) {
            self.start_up_times.add(start_up);
        }
        begun
    }

    /// A worker has dealt with a job.
    pub fn did_a_job(&mut self, id: &WorkerId) {
        self.is_sound(id);
    }

    fn is_sound(&mut self, id: &WorkerId) {
        if let Some(member) = self.get_mut(id) {
            member.was_sound = true;
            let started_at = member.started_at;
            self.crashes.sound(started_at);
        }
    }

    /// A job was committed that had been held for so long.
    pub fn measured(&mut self, held_for: Millis) {
        self.service_times.add(held_for);
    }

    /// How long a job takes here; `None` until one was done.
    #[must_use]
    pub fn service_time(&self) -> Option<Millis> {
        self.service_times.mean()
    }

    /// How long a worker takes to start here; `None` until one has.
    #[must_use]
    pub fn start_up_time(&self) -> Option<Millis> {
        self.start_up_times.mean()
    }

    /// What each worker that counts is doing, for the core.
    #[must_use]
    pub fn observations(&self) -> Vec<WorkerObservation> {
        self.serving().map(Member::observe).collect()
    }

    /// What each worker that counts is doing, for the plan.
    #[must_use]
    pub fn known(&self, now: Timestamp) -> Vec<KnownWorker> {
        let known = |member: &Member| KnownWorker {
            id: member.id.clone(),
            state: member.observe().state,
            drain_left: member.report.as_ref().and_then(|report| report.drain_left(now)),
        };
        self.serving().map(known).collect()
    }
}

impl Member {
    /// What it is doing.
    #[must_use]
    pub fn observe(&self) -> WorkerObservation {
        match (&self.report, self.silence, self.address) {
            (_, Some(silence), Some(_)) => observation(&self.id, Err(silence.since)),
            (Some(report), _, _) => observation(&self.id, Ok(report)),
            // It was not asked yet; nobody is stopped on the ground of this.
            (None, _, _) => WorkerObservation {
                id: self.id.clone(),
                state: WorkerState::Starting,
                since: self.started_at,
            },
        }
    }
}

#[cfg(test)]
#[path = "fleet_tests.rs"]
mod tests;
