//! Pieces that are done are kept where another attempt finds them.

use std::future::Future;
use std::path::Path;

/// Where the pieces of a job are kept, so that an attempt that ends early costs one of them at most. Names are those
/// of [`PIECES`](crate::arguments::PIECES), such as `00003-720p.mp4`, and mean the same for every attempt with the
/// same [`Plan::fingerprint`](crate::Plan::fingerprint).
pub trait Keep: Send + Sync {
    /// Keeps a finished piece. A failure costs time at most: it is the keeper's to tell.
    fn keep(&self, name: &str, file: &Path) -> impl Future<Output = ()> + Send;

    /// Writes the piece that was kept under `name` to `into`, which does not exist. Says whether there was one; what was
    /// found is looked into before it is used.
    fn take(&self, name: &str, into: &Path) -> impl Future<Output = bool> + Send;
}

/// Keeps nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct KeepNothing;

impl Keep for KeepNothing {
    async fn keep(&self, _name: &str, _file: &Path) {}

    async fn take(&self, _name: &str, _into: &Path) -> bool {
        false
    }
}
