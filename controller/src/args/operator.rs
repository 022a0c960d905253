//! `reelpool operator`: its options, read into types that cannot be wrong.

use std::net::SocketAddr;
use std::time::Duration;

use clap::Args as ClapArgs;
use reelpool_protocol::location::endpoint_url;

use super::LogFormat;
use crate::lease::{LeaseError, Timing, unique_identity};

/// The options of `reelpool operator` as written; [`OperatorOptions`] is what they mean.
#[derive(Debug, ClapArgs)]
pub struct OperatorArgs {
    /// The image of workers, for pools that name none
    #[arg(long, value_name = "IMAGE", env = "REELPOOL_WORKER_IMAGE", value_parser = image, help_heading = "Pools")]
    pub worker_image: String,
    /// The one namespace whose pools are looked after (default: all)
    #[arg(long, value_name = "NAME", env = "REELPOOL_WATCH_NAMESPACE", value_parser = label_or_nothing, help_heading = "Pools")]
    pub watch_namespace: Option<String>,
    /// Where SQS is, and SQS and S3 for workers, when not at Amazon
    #[arg(long, value_name = "URL", env = "REELPOOL_ENDPOINT_URL", value_parser = endpoint_url, help_heading = "Pools")]
    pub endpoint_url: Option<String>,
    /// How many queues are asked for their length at the same time
    #[arg(
        long, value_name = "N", env = "REELPOOL_MAX_CONCURRENT_QUEUE_READS", default_value_t = 64,
        value_parser = clap::value_parser!(u16).range(1..=4096), help_heading = "Pools"
    )]
    pub max_concurrent_queue_reads: u16,

    /// The namespace of this operator: where the lease and the drain key are
    #[arg(
        long, value_name = "NAME", env = "POD_NAMESPACE", default_value = "default", value_parser = label,
        help_heading = "This operator"
    )]
    pub namespace: String,
    /// The Secret with the key that drain tokens are made from
    #[arg(
        long, value_name = "NAME", env = "REELPOOL_DRAIN_KEY_SECRET", default_value = "reelpool-drain-key",
        value_parser = subdomain, help_heading = "This operator"
    )]
    pub drain_key_secret: String,
    /// The Lease by which one of several operators leads
    #[arg(
        long, value_name = "NAME", env = "REELPOOL_LEASE_NAME", default_value = "reelpool-operator",
        value_parser = subdomain, help_heading = "This operator"
    )]
    pub lease_name: String,
    /// After how long without a sign of its leader another takes over; a leader gives up at two thirds of it
    #[arg(
        long, value_name = "SECONDS", env = "REELPOOL_LEASE_SECONDS", default_value_t = 15,
        value_parser = clap::value_parser!(u32).range(3..=300), help_heading = "This operator"
    )]
    pub lease_seconds: u32,
    /// Lead without a lease: only where there is surely no other operator, such as on a laptop
    #[arg(long, env = "REELPOOL_NO_LEADER_ELECTION", help_heading = "This operator")]
    pub no_leader_election: bool,
    /// What this operator is called in the lease, with something unique added (default: the host's name)
    #[arg(long, value_name = "NAME", env = "REELPOOL_IDENTITY", value_parser = identity, help_heading = "This operator")]
    pub identity: Option<String>,

    /// Where health, metrics and decisions are served; `[::]` is all addresses of both kinds
    #[arg(
        long,
        value_name = "ADDRESS",
        env = "REELPOOL_LISTEN",
        default_value = "[::]:8080",
        help_heading = "What it tells"
    )]
    pub listen: SocketAddr,
    /// How many decisions of each pool are kept for `/v1/pools/NAMESPACE/NAME/decisions`
    #[arg(
        long, value_name = "N", env = "REELPOOL_DECISIONS_PER_POOL", default_value_t = 64,
        value_parser = clap::value_parser!(u16).range(1..=10_000), help_heading = "What it tells"
    )]
    pub decisions_per_pool: u16,
    /// Write each decision that changed as a line of JSON to standard output; some 80 bytes for each worker
    #[arg(long, env = "REELPOOL_LOG_DECISIONS", help_heading = "What it tells")]
    pub log_decisions: bool,
    /// How log lines look, on standard error
    #[arg(
        long, value_name = "FORMAT", value_enum, env = "REELPOOL_LOG_FORMAT", default_value_t = LogFormat::Text,
        help_heading = "What it tells"
    )]
    pub log_format: LogFormat,
}

/// What `reelpool operator` is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorOptions {
    /// The image of workers, for pools that name none.
    pub worker_image: String,
    /// The namespace whose pools are looked after; `None`: all.
    pub watch_namespace: Option<String>,
    /// Where SQS and S3 are, when not at Amazon.
    pub endpoint_url: Option<String>,
    /// How many queues are asked at the same time, at least one.
    pub queue_reads_at_once: usize,
    /// The operator's own namespace.
    pub namespace: String,
    /// The Secret with the key of the drain tokens.
    pub drain_key_secret: String,
    /// The Lease's name.
    pub lease_name: String,
    /// How long it lasts and how often it is renewed.
    pub lease_timing: Timing,
    /// Whether there is an election at all.
    pub leader_election: bool,
    /// What this process is called in the lease; no other ever is.
    pub identity: String,
    /// Where health, metrics and decisions are served.
    pub listen: SocketAddr,
    /// How many decisions of each pool are kept.
    pub decisions: usize,
    /// Whether decisions are written to standard output.
    pub log_decisions: bool,
    /// How log lines look.
    pub log_format: LogFormat,
}

impl OperatorOptions {
    /// Reads the options; `host` is the default of `--identity`.
    pub fn read(args: OperatorArgs, host: &str) -> Result<Self, LeaseError> {
        let OperatorArgs {
            worker_image,
            watch_namespace,
            endpoint_url,
            max_concurrent_queue_reads,
            namespace,
            drain_key_secret,
            lease_name,
            lease_seconds,
            no_leader_election,
            identity,
            listen,
            decisions_per_pool,
            log_decisions,
            log_format,
        } = args;
        // As Kubernetes' own: 15 s, 10 s, 2 s.
        let lease = Duration::from_secs(lease_seconds.into());
        let lease_timing = Timing::new(lease_seconds, lease * 2 / 3, lease * 2 / 15)?;
        Ok(Self {
            worker_image,
            watch_namespace: watch_namespace.filter(|name| !name.is_empty()),
            endpoint_url,
            queue_reads_at_once: max_concurrent_queue_reads.into(),
            namespace,
            drain_key_secret,
            lease_name,
            lease_timing,
            leader_election: !no_leader_election,
            identity: unique_identity(identity.as_deref().unwrap_or(host)),
            listen,
            decisions: decisions_per_pool.into(),
            log_decisions,
            log_format,
        })
    }
}

/// The name of this machine, or of this pod; `operator` when it has none.
#[must_use]
pub fn host_name() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    identity(&name).unwrap_or_else(|_| "operator".to_owned())
}

fn image(text: &str) -> Result<String, String> {
    let fits = !text.is_empty() && text.len() <= 512 && text.bytes().all(|byte| byte.is_ascii_graphic());
    fits.then(|| text.to_owned()).ok_or_else(|| {
        "not the name of an image: write REGISTRY/NAME:TAG, such as registry.example.com/reelpool-worker:1.2.3".to_owned()
    })
}

/// A name of Kubernetes within `longest`, of parts that are joined by dots if there may be more than one.
fn name(text: &str, longest: usize, parts: usize) -> bool {
    let good = |part: &str| {
        let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        part.bytes().all(|byte| inner(byte) || byte == b'-')
            && part.bytes().next().is_some_and(inner)
            && part.bytes().next_back().is_some_and(inner)
    };
    text.len() <= longest && text.split('.').count() <= parts && text.split('.').all(good)
}

fn label(text: &str) -> Result<String, String> {
    name(text, 63, 1).then(|| text.to_owned()).ok_or_else(|| {
        "not the name of a namespace: lowercase letters, digits and `-`, at most 63, a letter or digit at both ends".to_owned()
    })
}

/// An empty variable in a manifest means that it was not set.
fn label_or_nothing(text: &str) -> Result<String, String> {
    if text.is_empty() { Ok(String::new()) } else { label(text) }
}

fn subdomain(text: &str) -> Result<String, String> {
    name(text, 253, usize::MAX).then(|| text.to_owned()).ok_or_else(|| {
        "not the name of an object: lowercase letters, digits, `-` and `.`, at most 253, a letter or digit at both ends"
            .to_owned()
    })
}

fn identity(text: &str) -> Result<String, String> {
    let fits = !text.is_empty() && text.len() <= 253 && text.bytes().all(|byte| byte.is_ascii_graphic());
    fits.then(|| text.to_owned())
        .ok_or_else(|| "expected 1 to 253 letters, digits and signs, no spaces".to_owned())
}

#[cfg(test)]
#[path = "operator_tests.rs"]
mod tests;
