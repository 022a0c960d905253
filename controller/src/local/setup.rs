//! What must be right before anything is started; each thing that is wrong is said in one line.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use reelpool_protocol::{Location, Profile};
use reelpool_spool::{InstanceLock, Queue, QueueOptions, scratch};

use super::error::UpError;
use super::masters::Defaults;
use super::masters::walk::Folder;
use super::overdue::Patience;
use super::process::{self, Program, prune_logs};
use crate::args::up::{Place, UpOptions, WorkerOptions};
use crate::queue::QueueLength;
use crate::queue::spool::SpoolQueue;
use crate::queue::sqs::SqsQueue;

/// How many logs of earlier runs are kept.
const KEPT_LOGS: usize = 50;
/// The visibility timeout of the embedded queue, in seconds: its heartbeats cost nothing and never cross a network.
const EMBEDDED_VISIBILITY: u64 = 30;
/// The visibility timeout of SQS messages, in seconds.
const SQS_VISIBILITY: u64 = 120;
/// The grace period of workers, in seconds.
const GRACE: u64 = 30;
/// The name of the worker's program.
const WORKER: &str = "reelpool-worker";

/// What `up` stands on.
pub struct Ground {
    /// The data directory, absolute.
    pub data: PathBuf,
    /// The queue whose length is watched.
    pub queue: Arc<dyn QueueLength>,
    /// The embedded queue, when it is the one.
    pub embedded: Option<Arc<Queue>>,
    /// The masters folder, when one is watched.
    pub masters: Option<Folder>,
    /// Where renditions go, for a person.
    pub output: String,
    /// How workers are started.
    pub program: Program,
    /// For how long workers are waited for.
    pub patience: Patience,
    /// What the workers make of masters that say nothing.
    pub defaults: Defaults,
    /// What the names of this run's workers begin with, after a `w`.
    pub run: String,
    /// Held for as long as this run lasts.
    _lock: InstanceLock,
}

impl Ground {
    /// Checks and makes everything that a run needs.
    pub async fn prepare(options: &UpOptions) -> Result<Self, UpError> {
        let data = make(&options.data, "--data")?;
        let lock = InstanceLock::acquire(&data.join("up.lock"))?;
        let path = find_worker(options.worker.program.as_deref())?;
        let profile = match options.worker.profile.as_deref() {
            Some(said) => Some(process::profile(&path, said).await?),
            None => None,
        };
        let logs = make(&data.join("logs"), "--data")?;
        prune_logs(&logs, KEPT_LOGS).map_err(not_writable("--data", &logs))?;
        let scratch_root = make(&data.join("scratch"), "--data")?;
        scratch::sweep(&scratch_root)?;
        let place = Where::prepare(&data, options).await?;
        let mut arguments = place.arguments;
        arguments.extend(["--scratch".into(), scratch_root.into()]);
        let visibility = if place.embedded.is_some() { EMBEDDED_VISIBILITY } else { SQS_VISIBILITY };
        let visibility = options.worker.visibility_timeout.unwrap_or(visibility);
        let grace = options.worker.grace.unwrap_or(GRACE);
        arguments.extend(worker_arguments(&options.worker, profile.as_ref(), visibility, grace));
        let (run, token) = (random_hex(3)?, random_hex(32)?);
        Ok(Self {
            data,
            queue: place.queue,
            embedded: place.embedded,
            masters: place.masters,
            output: place.output,
            program: Program { path, arguments, token, logs },
            patience: Patience::new(visibility, grace),
            defaults: Defaults {
                ladder: options.worker.ladder.clone().unwrap_or_default(),
                profile: profile.unwrap_or_default(),
            },
            run,
            _lock: lock,
        })
    }

    /// The folder of the workers' scratch.
    #[must_use]
    pub fn scratch(&self) -> PathBuf {
        self.data.join("scratch")
    }
}

/// Where jobs come from and renditions go, made ready.
struct Where {
    queue: Arc<dyn QueueLength>,
    embedded: Option<Arc<Queue>>,
    masters: Option<Folder>,
    output: String,
    /// The worker's arguments that say so.
    arguments: Vec<OsString>,
}

impl Where {
    async fn prepare(data: &Path, options: &UpOptions) -> Result<Self, UpError> {
        match &options.place {
            Place::Folders { masters, output } => {
                let masters = match masters {
                    None => make(&data.join("masters"), "--data")?,
                    Some(path) => {
                        let unusable = |source| UpError::Masters { path: path.clone(), source };
                        fs::read_dir(path).and_then(|_| path.canonicalize()).map_err(unusable)?
                    }
                };
                let output = match output {
                    None => make(&data.join("renditions"), "--data")?,
                    Some(path) => make(path, "--output")?,
                };
                if Location::Folder(output.clone()).overlaps(&Location::Folder(masters.clone())) {
                    return Err(UpError::PlacesOverlap { output, masters });
                }
                let queue_dir = data.join("queue");
                let url = queue_dir.to_str().ok_or_else(|| UpError::NotUtf8(queue_dir.clone()))?;
                let mut arguments = vec!["run".into(), "--queue-url".into(), format!("spool://{url}").into()];
                arguments.extend([
                    "--masters".into(),
                    masters.clone().into(),
                    "--output".into(),
                    output.clone().into(),
                ]);
                let embedded = Arc::new(Queue::open(&queue_dir, QueueOptions::default())?);
                // The default masters folder lies in the data directory; it may also be the other way round.
                let except = if masters.starts_with(data) { Vec::new() } else { vec![data.to_path_buf()] };
                Ok(Self {
                    queue: Arc::new(SpoolQueue::new(Arc::clone(&embedded))),
                    embedded: Some(embedded),
                    masters: Some(Folder { root: masters, except }),
                    output: output.display().to_string(),
                    arguments,
                })
            }
            Place::Aws { queue_url, endpoint_url, dead_letter_queue_url, masters, output } => {
                let queue = SqsQueue::connect(queue_url, endpoint_url.as_deref()).await?;
                let mut arguments: Vec<OsString> = vec!["run".into(), "--queue-url".into(), queue_url.into()];
                arguments.extend([
                    "--masters".into(),
                    masters.to_string().into(),
                    "--output".into(),
                    output.to_string().into(),
                ]);
                push(&mut arguments, "--endpoint-url", endpoint_url.as_ref());
                push(&mut arguments, "--dead-letter-queue-url", dead_letter_queue_url.as_ref());
                Ok(Self {
                    queue: Arc::new(queue),
                    embedded: None,
                    masters: None,
                    output: output.to_string(),
                    arguments,
                })
            }
        }
    }
}

fn worker_arguments(
    options: &WorkerOptions,
    profile: Option<&Profile>,
    visibility: u64,
    grace: u64,
) -> Vec<OsString> {
    // As it was read: a file that changes does not make two kinds of workers.
    let written = |profile: &Profile| {
        profile.built_in_name().map_or_else(|| profile.differences().to_string(), str::to_owned)
    };

    let mut all: Vec<OsString> = ["--listen", "127.0.0.1:0", "--events", "stdout"].map(Into::into).to_vec();
    push(&mut all, "--exit-with-parent", Some(std::process::id().to_string()));
    push(&mut all, "--log-format", Some(options.log_format.as_str()));
    push(&mut all, "--ladder", options.ladder.as_ref().map(ToString::to_string));
    push(&mut all, "--profile", profile.map(written));
    push(&mut all, "--preset", options.preset.as_ref());
    push(&mut all, "--visibility-timeout", Some(visibility.to_string()));
    push(&mut all, "--max-attempts", options.max_attempts.map(|n| n.to_string()));
    push(&mut all, "--grace", Some(grace.to_string()));
    push(&mut all, "--threads", options.threads.map(|n| n.to_string()));
    push(&mut all, "--max-pixels", options.max_pixels.map(|n| n.to_string()));
    push(&mut all, "--deadline", options.deadline.map(|n| n.to_string()));
    push(&mut all, "--ffmpeg", options.ffmpeg.as_ref());
    push(&mut all, "--ffprobe", options.ffprobe.as_ref());
    all
}

fn push(arguments: &mut Vec<OsString>, option: &str, value: Option<impl Into<OsString>>) {
    if let Some(value) = value {
        arguments.extend([option.into(), value.into()]);
    }
}

/// Makes a folder and its parents, and returns it absolute and without links.
fn make(path: &Path, option: &'static str) -> Result<PathBuf, UpError> {
    let made = fs::create_dir_all(path).and_then(|()| path.canonicalize());
    let made = made.and_then(|path| {
        // A folder that is there may still not be writable: only writing shows it.
        let probe = path.join(format!(".reelpool-{}", std::process::id()));
        File::create(&probe).and_then(|_| fs::remove_file(&probe)).map(|()| path)
    });
    made.map_err(not_writable(option, path))
}

fn not_writable<'a>(option: &'static str, path: &'a Path) -> impl Fn(io::Error) -> UpError + use<'a> {
    move |source| UpError::NotWritable { option, path: path.to_path_buf(), source }
}

/// The worker's program: as given, else beside this program, else on the `PATH`.
fn find_worker(given: Option<&Path>) -> Result<PathBuf, UpError> {
    if let Some(path) = given {
        return path
            .canonicalize()
            .ok()
            .filter(|path| path.is_file())
            .ok_or_else(|| UpError::NoWorkerProgram(path.to_path_buf()));
    }
    let own = std::env::current_exe().ok();
    let beside = own.as_deref().and_then(Path::parent).map(|folder| folder.join(WORKER));
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&on_path).map(|folder| folder.join(WORKER));
    let mut all = beside.into_iter().chain(on_path);
    all.find(|path| path.is_file()).ok_or_else(|| UpError::NoWorkerProgram(WORKER.into()))
}

/// So many random bytes, from the system, as hexadecimal digits.
fn random_hex(bytes: usize) -> Result<String, UpError> {
    let mut random = vec![0; bytes];
    File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut random))
        .map_err(|source| UpError::System { action: "read random bytes", source })?;
    let hex = |nibble| char::from_digit(u32::from(nibble), 16).unwrap_or_default();
    Ok(random.iter().flat_map(|byte| [hex(byte >> 4), hex(byte & 15)]).collect())
}

#[cfg(test)]
#[path = "setup_tests.rs"]
mod tests;
