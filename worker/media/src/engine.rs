//! The door to this crate: the tools, how they are locked in, and how much they may use.

use std::future::Future;
use std::path::Path;

use crate::error::MediaError;
use crate::limits::Limits;
use crate::progress::Progress;
use crate::sandbox::Sandbox;
use crate::source::Source;
use crate::tools::Tools;
use crate::transcode::{Job, Keep, Transcoded};
use crate::{probe, transcode};

/// Everything that a probe and a transcode need beside the master.
#[derive(Debug, Clone)]
pub struct Engine {
    /// ffmpeg and ffprobe.
    pub tools: Tools,
    /// How they are started.
    pub sandbox: Sandbox,
    /// How much they may use.
    pub limits: Limits,
}

impl Engine {
    /// Looks into the master at `input` (an absolute path). Dropping the future kills the child.
    pub async fn probe(&self, input: &Path) -> Result<Source, MediaError> {
        probe::probe(self, input).await
    }

    /// Turns a master into the renditions of its plan, one ffmpeg for all, and verifies each of them.
    ///
    /// What is done of a long master is given to `keep` piece by piece, and what is found there is not done again.
    /// `progress` is called about once a second. When `cancel` ends, ffmpeg is killed at once and the result is
    /// [`MediaError::Cancelled`]; pass `std::future::pending()` for never. Dropping the future kills ffmpeg too.
    /// After an error the output folder may hold partial files; it is the caller's to empty.
    pub async fn transcode(
        &self,
        job: &Job<'_>,
        keep: &impl Keep,
        progress: impl FnMut(Progress) + Send,
        cancel: impl Future<Output = ()> + Send,
    ) -> Result<Transcoded, MediaError> {
        self.tools.check(job.plan.encoder, job.plan.profile.quality())?;
        let mut done = transcode::transcode(self, job, keep, progress, cancel).await?;
        done.warnings.extend(job.plan.notes.iter().cloned());
        Ok(done)
    }
}
