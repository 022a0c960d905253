//! The steps of a job, each from the facts of the one before.

use std::path::{Path, PathBuf};
use std::time::Duration;

use reelpool_media::{MediaError, Plan, PlanOptions, Progress, RenditionFile, Transcoded, plan};
use reelpool_protocol::event::Outcome;
use reelpool_protocol::manifest::{ATTEMPTS, FILE_NAME, FORMAT, Manifest, MasterInfo, Rendition, Timings};
use reelpool_protocol::message::{Message, parse};
use reelpool_protocol::status::Stage;
use reelpool_protocol::{JobId, JobRequest, Ladder, Source};
use reelpool_spool::AttemptDir;
use sha2::{Digest, Sha256};
use tokio::time::Instant;
use uuid::Uuid;

use super::Desk;
use crate::hex::hex;
use crate::job::{Action, Fact, Failure};
use crate::queue::Received;
use crate::state::{Advance, millis};
use crate::store::{PutIfAbsent, StoreError};

/// A message and the job of it that is in hand.
#[derive(Debug)]
pub(super) struct Steps<'a> {
    desk: &'a Desk,
    message: &'a Received,
    jobs: Vec<JobRequest>,
    job: Option<InHand>,
    told: bool,
}

/// How a job ended, for those who want to know.
#[derive(Debug)]
pub(super) struct Ended {
    pub job_id: Option<JobId>,
    pub source: Option<Source>,
    pub outcome: Outcome,
    pub held: Duration,
}

/// What is known of the job in hand; each step adds to it.
#[derive(Debug)]
struct InHand {
    job_id: JobId,
    source: Source,
    ladder: Ladder,
    /// This attempt's name: no other attempt of any worker has it.
    attempt: String,
    since: Instant,
    timings: Timings,
    dir: Option<AttemptDir>,
    media: Option<reelpool_media::Source>,
    made: Option<Made>,
    /// Whether outputs of this attempt may be in the store without being the outputs.
    unclaimed: bool,
    outcome: Option<Outcome>,
}

/// What the transcode made.
#[derive(Debug)]
struct Made {
    master: MasterInfo,
    files: Vec<(PathBuf, Rendition)>,
    warnings: Vec<String>,
}

impl InHand {
    fn prefix(&self) -> String {
        self.job_id.output_prefix(&self.source)
    }

    fn manifest_key(&self) -> String {
        format!("{}/{FILE_NAME}", self.prefix())
    }

    /// Where the attempts of this job stand; ends in a slash.
    fn attempts(&self) -> String {
        format!("{}/{ATTEMPTS}/", self.prefix())
    }

    fn master_path(&self) -> Result<PathBuf, Failure> {
        Ok(self.dir()?.join("master"))
    }

    fn dir(&self) -> Result<&Path, Failure> {
        self.dir.as_ref().map(AttemptDir::path).ok_or_else(|| out_of_order("a scratch folder"))
    }
}

/// The life of a job never asks for a step before those it builds on.
fn out_of_order(missing: &str) -> Failure {
    Failure::transient("internal", format!("a step was asked for before there was {missing}"))
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self { permanent: error.is_permanent(), reason: error.category(), detail: error.to_string() }
    }
}

impl From<MediaError> for Failure {
    fn from(error: MediaError) -> Self {
        Self { permanent: error.is_permanent(), reason: error.category(), detail: error.detail() }
    }
}

impl<'a> Steps<'a> {
    pub(super) fn new(desk: &'a Desk, message: &'a Received) -> Self {
        Self { desk, message, jobs: Vec::new(), job: None, told: false }
    }

    /// Does what `action` asks for.
    pub(super) async fn perform(&mut self, action: &Action) -> Fact {
        let done = match action {
            Action::Parse => self.parse(),
            Action::Claim { job } => self.claim(*job).await,
            Action::Fetch => self.fetch().await,
            Action::Probe => self.probe().await,
            Action::Transcode => self.transcode().await,
            Action::Publish => self.publish().await,
            Action::Commit => self.commit().await,
            Action::CleanUp => self.clean_up().await,
            _ => Ok(Fact::Done),
        };
        done.unwrap_or_else(Fact::Failed)
    }

    fn job(&mut self) -> Result<&mut InHand, Failure> {
        self.job.as_mut().ok_or_else(|| out_of_order("a job"))
    }

    fn parse(&mut self) -> Result<Fact, Failure> {
        match parse(&self.message.body) {
            Ok(Message::Jobs(jobs)) => self.jobs = jobs,
            Ok(Message::Nothing(why)) => tracing::info!(why = why.as_str(), "the message asks for nothing"),
            Err(error) => return Err(Failure::permanent(error.category(), error)),
        }
        Ok(Fact::Parsed { jobs: self.jobs.len() })
    }

    async fn claim(&mut self, job: usize) -> Result<Fact, Failure> {
        let desk = self.desk;
        let request = self.jobs.get(job).cloned().ok_or_else(|| out_of_order("that job"))?;
        let ladder = request.ladder.unwrap_or_else(|| desk.ladder.clone());
        let job = InHand {
            job_id: JobId::of(&request.source, &ladder),
            source: request.source,
            ladder,
            attempt: Uuid::now_v7().simple().to_string(),
            since: Instant::now(),
            timings: Timings::default(),
            dir: None,
            media: None,
            made: None,
            unclaimed: false,
            outcome: None,
        };
        self.told = false;
        desk.state.begin_job(job.job_id, &job.attempt, &job.source);
        let job = self.job.insert(job);
        if !desk.allowed.holds(&job.source) {
            let detail = format!(
                "{} is not in {}, the only place this pool takes masters from: send it to the right queue, or change --masters",
                job.source, desk.allowed
            );
            return Err(Failure::permanent("master_not_allowed", detail));
        }
        if desk.outputs.read(&job.manifest_key()).await?.is_some() {
            job.outcome = Some(Outcome::AlreadyDone);
            return Ok(Fact::FoundDone);
        }
        Ok(Fact::Done)
    }

    async fn fetch(&mut self) -> Result<Fact, Failure> {
        let desk = self.desk;
        let job = self.job()?;
        desk.state.stage(Stage::Fetching);
        let start = Instant::now();
        let dir =
            desk.scratch.attempt_dir(&job.attempt).map_err(|error| local("make a scratch folder", error))?;
        job.dir = Some(dir);
        desk.masters.fetch(&job.source, &job.master_path()?).await?;
        job.timings.fetch_ms = millis(start.elapsed());
        Ok(Fact::Done)
    }

    async fn probe(&mut self) -> Result<Fact, Failure> {
        let desk = self.desk;
        let job = self.job()?;
        desk.state.stage(Stage::Probing);
        let start = Instant::now();
        job.media = Some(desk.engine.probe(&job.master_path()?).await?);
        job.timings.probe_ms = millis(start.elapsed());
        Ok(Fact::Done)
    }

    async fn transcode(&mut self) -> Result<Fact, Failure> {
        let desk = self.desk;
        let job = self.job()?;
        desk.state.stage(Stage::Transcoding);
        let start = Instant::now();
        let source = job.media.as_ref().ok_or_else(|| out_of_order("a probed master"))?;
        let options = PlanOptions { preset: desk.preset, threads: desk.engine.limits.threads };
        let plan: Plan = plan(source, &job.ladder, &options);
        let out = job.dir()?.join("out");
        tokio::fs::create_dir(&out).await.map_err(|error| local("make the output folder", error))?;
        let progress = |progress: Progress| {
            let Progress { permille, speed_milli, left, .. } = progress;
            desk.state.advance(Advance { permille, speed_milli, left });
        };
        let never = std::future::pending();
        let Transcoded { renditions, warnings, master } =
            desk.engine.transcode(&job.master_path()?, source, &plan, &out, progress, never).await?;
        let base = format!("{ATTEMPTS}/{}", job.attempt);
        let files = tokio::task::spawn_blocking(move || {
            renditions.into_iter().map(|file| describe(file, &base)).collect::<std::io::Result<Vec<_>>>()
        });
        let files = files.await.map_err(|error| local("read the renditions", error))?;
        let files = files.map_err(|error| local("read the renditions", error))?;
        job.made = Some(Made { master, files, warnings });
        job.timings.transcode_ms = millis(start.elapsed());
        Ok(Fact::Done)
    }

    async fn publish(&mut self) -> Result<Fact, Failure> {
        let desk = self.desk;
        let job = self.job()?;
        desk.state.stage(Stage::Publishing);
        let start = Instant::now();
        let prefix = job.prefix();
        job.unclaimed = true;
        let made = job.made.as_ref().ok_or_else(|| out_of_order("renditions"))?;
        for (file, rendition) in &made.files {
            desk.outputs.publish(file, &format!("{prefix}/{}", rendition.path)).await?;
        }
        job.timings.publish_ms = millis(start.elapsed());
        Ok(Fact::Done)
    }

    async fn commit(&mut self) -> Result<Fact, Failure> {
        let desk = self.desk;
        let job = self.job()?;
        desk.state.stage(Stage::Committing);
        desk.masters.check(&job.source).await?;
        let made = job.made.as_ref().ok_or_else(|| out_of_order("renditions"))?;
        let renditions: Vec<_> = made.files.iter().map(|(_, rendition)| rendition.clone()).collect();
        let manifest = Manifest {
            format: FORMAT,
            job_id: job.job_id,
            attempt: job.attempt.clone(),
            worker: desk.state.worker().to_owned(),
            source: job.source.clone(),
            ladder: job.ladder.clone(),
            master: made.master.clone(),
            renditions: renditions.clone(),
            warnings: made.warnings.clone(),
            timings: job.timings,
        };
        let text =
            serde_json::to_vec_pretty(&manifest).map_err(|error| local("write the manifest", error))?;
        let warnings = made.warnings.clone();
        // From here on this attempt's outputs may be the outputs, even if the answer is lost.
        job.unclaimed = false;
        let put = desk.outputs.put_if_absent(&job.manifest_key(), &text).await?;
        let ours = match put {
            PutIfAbsent::Created => true,
            // An earlier try of this very write may have succeeded with its answer lost.
            PutIfAbsent::AlreadyThere => winner(desk, job).await?.as_ref() == Some(&job.attempt),
        };
        if ours {
            job.outcome = Some(Outcome::Committed { renditions, warnings });
            return Ok(Fact::Done);
        }
        job.outcome = Some(Outcome::AlreadyDone);
        Ok(Fact::CommitLost)
    }

    /// Removes all attempts but the one that the manifest names. None of them can be committed any more.
    async fn clean_up(&mut self) -> Result<Fact, Failure> {
        let desk = self.desk;
        let job = self.job()?;
        desk.state.stage(Stage::Committing);
        job.dir = None;
        if let Some(winner) = winner(desk, job).await? {
            let attempts = job.attempts();
            desk.outputs.remove_all_but(&attempts, Some(&format!("{attempts}{winner}/"))).await?;
        }
        Ok(Fact::Done)
    }

    /// Removes what an attempt that was not committed has left here and in the store.
    pub(super) async fn leave(&mut self) {
        let desk = self.desk;
        let Some(job) = &mut self.job else { return };
        job.dir = None;
        if std::mem::take(&mut job.unclaimed) {
            let own = format!("{}{}/", job.attempts(), job.attempt);
            if let Err(error) = desk.outputs.remove_all_but(&own, None).await {
                tracing::warn!(%error, "the outputs of the unfinished attempt could not be removed");
            }
        }
    }

    /// Whether the end of every job so far has been told.
    pub(super) fn told(&self) -> bool {
        self.told
    }

    /// Lets go of the job in hand; says how it ended, by `outcome` or by what its steps found.
    pub(super) fn end_job(&mut self, outcome: Option<Outcome>) -> Ended {
        self.told = true;
        let job = self.job.take();
        let held = job.as_ref().map(|job| job.since.elapsed()).unwrap_or_default();
        let found = job.as_ref().and_then(|job| job.outcome.clone());
        Ended {
            job_id: job.as_ref().map(|job| job.job_id),
            source: job.map(|job| job.source),
            outcome: outcome.or(found).unwrap_or(Outcome::AlreadyDone),
            held,
        }
    }
}

/// The attempt that the job's manifest names; `None` when there is no manifest.
async fn winner(desk: &Desk, job: &InHand) -> Result<Option<String>, Failure> {
    let Some(text) = desk.outputs.read(&job.manifest_key()).await? else {
        return Ok(None);
    };
    let manifest: Manifest = serde_json::from_slice(&text).map_err(|error| {
        let detail = format!("{}: {error}: remove it, and send the message again", job.manifest_key());
        Failure::permanent("manifest_unreadable", detail)
    })?;
    Ok(Some(manifest.attempt))
}

/// A failure of this machine, not of the job.
fn local(what: &str, error: impl std::fmt::Display) -> Failure {
    Failure::transient("local_io", format!("cannot {what}: {error}"))
}

/// A rendition's entry in the manifest; `base` is its folder relative to the manifest.
fn describe(file: RenditionFile, base: &str) -> std::io::Result<(PathBuf, Rendition)> {
    let name = file.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let rendition = Rendition {
        path: format!("{base}/{name}"),
        width: file.width,
        height: file.height,
        frames: file.frames,
        duration_ms: file.duration_ms,
        bytes: file.bytes,
        sha256: sha256(&file.path)?,
        audio: file.audio,
        name: file.name,
    };
    Ok((file.path, rendition))
}

fn sha256(path: &Path) -> std::io::Result<String> {
    let mut hash = Sha256::new();
    let mut file = std::fs::File::open(path)?;
    let mut buffer = vec![0; 1 << 18];
    loop {
        match std::io::Read::read(&mut file, &mut buffer)? {
            0 => return Ok(hex(&hash.finalize())),
            n => hash.update(&buffer[..n]),
        }
    }
}
