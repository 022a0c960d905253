//! What a worker tells its parent process: one JSON document a line on standard output.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::job::{JobId, Source};
use crate::manifest::Rendition;

/// Something that happened in a worker, told once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum WorkerEvent {
    /// The status server listens.
    Listening {
        /// Its address.
        address: SocketAddr,
    },
    /// A job has ended in this worker's hand.
    JobEnded {
        /// The job; `None` where the message named no job that could be read.
        job_id: Option<JobId>,
        /// The master; `None` where the message named none that could be read.
        source: Option<Source>,
        /// How it ended.
        outcome: Outcome,
        /// For how long it was in hand, in milliseconds.
        held_for_ms: u64,
    },
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// This attempt's outputs are the outputs.
    Committed {
        /// Them.
        renditions: Vec<Rendition>,
        /// What a person should know of them.
        warnings: Vec<String>,
    },
    /// Someone else had finished the job.
    AlreadyDone,
    /// It will be tried again.
    Retried {
        /// A stable category, such as `store_unavailable`.
        reason: String,
        /// What went wrong, for a person.
        detail: String,
        /// When it will be offered again, in milliseconds from now.
        delay_ms: u64,
    },
    /// It was given up for good and lies in the dead-letter queue.
    Failed {
        /// A stable category, such as `no_video`.
        reason: String,
        /// What is wrong and what to do, for a person.
        detail: String,
    },
    /// It was handed back because the worker shuts down.
    HandedBack,
    /// The hold was lost: someone else may have the job.
    HoldLost,
    /// Another worker is at it; its message comes back later, to see whether it was done.
    ClaimedElsewhere,
}
