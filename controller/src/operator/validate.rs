//! From a pool as it is stored to one that cannot be wrong: all that is wrong with it is told at once.
//!
//! The API server refuses most of this by the resource's definition. It is checked again because a pool may be older
//! than a rule, and because everything behind this line builds on it.

use reelpool_api::{MAX_POOL_NAME, WorkerPool};
use reelpool_core::Policy;

use crate::args::LogFormat;

mod fleet;
mod policy;
mod problems;
mod profile;
mod queue;
mod template;

pub use fleet::{ValidFleet, WorkerSettings};
pub use problems::{InvalidPool, Problem};

use problems::Problems;

/// What the operator was told for all pools.
#[derive(Debug, Clone)]
pub struct Defaults {
    /// The workers' image, where a pool names none.
    pub worker_image: String,
    /// Where SQS and S3 are, when not at Amazon.
    pub endpoint_url: Option<String>,
    /// The SHA-256 of this pool's token for drain requests, in hexadecimal digits.
    pub drain_token_sha256: String,
    /// How the workers' log lines look.
    pub log_format: LogFormat,
}

/// A pool that makes sense.
#[derive(Debug, Clone)]
pub struct ValidPool {
    /// Its namespace.
    pub namespace: String,
    /// Its name: short enough for what is named after it.
    pub name: String,
    /// How the fleet is scaled.
    pub policy: Policy,
    /// The SQS queue that the fleet follows.
    pub queue_url: String,
    /// The workers.
    pub fleet: ValidFleet,
}

/// Reads a pool.
pub fn validate(pool: &WorkerPool, defaults: &Defaults) -> Result<ValidPool, InvalidPool> {
    let mut problems = Problems::default();
    let spec = &pool.spec;
    let name = pool.metadata.name.clone().unwrap_or_default();
    if !is_short_label(&name) {
        let message = format!(
            "must be at most {MAX_POOL_NAME} lower-case letters, digits and dashes, and neither begin nor end with a dash"
        );
        problems.add("metadata.name", message);
    }
    let policy = policy::read(spec, &mut problems);
    let queue = queue::read(&spec.queue, &mut problems);
    let fleet = fleet::read(spec, &queue, defaults, &mut problems);
    match (problems.none(), policy, queue.url, fleet) {
        (Ok(()), Some(policy), Some(queue_url), Some(fleet)) => Ok(ValidPool {
            namespace: pool.metadata.namespace.clone().unwrap_or_default(),
            name,
            policy,
            queue_url,
            fleet,
        }),
        (Err(invalid), ..) => Err(invalid),
        (Ok(()), ..) => Err(InvalidPool::new("spec", "cannot be read")),
    }
}

/// Whether `name` is a DNS label (RFC 1123) that leaves room for what is added to it.
fn is_short_label(name: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !name.is_empty()
        && name.len() <= MAX_POOL_NAME
        && name.bytes().all(inner)
        && !name.starts_with('-')
        && !name.ends_with('-')
}

#[cfg(test)]
#[path = "validate_tests.rs"]
mod tests;
