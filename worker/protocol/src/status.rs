//! What a worker says of itself at `GET /v1/status`, and the drain request it takes at `POST /v1/drain`.
//!
//! Times are ages ("for how long"), never instants: the two sides need no common clock.

use serde::{Deserialize, Serialize};

use crate::job::{JobId, Source};

/// The path of the status document.
pub const STATUS_PATH: &str = "/v1/status";
/// The path that takes a [`DrainRequest`] (POST) or lifts the drain (DELETE), with a bearer token.
pub const DRAIN_PATH: &str = "/v1/drain";
/// The longest term a drain may have, in seconds; longer ones are cut to it.
pub const MAX_DRAIN_TERM_SECONDS: u32 = 600;

/// What a worker is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WorkerState {
    /// It has not yet asked the queue for anything.
    Starting,
    /// It asks the queue for work and has none in hand.
    Idle,
    /// It has a message in hand.
    Busy,
    /// It has been told to take no new job. With none in hand it is drained.
    Draining,
}

/// A worker's status document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerStatus {
    /// The worker's name, unique in its fleet.
    pub worker: String,
    /// What it is doing. A worker that drains with a job still in hand says `draining` and lists the job.
    pub state: WorkerState,
    /// For how long it has been doing that, in milliseconds.
    pub state_for_ms: u64,
    /// Whether it is draining, has nothing in hand and no receive outstanding: it may be removed.
    pub drained: bool,
    /// For how much longer the drain holds before it lapses by itself, in milliseconds; `None` when not draining
    /// or when the drain is final because the process is shutting down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain_lapses_in_ms: Option<u64>,
    /// The jobs in hand; empty or one.
    pub jobs: Vec<JobStatus>,
    /// How long the process took from its start until it first asked the queue, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_up_ms: Option<u64>,
    /// What it has done since it started.
    pub totals: Totals,
}

/// A job in a worker's hand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobStatus {
    /// The job.
    pub job_id: JobId,
    /// The attempt.
    pub attempt: String,
    /// The master.
    pub source: Source,
    /// How far the job is.
    pub stage: Stage,
    /// Part of the master that is transcoded, in thousandths (0 to 1000).
    pub permille: u32,
    /// Seconds of video transcoded in a second, in thousandths; `None` until known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speed_milli: Option<u64>,
    /// Estimated time until the transcode ends, in milliseconds; `None` until known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_ms: Option<u64>,
    /// For how long the job has been in hand, in milliseconds.
    pub held_for_ms: u64,
}

/// How far a job in hand is; one for each step of a job's life that takes time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Looking whether someone has finished it already, or is at it.
    Claiming,
    /// Fetching the master.
    Fetching,
    /// Looking into the master.
    Probing,
    /// ffmpeg runs.
    Transcoding,
    /// Publishing the renditions.
    Publishing,
    /// Writing the manifest and deleting the message.
    Committing,
}

/// Counters since the worker started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Jobs committed by this worker.
    pub committed: u64,
    /// Jobs found already done.
    pub already_done: u64,
    /// Attempts that will be tried again.
    pub retried: u64,
    /// Jobs given up for good.
    pub failed: u64,
    /// Jobs handed back.
    pub handed_back: u64,
    /// Jobs left alone because another worker was at them.
    #[serde(default)]
    pub claimed_elsewhere: u64,
    /// Wall time of the committed jobs from receive to delete, in milliseconds, summed.
    pub committed_ms: u64,
}

/// Asks a worker to take no new job for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrainRequest {
    /// For how long, in seconds, at most [`MAX_DRAIN_TERM_SECONDS`]. The drain lapses by itself, so that a
    /// controller that dies leaves no worker asleep; asking again renews it.
    pub term_seconds: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_in_the_readme_is_one() {
        let readme = include_str!("../../../README.md");
        let example = readme.split("```json\n").filter_map(|rest| rest.split("```").next());
        let example = example.into_iter().find(|json| json.starts_with("{\"worker\"")).unwrap();
        let status: WorkerStatus = serde_json::from_str(example).unwrap();
        assert!(status.drained && status.drain_lapses_in_ms.is_some(), "{status:?}");
    }
}
