//! What the worker's container is told, as variables of its environment.
//!
//! One table for what is set and what users may therefore not set themselves.

use k8s_openapi::api::core::v1::{EnvVar, EnvVarSource, ObjectFieldSelector};
use reelpool_api::worker::Preset;
use reelpool_protocol::Ladder;

use super::pods::STATUS_PORT;
use super::validate::{ValidPool, WorkerSettings};

/// Where the worker's scratch folder is mounted.
pub const SCRATCH: &str = "/scratch";
/// So many seconds before Kubernetes kills a worker it gives its job up by itself: time to hand the message back and
/// to take away what it has uploaded.
const MARGIN: u32 = 15;
/// The worker's name is its pod's.
const WORKER_ID: &str = "REELPOOL_WORKER_ID";

/// A variable, where its value comes from, and how it is made; `None`: it is left out, and the worker's own default
/// holds.
type Variable = (&'static str, Origin, fn(&ValidPool, &WorkerSettings) -> Option<String>);

/// Where a value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A field of the pool: users set that.
    Field(&'static str),
    /// An option of the operator.
    Option(&'static str),
    /// Reelpool itself.
    Reelpool,
}

const VARIABLES: [Variable; 15] = [
    ("REELPOOL_QUEUE_URL", Origin::Field("spec.queue.sqs.queueURL"), |pool, _| Some(pool.queue_url.clone())),
    ("REELPOOL_MASTERS", Origin::Field("spec.masters.url"), |_, worker| Some(worker.masters.to_string())),
    ("REELPOOL_OUTPUT", Origin::Field("spec.output.url"), |_, worker| Some(worker.output.to_string())),
    ("REELPOOL_DEAD_LETTER_QUEUE_URL", Origin::Field("spec.queue.sqs.deadLetterQueueURL"), |_, worker| {
        worker.dead_letter_queue_url.clone()
    }),
    ("REELPOOL_ENDPOINT_URL", Origin::Option("--endpoint-url"), |_, worker| worker.endpoint_url.clone()),
    ("REELPOOL_LADDER", Origin::Field("spec.ladder"), |_, worker| {
        worker.ladder.as_ref().map(Ladder::to_string)
    }),
    ("REELPOOL_PROFILE", Origin::Field("spec.profile"), |_, worker| worker.profile.clone()),
    ("REELPOOL_PRESET", Origin::Field("spec.worker.preset"), |_, worker| {
        worker.preset.map(|preset| Preset::as_str(preset).to_owned())
    }),
    ("REELPOOL_VISIBILITY_TIMEOUT", Origin::Field("spec.worker.visibilityTimeoutSeconds"), |_, worker| {
        Some(worker.visibility_timeout.to_string())
    }),
    ("REELPOOL_MAX_ATTEMPTS", Origin::Field("spec.worker.maxAttempts"), |_, worker| {
        Some(worker.max_attempts.to_string())
    }),
    ("REELPOOL_GRACE", Origin::Field("spec.worker.gracePeriodSeconds"), |_, worker| {
        Some(worker.grace_period.saturating_sub(MARGIN).to_string())
    }),
    ("REELPOOL_SCRATCH", Origin::Reelpool, |_, _| Some(SCRATCH.to_owned())),
    // Every address, of both families.
    ("REELPOOL_LISTEN", Origin::Reelpool, |_, _| Some(format!("[::]:{STATUS_PORT}"))),
    ("REELPOOL_LOG_FORMAT", Origin::Option("--log-format"), |_, worker| {
        Some(worker.log_format.as_str().to_owned())
    }),
    ("REELPOOL_DRAIN_TOKEN_SHA256", Origin::Reelpool, |_, worker| Some(worker.drain_token_sha256.clone())),
];

/// The variables of a worker of `pool`.
#[must_use]
pub fn environment(pool: &ValidPool, worker: &WorkerSettings) -> Vec<EnvVar> {
    let set = VARIABLES.iter().filter_map(|(name, _, value)| {
        let value = value(pool, worker)?;
        Some(EnvVar { name: (*name).to_owned(), value: Some(value), ..EnvVar::default() })
    });
    let pod_name =
        ObjectFieldSelector { field_path: "metadata.name".to_owned(), ..ObjectFieldSelector::default() };
    let worker_id = EnvVar {
        name: WORKER_ID.to_owned(),
        value_from: Some(EnvVarSource { field_ref: Some(pod_name), ..EnvVarSource::default() }),
        ..EnvVar::default()
    };
    set.chain([worker_id]).collect()
}

/// Where the value of the variable `name` comes from, when it is one that users may not set.
#[must_use]
pub fn reserved(name: &str) -> Option<Origin> {
    // A token beside its hash is a contradiction to the worker.
    let more = [(WORKER_ID, Origin::Reelpool), ("REELPOOL_DRAIN_TOKEN", Origin::Reelpool)];
    let set = VARIABLES.iter().map(|(name, origin, _)| (*name, *origin));
    set.chain(more).find(|(own, _)| *own == name).map(|(_, origin)| origin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worker_knows_every_variable() {
        let known = include_str!("../../../worker/src/args.rs");
        for name in VARIABLES.iter().map(|(name, ..)| *name).chain([WORKER_ID, "REELPOOL_DRAIN_TOKEN"]) {
            assert!(known.contains(&format!("env = \"{name}\"")), "{name}");
            assert!(reserved(name).is_some(), "{name}");
        }
    }

    #[test]
    fn other_variables_are_free() {
        assert_eq!(reserved("REELPOOL_THREADS"), None);
        assert_eq!(reserved("AWS_REGION"), None);
    }
}
