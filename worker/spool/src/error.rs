//! What can go wrong here, in words for a person.

use std::io;
use std::path::{Path, PathBuf};

use crate::queue::MessageId;

/// Why an operation on the queue, the store or a folder failed. No failed operation is half done.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// The file system is full, or the user's quota is.
    #[error("no space left on the disk that holds {}: free some and try again", path.display())]
    NoSpace {
        /// What was being written.
        path: PathBuf,
    },
    /// The place may not be written (or, for masters, not read): permissions, or a read-only file system.
    #[error("no permission for {} ({source}): change its owner or mode, or name another folder", path.display())]
    NotWritable {
        /// The place.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Any other failure of the file system.
    #[error("cannot {action} {} ({source}): check that the disk is healthy and the path is right", path.display())]
    Io {
        /// What was tried, such as `read`.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is no queue in this folder, and it was not to be made.
    #[error("there is no queue in {}: start `reelpool up` there first, or name another folder", path.display())]
    NoQueue {
        /// The folder.
        path: PathBuf,
    },
    /// The database belongs to a newer Reelpool.
    #[error(
        "{} was written by a newer Reelpool (schema {found}, this one knows {supported}): use that version, or another \
         data directory", path.display()
    )]
    NewerSchema {
        /// The database.
        path: PathBuf,
        /// Its schema's version.
        found: i64,
        /// The newest version this build reads.
        supported: i64,
    },
    /// The file is an SQLite database of something else.
    #[error("{} is not a Reelpool queue: name another data directory", path.display())]
    NotAQueue {
        /// The file.
        path: PathBuf,
    },
    /// The database is damaged or no database at all.
    #[error("the queue {} is damaged ({detail}): move it away and start again, masters are found anew", path.display())]
    Damaged {
        /// The database.
        path: PathBuf,
        /// What SQLite said.
        detail: String,
    },
    /// Other processes kept the database locked for longer than the time allowed.
    #[error("the queue {} stayed locked by other processes: try again", path.display())]
    Busy {
        /// The database.
        path: PathBuf,
    },
    /// Any other failure of SQLite.
    #[error("the queue {} failed ({source}): check that the disk is healthy and local", path.display())]
    Database {
        /// The database.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// The receipt holds its message no longer: the visibility ran out, or the message was received anew, deleted
    /// or moved to the dead letters.
    #[error("the hold on message {id} is lost: stop working on it, someone else may have it")]
    HoldLost {
        /// The message.
        id: MessageId,
    },
    /// The message is longer than the queue takes.
    #[error("a message of {bytes} bytes is too long: the queue takes at most {limit}")]
    BodyTooLong {
        /// Its length in bytes.
        bytes: usize,
        /// The most that is taken.
        limit: usize,
    },
    /// The key can name no object here.
    #[error("the key `{key}` cannot be used: {problem}")]
    Key {
        /// The key.
        key: String,
        /// What is wrong with it and what to do.
        problem: &'static str,
    },
    /// In a folder an object cannot also be the folder of others, as `a` would be beside `a/b`.
    #[error("the key `{key}` clashes at {}: a file stands where a folder is needed, or the reverse", path.display())]
    KeyClash {
        /// The key.
        key: String,
        /// Where it would stand.
        path: PathBuf,
    },
    /// The object is larger than the caller takes.
    #[error("{} has {bytes} bytes, more than the {limit} expected: it is not what Reelpool wrote there", path.display())]
    TooLarge {
        /// The object's file.
        path: PathBuf,
        /// Its size in bytes.
        bytes: u64,
        /// The most that is taken.
        limit: u64,
    },
    /// There is no such file.
    #[error("{} is not there: it was removed or never existed", path.display())]
    NotFound {
        /// The file.
        path: PathBuf,
    },
    /// The master is not the version that was asked for, or it changed while it was fetched.
    #[error("the master {} has changed (expected {expected}, found {found}): its new version is a job of its own", path.display())]
    Changed {
        /// The master.
        path: PathBuf,
        /// The identity expected.
        expected: String,
        /// The identity found.
        found: String,
    },
    /// Another living process holds the lock.
    #[error("{} is in use by {}: stop that one first, or use another directory", path.display(), who(*pid))]
    AlreadyRunning {
        /// The lock file.
        path: PathBuf,
        /// The holder's process id, if it could be read.
        pid: Option<u32>,
    },
    /// Another living worker has this scratch folder.
    #[error("the scratch folder {} belongs to another worker that still runs: give each worker an id of its own", path.display())]
    ScratchInUse {
        /// The folder.
        path: PathBuf,
    },
    /// The folder has content that is no worker's: it is not touched.
    #[error("{} has files in it that are not scratch: name another scratch folder or worker id", path.display())]
    NotScratch {
        /// The folder.
        path: PathBuf,
    },
}

fn who(pid: Option<u32>) -> String {
    pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
}

impl SpoolError {
    /// Sorts a failure of the file system into the kinds that callers treat differently.
    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::NoSpace { path },
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Self::NotWritable { path, source }
            }
            io::ErrorKind::NotFound => Self::NotFound { path },
            _ => Self::Io { action, path, source },
        }
    }

    /// The same for a failure of SQLite.
    pub(crate) fn sqlite(path: &Path, source: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode;
        let path = path.to_owned();
        match source.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::NoSpace { path },
            // SQLite reports a full disk as a plain I/O error where it was growing the log's index.
            Some(ErrorCode::SystemIoFailure) if is_full(&path) => Self::NoSpace { path },
            Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
                Self::NotWritable { path, source: io::Error::other(source) }
            }
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy { path },
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                Self::Damaged { path, detail: source.to_string() }
            }
            _ => Self::Database { path, source },
        }
    }
}

/// Whether the file system of `path` has less room than SQLite takes at a time for its log's index.
fn is_full(path: &Path) -> bool {
    const AT_A_TIME: u64 = 64 * 1024;
    let folder = path.parent().unwrap_or(path);
    rustix::fs::statvfs(folder).is_ok_and(|fs| fs.f_bavail.saturating_mul(fs.f_frsize) < AT_A_TIME)
}
