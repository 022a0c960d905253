//! The finished pieces of a long job, in the store: beside its attempts, for whichever of them goes on.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use reelpool_media::Keep;
use sha2::{Digest, Sha256};
use tokio::time::timeout;

use crate::hex::hex;
use crate::store::Outputs;

/// The longest that the work waits for a piece to be kept: about as long as a piece lasts.
const KEEP_WITHIN: Duration = Duration::from_secs(60);

/// The pieces of one job under one plan.
#[derive(Debug)]
pub(super) struct Pieces<'a> {
    outputs: &'a dyn Outputs,
    prefix: String,
}

/// Where all pieces of a job are; `attempts` is where its attempts are, and ends in a slash.
pub(super) fn folder(attempts: &str) -> String {
    format!("{attempts}pieces/")
}

impl<'a> Pieces<'a> {
    /// Pieces made under a plan of this fingerprint; `attempts` as for [`folder`].
    pub(super) fn new(outputs: &'a dyn Outputs, attempts: &str, fingerprint: &str) -> Self {
        let plan = hex(&Sha256::digest(fingerprint.as_bytes()));
        Self { outputs, prefix: format!("{}{}/", folder(attempts), plan.get(..16).unwrap_or(&plan)) }
    }
}

impl Keep for Pieces<'_> {
    async fn keep(&self, name: &str, file: &Path) {
        let key = format!("{}{name}", self.prefix);
        // Publishing takes the file away, and it is still needed here.
        let twin = file.with_extension("kept");
        let kept = match link_or_copy(file, &twin) {
            Ok(()) => match timeout(KEEP_WITHIN, self.outputs.publish(&twin, &key)).await {
                Ok(published) => published.map_err(|error| error.to_string()),
                Err(_) => Err(format!("the store did not take it in {} s", KEEP_WITHIN.as_secs())),
            },
            Err(error) => Err(error.to_string()),
        };
        if let Err(error) = kept {
            tracing::warn!(%error, piece = name, "a finished piece could not be kept; it may have to be made again");
        }
        let _ = fs::remove_file(&twin);
    }

    async fn take(&self, name: &str, into: &Path) -> bool {
        let key = format!("{}{name}", self.prefix);
        match self.outputs.retrieve(&key, into).await {
            Ok(there) => {
                if there {
                    tracing::info!(piece = name, "made by an earlier attempt");
                }
                there
            }
            Err(error) => {
                tracing::warn!(%error, piece = name, "a kept piece could not be fetched; it is made again");
                let _ = fs::remove_file(into);
                false
            }
        }
    }
}

fn link_or_copy(file: &Path, twin: &Path) -> io::Result<()> {
    fs::hard_link(file, twin).or_else(|_| fs::copy(file, twin).map(drop))
}
