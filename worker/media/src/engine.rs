//! The door to this crate: the tools, how they are locked in, and how much they may use.

use std::future::Future;
use std::path::Path;

use crate::error::MediaError;
use crate::limits::Limits;
use crate::plan::Plan;
use crate::progress::Progress;
use crate::sandbox::Sandbox;
use crate::source::Source;
use crate::tools::Tools;
use crate::transcode::Transcoded;
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

    /// Turns the master at `input` into the renditions of `plan` in the existing, empty folder `out_dir` (both
    /// absolute paths), one ffmpeg for all, and verifies each of them.
    ///
    /// `progress` is called about once a second. When `cancel` ends, ffmpeg is killed at once and the result is
    /// [`MediaError::Cancelled`]; pass `std::future::pending()` for never. Dropping the future kills ffmpeg too.
    /// After an error the folder may hold partial files; it is the caller's to empty.
    pub async fn transcode(
        &self,
        input: &Path,
        source: &Source,
        plan: &Plan,
        out_dir: &Path,
        progress: impl FnMut(Progress) + Send,
        cancel: impl Future<Output = ()> + Send,
    ) -> Result<Transcoded, MediaError> {
        self.tools.check(plan.encoder)?;
        let job = transcode::Job { input, source, plan, out_dir };
        let mut done = transcode::transcode(self, &job, progress, cancel).await?;
        done.warnings.extend(plan.notes.iter().cloned());
        Ok(done)
    }
}
