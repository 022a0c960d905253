//! From the command line to a running worker.

use std::error::Error as StdError;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use aws_config::SdkConfig;
use reelpool_aws::Patience;
use reelpool_media::{Engine, Limits, MediaError, Sandbox, Tools};
use reelpool_protocol::{Location, QueueUrl, WorkerEvent};
use reelpool_spool::{Scratch, SpoolError, scratch};
use tokio::time::Instant;

use crate::args::{MediaArgs, RunArgs};
use crate::attempt::Desk;
use crate::hold::Heartbeat;
use crate::http::{self, Served};
use crate::job::max_receives;
use crate::metrics::Metrics;
use crate::profile::{OwnProfile, ProfileSourceError};
use crate::queue::{Queue, QueueError, SpoolQueue, SqsQueue};
use crate::run::run;
use crate::shutdown::Shutdown;
use crate::state::State;
use crate::store::{FolderMasters, FolderOutputs, Masters, Outputs, S3Masters, S3Outputs, StoreError};
use crate::telemetry;

/// Why a worker did not start, or ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The queue.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// Masters or outputs.
    #[error("{what}: {source}: name a place that exists and that this worker may use")]
    Store {
        /// Which of them, as the flag is called.
        what: &'static str,
        /// What is wrong with it.
        source: StoreError,
    },
    /// The scratch folder.
    #[error("--scratch: {0}")]
    Scratch(#[from] SpoolError),
    /// The profile of jobs that name none.
    #[error(transparent)]
    Profile(#[from] ProfileSourceError),
    /// ffmpeg or ffprobe.
    #[error(transparent)]
    Media(#[from] MediaError),
    /// Renditions would become masters.
    #[error(
        "--output {output} and --masters {masters} lie within one another: renditions would be taken for masters: name another output"
    )]
    PlacesOverlap {
        /// Where outputs were to go.
        output: Location,
        /// Where masters come from.
        masters: Location,
    },
    /// The status server's address.
    #[error("--listen {address}: {source}: name another address, or port 0 for any")]
    Listen {
        /// The address.
        address: std::net::SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The system refused something every worker needs.
    #[error("cannot {what}: {source}")]
    System {
        /// What was refused.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

fn system(what: &'static str) -> impl Fn(io::Error) -> StartError {
    move |source| StartError::System { what, source }
}

/// Runs a worker; prints the one error that ended it, if any.
#[must_use]
pub fn main(args: RunArgs) -> ExitCode {
    let started = Instant::now();
    telemetry::start(args.log_format);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let ended = runtime
        .map_err(system("start the runtime"))
        .and_then(|runtime| runtime.block_on(Box::pin(work(args, started))));
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody may be listening any more.
            let _ =
                writeln!(io::stderr(), "error: {}", reelpool_aws::chain(&error as &(dyn StdError + 'static)));
            ExitCode::FAILURE
        }
    }
}

async fn work(args: RunArgs, started: Instant) -> Result<(), StartError> {
    if let Some(parent) = args.exit_with_parent {
        exit_with(parent)?;
    }
    if args.masters.overlaps(&args.output) {
        return Err(StartError::PlacesOverlap { output: args.output, masters: args.masters });
    }
    let worker = args.worker_id.clone().unwrap_or_else(host_name);
    let state = Arc::new(State::new(worker.clone(), started));
    let shutdown = Shutdown::listen(Duration::from_secs(args.grace), Arc::clone(&state))
        .map_err(system("listen for signals"))?;
    let profile = OwnProfile::choose(args.media.profile.as_deref(), args.media.preset)?;
    let engine = engine(&args.media)?;
    engine.tools.check(profile.as_made().encoder(), profile.as_made().quality())?;

    let config = config_if_needed(&args).await;
    let queue = open_queue(&args, config.as_ref()).await?;
    let masters = open_masters(&args.masters, config.as_ref())?;
    let outputs = open_outputs(&args.output, config.as_ref()).await?;
    if args.check {
        return Ok(());
    }
    let visibility = Duration::from_secs(args.visibility_timeout);
    let heartbeat =
        Heartbeat::start(Arc::clone(&queue), visibility).map_err(system("start the heartbeat"))?;

    let root = args.scratch.clone().unwrap_or_else(|| std::env::temp_dir().join("reelpool-scratch"));
    // What killed workers left behind would fill the disk.
    scratch::sweep(&root)?;
    let scratch = Scratch::claim(&root, &worker)?;

    let metrics =
        Arc::new(Metrics::new().map_err(|error| StartError::System {
            what: "set up metrics",
            source: io::Error::other(error),
        })?);
    let served =
        Served { state: Arc::clone(&state), metrics: Arc::clone(&metrics), drain_token: args.drain_token() };
    let address = http::serve(args.listen, served)
        .await
        .map_err(|source| StartError::Listen { address: args.listen, source })?;
    tracing::info!(worker, %address, "started");
    args.events.tell(&WorkerEvent::Listening { address });

    let desk = Desk {
        state,
        metrics,
        events: args.events,
        queue,
        heartbeat,
        masters,
        allowed: args.masters,
        outputs,
        scratch,
        engine,
        ladder: args.media.ladder,
        profile,
    };
    run(desk, visibility, &shutdown).await?;
    tracing::info!("stopped");
    Ok(())
}

/// ffmpeg, as the options say.
pub(crate) fn engine(args: &MediaArgs) -> Result<Engine, StartError> {
    let tools = Tools::find(args.ffmpeg.as_deref(), args.ffprobe.as_deref())?;
    let exe = std::env::current_exe().map_err(system("find the own program"))?;
    let mut limits = Limits { deadline: args.deadline.map(Duration::from_secs), ..Limits::default() };
    limits.threads = args.threads.unwrap_or(limits.threads);
    limits.max_pixels = args.max_pixels.unwrap_or(limits.max_pixels);
    Ok(Engine { tools, sandbox: Sandbox::Via(exe), limits })
}

/// The SDK's configuration, unless everything is on this machine.
async fn config_if_needed(args: &RunArgs) -> Option<SdkConfig> {
    let local = matches!(
        (&args.queue_url, &args.masters, &args.output),
        (QueueUrl::Spool(_), Location::Folder(_), Location::Folder(_))
    );
    if local {
        return None;
    }
    let queue_url = match &args.queue_url {
        QueueUrl::Sqs(url) => Some(url.as_str()),
        QueueUrl::Spool(_) => None,
    };
    // More than the longest long poll. S3 has its own patience: an upload takes as long as its bytes.
    let patience = Patience { attempt: Duration::from_secs(40), call: None };
    Some(reelpool_aws::load(args.endpoint_url.as_deref(), queue_url, patience).await)
}

fn need(config: Option<&SdkConfig>) -> Result<&SdkConfig, StartError> {
    config.ok_or_else(|| system("configure the SDK")(io::Error::other("nothing asked for it")))
}

async fn open_queue(args: &RunArgs, config: Option<&SdkConfig>) -> Result<Arc<dyn Queue>, StartError> {
    Ok(match &args.queue_url {
        QueueUrl::Spool(folder) => {
            Arc::new(SpoolQueue::open(folder, max_receives(args.max_attempts), args.max_attempts)?)
        }
        QueueUrl::Sqs(url) => {
            let dead = args.dead_letter_queue_url.as_deref();
            Arc::new(SqsQueue::open(need(config)?, url, dead, args.max_attempts).await?)
        }
    })
}

fn open_masters(at: &Location, config: Option<&SdkConfig>) -> Result<Arc<dyn Masters>, StartError> {
    let failed = |source| StartError::Store { what: "--masters", source };
    Ok(match at {
        Location::Folder(folder) => Arc::new(FolderMasters::open(folder).map_err(failed)?),
        Location::Bucket { .. } => Arc::new(S3Masters::new(need(config)?)),
    })
}

async fn open_outputs(at: &Location, config: Option<&SdkConfig>) -> Result<Arc<dyn Outputs>, StartError> {
    let failed = |source| StartError::Store { what: "--output", source };
    Ok(match at {
        Location::Folder(folder) => Arc::new(FolderOutputs::open(folder).map_err(failed)?),
        Location::Bucket { bucket, prefix } => {
            Arc::new(S3Outputs::open(need(config)?, bucket, prefix).await.map_err(failed)?)
        }
    })
}

/// Asks the system for a SIGTERM when the parent dies, and checks that it has not died already.
fn exit_with(parent: u32) -> Result<(), StartError> {
    use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};
    let refused = |error: rustix::io::Errno| system("watch the parent process")(error.into());
    set_parent_process_death_signal(Some(Signal::TERM)).map_err(refused)?;
    let now = getppid().map(|pid| Pid::as_raw(Some(pid)));
    if now.and_then(|pid| u32::try_from(pid).ok()) == Some(parent) {
        return Ok(());
    }
    Err(system("go on")(io::Error::other("the parent process has died")))
}

/// The name of this machine.
pub(crate) fn host_name() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    if name.is_empty() { format!("worker-{}", std::process::id()) } else { name }
}
