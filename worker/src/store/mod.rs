//! Bytes as a worker sees them: fetch a master, publish renditions, commit a manifest.

mod folder;
mod s3;

use std::fmt;
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use reelpool_protocol::Source;

pub(crate) use folder::failed as of_spool;
pub use folder::{FolderMasters, FolderOutputs};
pub use s3::{S3Masters, S3Outputs};

/// Where masters come from.
#[async_trait]
pub trait Masters: fmt::Debug + Send + Sync {
    /// The source with the version or entity tag that it has now, where the message told neither: what is done
    /// for one version must not count as done for the next.
    async fn identify(&self, source: &Source) -> Result<Source, StoreError>;

    /// Writes the master to the file `into`, which must not exist, and verifies length and checksum.
    ///
    /// Checks first that the disk has room for it. Memory does not grow with the master's size. When the source
    /// names a version or entity tag, exactly that one is fetched, or [`StoreError::Changed`] is the answer.
    /// Returns the size in bytes.
    async fn fetch(&self, source: &Source, into: &Path) -> Result<u64, StoreError>;

    /// Whether what [`Masters::fetch`] put at `into` is still what it was; asked when the work on it is done. Where
    /// a fetch makes a copy of its own, it always is.
    async fn check(&self, source: &Source) -> Result<(), StoreError>;
}

/// Where outputs go. Keys are relative to the output location.
#[async_trait]
pub trait Outputs: fmt::Debug + Send + Sync {
    /// Moves or copies a file to `key`; when it returns, the bytes are durable. An interrupted call leaves nothing that a
    /// reader or the bill would see.
    async fn publish(&self, file: &Path, key: &str) -> Result<(), StoreError>;

    /// Writes what is under `key` to the file `into`, which must not exist, and verifies its length, and its checksum where
    /// the store has one; returns whether there is anything. After an error the file may be there in part.
    async fn retrieve(&self, key: &str, into: &Path) -> Result<bool, StoreError>;

    /// Stores `bytes` under `key` unless something is there, atomically and durably.
    async fn put_if_absent(&self, key: &str, bytes: &[u8]) -> Result<PutIfAbsent, StoreError>;

    /// The bytes under `key`; `None` when there is nothing. For small objects: at most [`MAX_READ`] bytes.
    async fn read(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError>;

    /// Stores `bytes` under `key`, in place of what is there. For small objects.
    async fn put(&self, key: &str, bytes: &[u8]) -> Result<(), StoreError>;

    /// What there is under the prefix `prefix`.
    async fn list(&self, prefix: &str) -> Result<Vec<Listed>, StoreError>;

    /// Removes what is under `key`, if anything is.
    async fn remove(&self, key: &str) -> Result<(), StoreError>;

    /// Removes everything under the prefix `prefix` whose key does not start with `keep`, unfinished uploads too.
    async fn remove_all_but(&self, prefix: &str, keep: Option<&str>) -> Result<(), StoreError>;
}

/// The most bytes [`Outputs::read`] returns: manifests are small.
pub const MAX_READ: u64 = 4 * 1024 * 1024;

/// An object in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its key, relative to the output location.
    pub key: String,
    /// How long ago it was last written, both moments told by the store's own clock, to within a second; `None` where
    /// the store does not tell, or says that it will be written in the future.
    pub age: Option<Duration>,
}

/// What a conditional write found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PutIfAbsent {
    /// Nothing was there; now this is.
    Created,
    /// Something was there and stays.
    AlreadyThere,
}

/// Why bytes could not be fetched or stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// There is no such object.
    #[error("{what} does not exist")]
    NotFound {
        /// What was looked for.
        what: String,
    },
    /// The object is not the version that was asked for.
    #[error("{what} was replaced after the message was sent: its new version has a message of its own")]
    Changed {
        /// What was looked for.
        what: String,
    },
    /// The key cannot be a key here.
    #[error("the key {what} cannot be used here: {detail}")]
    BadKey {
        /// The key.
        what: String,
        /// Why.
        detail: String,
    },
    /// The bytes that arrived are not the bytes that were sent.
    #[error("{what} arrived damaged: {detail}")]
    Damaged {
        /// What was fetched.
        what: String,
        /// Which check failed.
        detail: String,
    },
    /// The disk of this worker or of the store is full.
    #[error("no space left on {place}: {detail}")]
    NoSpace {
        /// Where.
        place: String,
        /// How much was wanted, or what the system said.
        detail: String,
    },
    /// The credentials do not allow it, or there are none.
    #[error("access to {what} is denied: {detail}")]
    Denied {
        /// What was to be read or written.
        what: String,
        /// What the service said.
        detail: String,
    },
    /// Anything that may pass.
    #[error("{what}: the store cannot be reached: {detail}")]
    Unavailable {
        /// What was to be read or written.
        what: String,
        /// What went wrong.
        detail: String,
    },
}

impl StoreError {
    /// A stable category for metrics, dead letters and logs.
    #[must_use]
    pub fn category(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => "master_not_found",
            Self::Changed { .. } => "master_replaced",
            Self::BadKey { .. } => "bad_key",
            Self::Damaged { .. } => "fetch_damaged",
            Self::NoSpace { .. } => "disk_full",
            Self::Denied { .. } => "store_denied",
            Self::Unavailable { .. } => "store_unavailable",
        }
    }

    /// The same failure, met where outputs go: nothing there is a verdict on the master.
    #[must_use]
    pub fn of_outputs(self) -> Self {
        match self {
            Self::NotFound { what } => {
                Self::Unavailable { what, detail: "the place for outputs is not there".to_owned() }
            }
            Self::Changed { what } => Self::Unavailable { what, detail: "it changed meanwhile".to_owned() },
            other => other,
        }
    }

    /// Whether every attempt would meet it. Denied access is not: someone may mend the permission.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        matches!(self, Self::NotFound { .. } | Self::Changed { .. } | Self::BadKey { .. })
    }
}

/// Refuses to start a fetch that would fill the disk: `bytes` must fit with as much again for the outputs.
pub(crate) fn check_room(folder: &Path, bytes: u64) -> Result<(), StoreError> {
    // What is left to everyone else on the disk.
    const SPARE: u64 = 16 * 1024 * 1024;
    let place = || folder.display().to_string();
    let stat = rustix::fs::statvfs(folder)
        .map_err(|error| StoreError::Unavailable { what: place(), detail: error.to_string() })?;
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    let wanted = bytes.saturating_mul(2).saturating_add(SPARE);
    if free < wanted {
        let detail = format!(
            "{free} bytes are free, a master of {bytes} bytes needs {wanted}: free some, or put the scratch folder on a larger disk"
        );
        return Err(StoreError::NoSpace { place: place(), detail });
    }
    Ok(())
}
