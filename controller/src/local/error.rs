//! Why `reelpool up` could not begin or go on.

use std::io;
use std::path::PathBuf;

use reelpool_spool::SpoolError;

use crate::queue::QueueError;

/// Why `reelpool up` could not begin or go on. Each is told as one line.
#[derive(Debug, thiserror::Error)]
pub enum UpError {
    /// A folder that is to be written cannot be.
    #[error("{option} {}: the folder cannot be written ({source}): change its owner or mode, or name another with {option}", path.display())]
    NotWritable {
        /// The option that names it.
        option: &'static str,
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The masters folder is not there, or is no folder that can be read.
    #[error("--masters {}: the folder cannot be read ({source}): create it, or name another", path.display())]
    Masters {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Renditions would be taken for masters.
    #[error("--output {} and --masters {} lie within one another: renditions would be taken for masters: name another output", output.display(), masters.display())]
    PlacesOverlap {
        /// The output folder.
        output: PathBuf,
        /// The masters folder.
        masters: PathBuf,
    },
    /// A path that goes into a URL is not UTF-8.
    #[error("--data {}: the path is not UTF-8: name another with --data", .0.display())]
    NotUtf8(PathBuf),
    /// There is no worker program.
    #[error("the worker program {} was not found: build or install reelpool-worker, or name it with --worker", .0.display())]
    NoWorkerProgram(PathBuf),
    /// The worker program cannot be run.
    #[error("the worker program {} cannot be started ({source}): check it, or name another with --worker", path.display())]
    WorkerProgram {
        /// The program.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The worker program does not do what one of this version does.
    #[error("the worker program {} cannot be used ({how}): take the reelpool-worker of this version, or name it with --worker", path.display())]
    WorkerUnfit {
        /// The program.
        path: PathBuf,
        /// How it ended.
        how: String,
    },
    /// All workers ended before any was ready, and the last of them said why.
    #[error("{0}")]
    WorkerSaid(String),
    /// All workers ended before any was ready, and the last of them did not say why.
    #[error("no worker can start: the last one {how} before it was ready: its log says why: {}", log.display())]
    WorkerEnded {
        /// How, such as `ended with exit code 1`.
        how: String,
        /// Its log.
        log: PathBuf,
    },
    /// The embedded queue or a folder of the data directory failed.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// The queue cannot be read.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// The system gave what it must not.
    #[error("cannot {action} ({source}): check the system's limits and try again")]
    System {
        /// What was tried.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
}
