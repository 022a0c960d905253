//! What is known of the job in hand.

use std::path::{Path, PathBuf};

use reelpool_media::MediaError;
use reelpool_protocol::event::Outcome;
use reelpool_protocol::manifest::{ATTEMPTS, FILE_NAME, FORMAT, Manifest, Timings};
use reelpool_protocol::{JobId, Ladder, Profile, Source};
use reelpool_spool::AttemptDir;
use tokio::time::Instant;

use crate::claim::Claim;
use crate::job::Failure;
use crate::made::Made;
use crate::store::{Outputs, StoreError};

/// What an overloaded or ailing machine can bring about too: final only when it was met before.
const MAY_BE_THE_MACHINE: [&str; 5] =
    ["deadline", "stalled", "ffmpeg_crashed", "ffmpeg_failed", "verification_failed"];

/// What is known of the job in hand; each step adds to it.
#[derive(Debug)]
pub(super) struct InHand {
    pub(super) job_id: JobId,
    pub(super) source: Source,
    pub(super) ladder: Ladder,
    /// What tells the job from others of the same master and ladder.
    pub(super) profile: Profile,
    /// The same as this worker makes it.
    pub(super) as_made: Profile,
    /// This attempt's name: no other attempt of any worker has it.
    pub(super) attempt: String,
    pub(super) since: Instant,
    pub(super) timings: Timings,
    pub(super) dir: Option<AttemptDir>,
    pub(super) media: Option<reelpool_media::Source>,
    pub(super) made: Option<Made>,
    /// Whether outputs of this attempt may be in the store without being the outputs.
    pub(super) unclaimed: bool,
    /// Whether finished pieces of the job may be in the store.
    pub(super) in_pieces: bool,
    /// This attempt's claim on the job, once it may stand in the store.
    pub(super) claim: Option<Claim>,
    pub(super) outcome: Option<Outcome>,
}

impl InHand {
    pub(super) fn prefix(&self) -> String {
        self.job_id.output_prefix(&self.source)
    }

    pub(super) fn manifest_key(&self) -> String {
        format!("{}/{FILE_NAME}", self.prefix())
    }

    /// Where the attempts of this job stand; ends in a slash.
    pub(super) fn attempts(&self) -> String {
        format!("{}/{ATTEMPTS}/", self.prefix())
    }

    pub(super) fn master_path(&self) -> Result<PathBuf, Failure> {
        Ok(self.dir()?.join("master"))
    }

    pub(super) fn dir(&self) -> Result<&Path, Failure> {
        self.dir.as_ref().map(AttemptDir::path).ok_or_else(|| out_of_order("a scratch folder"))
    }
}

/// The life of a job never asks for a step before those it builds on.
pub(super) fn out_of_order(missing: &str) -> Failure {
    Failure::transient("internal", format!("a step was asked for before there was {missing}"))
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self { permanent: error.is_permanent(), reason: error.category(), detail: error.to_string() }
    }
}

impl Failure {
    /// What ffmpeg's failure means for a message that was received `receives` times.
    pub(super) fn of_media(error: &MediaError, receives: u32) -> Self {
        let reason = error.category();
        let doubtful = receives < 2 && MAY_BE_THE_MACHINE.contains(&reason);
        Self { permanent: error.is_permanent() && !doubtful, reason, detail: error.detail() }
    }
}

/// The manifest of the job, which names the attempt that won; `None` when there is none yet.
pub(super) async fn committed(outputs: &dyn Outputs, job: &InHand) -> Result<Option<Manifest>, Failure> {
    let key = job.manifest_key();
    let Some(text) = outputs.read(&key).await? else { return Ok(None) };
    let unreadable = |detail: String| {
        Failure::permanent(
            "manifest_unreadable",
            format!("{key}: {detail}: remove it, and send the message again"),
        )
    };
    let manifest: Manifest = serde_json::from_slice(&text).map_err(|error| unreadable(error.to_string()))?;
    if manifest.format != FORMAT {
        return Err(unreadable(format!("it has the form {}, this worker knows {FORMAT}", manifest.format)));
    }
    if manifest.job_id != job.job_id {
        return Err(unreadable(format!("it is the manifest of the job {}", manifest.job_id)));
    }
    Ok(Some(manifest))
}

/// A failure of this machine, not of the job.
pub(super) fn local(what: &str, error: impl std::fmt::Display) -> Failure {
    Failure::transient("local_io", format!("cannot {what}: {error}"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_a_machine_can_bring_about_is_a_verdict_only_when_it_is_met_again() {
        let late =
            || MediaError::Deadline { what: "probing", after: Duration::from_secs(30), tail: String::new() };
        let stalled = || MediaError::Stalled { after: Duration::from_secs(120), tail: String::new() };
        for error in [late(), stalled()] {
            assert!(
                !Failure::of_media(&error, 1).permanent && Failure::of_media(&error, 2).permanent,
                "{error}"
            );
        }
        assert!(Failure::of_media(&MediaError::Empty, 1).permanent);
        let killed = MediaError::Killed { program: "ffmpeg", signal: 9, tail: String::new() };
        assert!(!Failure::of_media(&killed, 9).permanent);
    }
}
