//! `reelpool up`: its options, read into types that cannot be wrong.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args as ClapArgs;
use reelpool_core::{Millis, Policy, PolicyError, PolicySpec, Target};
use reelpool_protocol::location::endpoint_url;
use reelpool_protocol::{Ladder, Location, QueueUrl};

use super::LogFormat;

/// The options of `reelpool up` as written; [`UpOptions`] is what they mean.
#[derive(Debug, ClapArgs)]
pub struct UpArgs {
    /// Where the queue, the logs and, unless said otherwise, masters and renditions are kept
    #[arg(long, value_name = "DIR", default_value = "./reelpool-data", help_heading = "Places")]
    pub data: PathBuf,
    /// Where masters come from: a folder (default: DIR/masters) or `s3://bucket[/prefix]`
    #[arg(long, value_name = "PLACE", help_heading = "Places")]
    pub masters: Option<Location>,
    /// Where renditions go: a folder (default: DIR/renditions) or `s3://bucket[/prefix]`
    #[arg(long, value_name = "PLACE", help_heading = "Places")]
    pub output: Option<Location>,
    /// An SQS queue to take jobs from, instead of watching a folder
    #[arg(long, value_name = "URL", help_heading = "Places")]
    pub queue_url: Option<QueueUrl>,
    /// Where SQS and S3 are, when not at Amazon
    #[arg(long, value_name = "URL", help_heading = "Places", value_parser = endpoint_url)]
    pub endpoint_url: Option<String>,
    /// Where messages go that are given up (default: what the queue's redrive policy names)
    #[arg(long, value_name = "URL", help_heading = "Places", requires = "queue_url", value_parser = endpoint_url)]
    pub dead_letter_queue_url: Option<String>,

    /// The fewest workers, even when nothing waits
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Fleet")]
    pub min_workers: u32,
    /// The most workers (default: the number of cores)
    #[arg(long, value_name = "N", help_heading = "Fleet")]
    pub max_workers: Option<u32>,
    /// One worker for so many messages (default: 1)
    #[arg(long, value_name = "N", conflicts_with = "drain_within", help_heading = "Fleet")]
    pub backlog_per_worker: Option<NonZeroU32>,
    /// As many workers as finish what waits in so many seconds, by the time jobs have taken so far
    #[arg(long, value_name = "SECONDS", value_parser = seconds(1), help_heading = "Fleet")]
    pub drain_within: Option<u64>,
    /// For how long a worker is kept without work (default: as long as starting one takes)
    #[arg(long, value_name = "SECONDS", value_parser = seconds(0), help_heading = "Fleet")]
    pub idle: Option<u64>,
    /// For how long the queue must have been empty before the last worker goes
    #[arg(long, value_name = "SECONDS", value_parser = seconds(0), default_value_t = 60, help_heading = "Fleet")]
    pub zero_after: u64,
    /// Hold the fleet as it is
    #[arg(long, help_heading = "Fleet")]
    pub paused: bool,
    /// The most workers that may be starting at a time (default: any number)
    #[arg(long, value_name = "N", help_heading = "Fleet")]
    pub max_step_out: Option<NonZeroU32>,
    /// The most workers that may be draining at a time (default: any number)
    #[arg(long, value_name = "N", help_heading = "Fleet")]
    pub max_step_in: Option<NonZeroU32>,

    /// The renditions of a master that does not say, such as 1080p,720p
    #[arg(long, value_name = "RUNGS", help_heading = "Jobs")]
    pub ladder: Option<Ladder>,
    /// How the renditions are made, unless a job says so: h264, fast, av1, or a YAML file (default: h264)
    #[arg(long, value_name = "NAME|FILE", help_heading = "Jobs")]
    pub profile: Option<String>,
    /// How hard x264 tries, in place of the profile's preset: slower makes smaller files
    #[arg(long, value_name = "PRESET", help_heading = "Jobs", value_parser = [
        "ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow",
    ])]
    pub preset: Option<String>,
    /// After how many seconds without a sign of its worker a job is offered to another (default: 30, with SQS 120)
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(3..=43_200), help_heading = "Jobs")]
    pub visibility_timeout: Option<u64>,
    /// How often a job is tried before it is given up
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000), help_heading = "Jobs")]
    pub max_attempts: Option<u32>,
    /// How long a worker that is stopped may take to finish its job before it hands it back
    #[arg(long, value_name = "SECONDS", value_parser = seconds(0), help_heading = "Jobs")]
    pub grace: Option<u64>,
    /// Threads for each worker's ffmpeg (default: the number of cores)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=256), help_heading = "Jobs")]
    pub threads: Option<u32>,
    /// Refuse masters with more pixels a frame (default: 40 million)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), help_heading = "Jobs")]
    pub max_pixels: Option<u64>,
    /// The longest a job may take
    #[arg(long, value_name = "SECONDS", value_parser = seconds(1), help_heading = "Jobs")]
    pub deadline: Option<u64>,

    /// The worker's program (default: reelpool-worker beside this one, else on the PATH)
    #[arg(long, value_name = "PATH", help_heading = "Programs")]
    pub worker: Option<PathBuf>,
    /// The ffmpeg to use (default: on the PATH)
    #[arg(long, value_name = "PATH", help_heading = "Programs")]
    pub ffmpeg: Option<PathBuf>,
    /// The ffprobe to use (default: on the PATH)
    #[arg(long, value_name = "PATH", help_heading = "Programs")]
    pub ffprobe: Option<PathBuf>,

    /// End when every master is done and the fleet is at zero
    #[arg(long)]
    pub exit_when_done: bool,
    /// How log lines look
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
}

/// Whole seconds, at least `least` and at most thirty days.
fn seconds(least: u64) -> clap::builder::RangedU64ValueParser {
    clap::value_parser!(u64).range(least..=30 * 24 * 3600)
}

/// What `reelpool up` is to do.
#[derive(Debug, Clone)]
pub struct UpOptions {
    /// The data directory, as given.
    pub data: PathBuf,
    /// Where jobs come from and where renditions go.
    pub place: Place,
    /// How the fleet is scaled.
    pub policy: Policy,
    /// What every worker is told.
    pub worker: WorkerOptions,
    /// Whether to end when all is done and the fleet is at zero.
    pub exit_when_done: bool,
    /// For how long a queue whose counts are approximate must have been empty to count as done.
    pub zero_after: Duration,
    /// How log lines look.
    pub log_format: LogFormat,
}

/// Where jobs come from and where renditions go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Folders and the embedded queue.
    Folders {
        /// The masters folder; `None`: the default one under the data directory.
        masters: Option<PathBuf>,
        /// The output folder; `None`: the default one under the data directory.
        output: Option<PathBuf>,
    },
    /// SQS and S3.
    Aws {
        /// The queue.
        queue_url: String,
        /// Where SQS and S3 are, when not at Amazon.
        endpoint_url: Option<String>,
        /// Where messages go that are given up.
        dead_letter_queue_url: Option<String>,
        /// A bucket.
        masters: Location,
        /// A bucket, or another part of the masters' one.
        output: Location,
    },
}

/// What every worker is told, when it differs from the worker's own defaults.
#[derive(Debug, Clone)]
pub struct WorkerOptions {
    /// The worker's program; `None`: look for it.
    pub program: Option<PathBuf>,
    /// The default ladder.
    pub ladder: Option<Ladder>,
    /// The profile as given: the worker reads it.
    pub profile: Option<String>,
    /// The x264 preset.
    pub preset: Option<String>,
    /// The visibility timeout, in seconds.
    pub visibility_timeout: Option<u64>,
    /// How often a job is tried.
    pub max_attempts: Option<u32>,
    /// The grace period, in seconds.
    pub grace: Option<u64>,
    /// Threads for ffmpeg.
    pub threads: Option<u32>,
    /// The most pixels a frame of a master may have.
    pub max_pixels: Option<u64>,
    /// The longest a job may take, in seconds.
    pub deadline: Option<u64>,
    /// ffmpeg.
    pub ffmpeg: Option<PathBuf>,
    /// ffprobe.
    pub ffprobe: Option<PathBuf>,
    /// How its log lines look.
    pub log_format: LogFormat,
}

/// Options that do not go together, or that mean nothing.
#[derive(Debug, thiserror::Error)]
pub enum UsageError {
    /// The numbers of the policy contradict each other.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The embedded queue was named as if it were another's.
    #[error(
        "--queue-url {0}: the embedded queue is used by itself: leave --queue-url out, and choose its place with --data"
    )]
    EmbeddedQueue(QueueUrl),
    /// Masters in S3 without a queue that tells of them.
    #[error(
        "--masters {0} needs a queue that tells of new objects: give --queue-url, the SQS queue that the bucket notifies"
    )]
    MastersNeedQueue(Location),
    /// Renditions to S3 without an SQS queue.
    #[error(
        "--output {0} goes with an SQS queue: give --queue-url and --masters s3://bucket too, or name a folder as --output"
    )]
    OutputNeedsQueue(Location),
    /// An SQS queue without masters in S3.
    #[error(
        "--queue-url takes jobs for masters in S3: give --masters s3://bucket too, or leave --queue-url out to watch a folder"
    )]
    QueueNeedsBucket,
    /// An SQS queue without a bucket for renditions.
    #[error("--queue-url takes jobs whose renditions go to S3: give --output s3://bucket[/prefix] too")]
    QueueNeedsOutput,
    /// An endpoint without anything that would use it.
    #[error(
        "--endpoint-url is where SQS and S3 are: give --queue-url, --masters s3://… and --output s3://… too, or leave it out"
    )]
    EndpointNeedsQueue,
    /// Renditions would be taken for masters.
    #[error(
        "--output {output} and --masters {masters} lie within one another: renditions would be taken for masters: name another output"
    )]
    PlacesOverlap {
        /// Where renditions were to go.
        output: Location,
        /// Where masters come from.
        masters: Location,
    },
    /// It could never be done.
    #[error(
        "--exit-when-done with --min-workers {0}: the fleet would never be at zero: leave one of them out"
    )]
    NeverDone(u32),
    /// It could never be done either.
    #[error("--exit-when-done with --paused: nothing would ever be done: leave one of them out")]
    NeverStarts,
}

impl UpOptions {
    /// Reads the options; `cores` is the default of `--max-workers`.
    pub fn read(args: UpArgs, cores: u32) -> Result<Self, UsageError> {
        if args.exit_when_done && args.min_workers > 0 {
            return Err(UsageError::NeverDone(args.min_workers));
        }
        if args.exit_when_done && args.paused {
            return Err(UsageError::NeverStarts);
        }
        let policy = policy(&args, cores)?;
        let place =
            place(args.masters, args.output, args.queue_url, args.endpoint_url, args.dead_letter_queue_url)?;
        Ok(Self {
            data: args.data,
            place,
            policy,
            worker: WorkerOptions {
                program: args.worker,
                ladder: args.ladder,
                profile: args.profile,
                preset: args.preset,
                visibility_timeout: args.visibility_timeout,
                max_attempts: args.max_attempts,
                grace: args.grace,
                threads: args.threads,
                max_pixels: args.max_pixels,
                deadline: args.deadline,
                ffmpeg: args.ffmpeg,
                ffprobe: args.ffprobe,
                log_format: args.log_format,
            },
            exit_when_done: args.exit_when_done,
            zero_after: Duration::from_secs(args.zero_after),
            log_format: args.log_format,
        })
    }
}

fn policy(args: &UpArgs, cores: u32) -> Result<Policy, PolicyError> {
    let target = match (args.drain_within, args.backlog_per_worker) {
        (Some(within), _) => Target::Time { drain_within: Millis::from_secs(within) },
        (None, per_worker) => Target::Backlog { per_worker: per_worker.unwrap_or(NonZeroU32::MIN) },
    };
    // More than the cores when the minimum asks for it: the default must not contradict what was written.
    let max_workers = args.max_workers.unwrap_or(cores.max(args.min_workers));
    Policy::try_from(PolicySpec {
        min_workers: args.min_workers,
        max_workers,
        target,
        idle: args.idle.map(Millis::from_secs),
        zero_after: Millis::from_secs(args.zero_after),
        max_step_out: args.max_step_out,
        max_step_in: args.max_step_in,
        paused: args.paused,
        ..PolicySpec::default()
    })
}

fn place(
    masters: Option<Location>,
    output: Option<Location>,
    queue_url: Option<QueueUrl>,
    endpoint_url: Option<String>,
    dead_letter_queue_url: Option<String>,
) -> Result<Place, UsageError> {
    let Some(queue_url) = queue_url else {
        if endpoint_url.is_some() {
            return Err(UsageError::EndpointNeedsQueue);
        }
        let masters = masters.map(folder).transpose().map_err(UsageError::MastersNeedQueue)?;
        let output = output.map(folder).transpose().map_err(UsageError::OutputNeedsQueue)?;
        return Ok(Place::Folders { masters, output });
    };
    let queue_url = match queue_url {
        QueueUrl::Sqs(url) => url,
        embedded @ QueueUrl::Spool(_) => return Err(UsageError::EmbeddedQueue(embedded)),
    };
    let Some(masters @ Location::Bucket { .. }) = masters else { return Err(UsageError::QueueNeedsBucket) };
    let Some(output @ Location::Bucket { .. }) = output else { return Err(UsageError::QueueNeedsOutput) };
    if masters.overlaps(&output) {
        return Err(UsageError::PlacesOverlap { output, masters });
    }
    Ok(Place::Aws { queue_url, endpoint_url, dead_letter_queue_url, masters, output })
}

/// The folder, or the bucket as an error.
fn folder(at: Location) -> Result<PathBuf, Location> {
    match at {
        Location::Folder(path) => Ok(path),
        bucket @ Location::Bucket { .. } => Err(bucket),
    }
}

#[cfg(test)]
#[path = "up_tests.rs"]
mod tests;
