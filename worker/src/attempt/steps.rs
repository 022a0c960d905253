//! The steps of a job, each from the facts of the one before.

use std::sync::Arc;
use std::time::Duration;

use reelpool_media::{Job, Plan, PlanOptions, Progress, plan};
use reelpool_protocol::event::Outcome;
use reelpool_protocol::manifest::{ATTEMPTS, Manifest, Timings};
use reelpool_protocol::message::{Message, parse};
use reelpool_protocol::status::Stage;
use reelpool_protocol::{JobId, JobRequest, Source};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

use super::Desk;
use super::in_hand::{InHand, committed, local, out_of_order};
use super::pieces::{self, Pieces};
use crate::claim::{Claim, Taken, holds_for};
use crate::job::{Action, Fact, Failure};
use crate::made::{Asked, Made};
use crate::queue::Received;
use crate::state::{Advance, millis};
use crate::store::{Outputs, PutIfAbsent};

/// How often the manifest is tried to be written before the attempt is given up.
const COMMIT_TRIES: u32 = 5;
/// How often it is tried to remove what other attempts have left.
const SWEEP_TRIES: u32 = 5;
/// What is kept of the longest hold for publishing, committing and settling.
const TO_SETTLE: Duration = Duration::from_secs(15 * 60);
/// The longest that an attempt which is over waits for the store to remove what it left there.
const TO_LEAVE: Duration = Duration::from_secs(20);

/// A message and the job of it that is in hand.
#[derive(Debug)]
pub(super) struct Steps<'a> {
    desk: &'a Desk,
    message: &'a Received,
    received: Instant,
    beats: watch::Receiver<u64>,
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

impl<'a> Steps<'a> {
    /// The steps for `message`, the hold on which is extended at each of `beats`.
    pub(super) fn new(desk: &'a Desk, message: &'a Received, beats: watch::Receiver<u64>) -> Self {
        Self { desk, message, received: Instant::now(), beats, jobs: Vec::new(), job: None, told: false }
    }

    /// Does what `action` asks for.
    pub(super) async fn perform(&mut self, action: &Action) -> Fact {
        let done = match action {
            Action::Parse => self.parse(),
            Action::Claim { job, regardless } => self.claim(*job, *regardless).await,
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

    /// For how long the message may still be hidden; `None` where holds have no limit.
    pub(super) fn may_hold(&self) -> Option<Duration> {
        // A minute less: the queue counts from when it sent the message.
        let longest = self.desk.queue.longest_hold()?.saturating_sub(Duration::from_secs(60));
        Some(longest.saturating_sub(self.received.elapsed()))
    }

    /// How long a transcode may take, so that its end can still be settled; `None` where holds have no limit.
    fn may_take(&self) -> Option<Duration> {
        Some(self.may_hold()?.saturating_sub(TO_SETTLE))
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

    async fn claim(&mut self, job: usize, regardless: bool) -> Result<Fact, Failure> {
        let desk = self.desk;
        let request = self.jobs.get(job).cloned();
        let JobRequest { source, ladder, profile } = request.ok_or_else(|| out_of_order("that job"))?;
        let ladder = ladder.unwrap_or_else(|| desk.ladder.clone());
        let (profile, as_made) = match profile {
            Some(own) => (own.clone(), own),
            None => (desk.profile.profile().clone(), desk.profile.as_made().clone()),
        };
        let job = InHand {
            job_id: JobId::of(&source, &ladder, &profile),
            source,
            ladder,
            profile,
            as_made,
            attempt: Uuid::now_v7().simple().to_string(),
            since: Instant::now(),
            timings: Timings::default(),
            dir: None,
            media: None,
            made: None,
            unclaimed: false,
            in_pieces: false,
            claim: None,
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
        if job.source.version.is_none() && job.source.etag.is_none() {
            job.source = desk.masters.identify(&job.source).await?;
            job.job_id = JobId::of(&job.source, &job.ladder, &job.profile);
            desk.state.begin_job(job.job_id, &job.attempt, &job.source);
        }
        if committed(&*desk.outputs, job).await?.is_none() {
            if let Some(left) = self.take_claim(regardless).await? {
                return Ok(Fact::ClaimedElsewhere(left));
            }
            // A holder that was done between that look and the claim has left a manifest.
            let job = self.job()?;
            if committed(&*desk.outputs, job).await?.is_none() {
                return Ok(Fact::Done);
            }
        }
        self.job()?.outcome = Some(Outcome::AlreadyDone);
        Ok(Fact::FoundDone)
    }

    /// Takes the claim on the job; says for how long another worker will be at it, where one is and this attempt is not
    /// to go on `regardless`. A claim that cannot be taken does not keep from working.
    async fn take_claim(&mut self, regardless: bool) -> Result<Option<Duration>, Failure> {
        let desk = self.desk;
        let beats = self.beats.clone();
        let job = self.job()?;
        let holds_for = holds_for(desk.heartbeat.visibility());
        let outputs = Arc::clone(&desk.outputs);
        let claim = Claim::new(outputs, job.prefix(), &job.attempt, desk.state.worker(), holds_for);
        // Before it is taken: cut short, it may stand.
        let claim = job.claim.insert(claim);
        match claim.take(regardless).await {
            Ok(Taken::Ours) => {
                let state = Arc::clone(&desk.state);
                claim.keep(desk.heartbeat.runtime(), beats, move || state.time_left());
            }
            Ok(Taken::Elsewhere(left)) => {
                job.claim = None;
                if !regardless {
                    return Ok(Some(left));
                }
                tracing::info!("another worker is at the job, but this may be the message's last receive");
            }
            Err(error) => {
                tracing::warn!(%error, "the job could not be claimed; others may do it too meanwhile");
            }
        }
        Ok(None)
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
        let receives = self.message.receives;
        let job = self.job()?;
        desk.state.stage(Stage::Probing);
        let start = Instant::now();
        let probed = desk.engine.probe(&job.master_path()?).await;
        job.media = Some(probed.map_err(|error| Failure::of_media(&error, receives))?);
        job.timings.probe_ms = millis(start.elapsed());
        Ok(Fact::Done)
    }

    async fn transcode(&mut self) -> Result<Fact, Failure> {
        let desk = self.desk;
        let receives = self.message.receives;
        let may_take = self.may_take();
        let job = self.job()?;
        desk.state.stage(Stage::Transcoding);
        let start = Instant::now();
        let source = job.media.as_ref().ok_or_else(|| out_of_order("a probed master"))?;
        let mut engine = desk.engine.clone();
        let deadline = engine.limits.deadline_for(source.pixels_in_all());
        engine.limits.deadline = Some(may_take.map_or(deadline, |may_take| deadline.min(may_take)));
        let options = PlanOptions { profile: job.as_made.clone(), threads: desk.engine.limits.threads };
        let plan: Plan = plan(source, &job.ladder, &options);
        let out = job.dir()?.join("out");
        tokio::fs::create_dir(&out).await.map_err(|error| local("make the output folder", error))?;
        let progress = |progress: Progress| {
            let Progress { permille, speed_milli, left, .. } = progress;
            desk.state.advance(Advance { permille, speed_milli, left });
        };
        let never = std::future::pending();
        let (attempts, fingerprint) = (job.attempts(), plan.fingerprint(&engine.tools));
        job.in_pieces = plan.grid.pieces.len() > 1;
        let keep = Pieces::new(&*desk.outputs, &attempts, &fingerprint);
        let input = job.master_path()?;
        let source = job.media.as_ref().ok_or_else(|| out_of_order("a probed master"))?;
        let whole = Job { input: &input, source, plan: &plan, out_dir: &out };
        let made = engine.transcode(&whole, &keep, progress, never).await;
        let transcoded = made.map_err(|error| Failure::of_media(&error, receives))?;
        let made = Made::of(transcoded, format!("{ATTEMPTS}/{}/", job.attempt)).await;
        job.made = Some(made.map_err(|error| local("read the renditions", error))?);
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
        for (file, path) in made.files() {
            desk.outputs.publish(file, &format!("{prefix}/{path}")).await?;
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
        let manifest = made.manifest(&Asked {
            job_id: job.job_id,
            attempt: &job.attempt,
            worker: desk.state.worker(),
            source: &job.source,
            ladder: &job.ladder,
            profile: &job.as_made,
            timings: job.timings,
        });
        let text =
            serde_json::to_vec_pretty(&manifest).map_err(|error| local("write the manifest", error))?;
        let Manifest { renditions, warnings, .. } = manifest;
        // From here on this attempt's outputs may be the outputs, even if the answer is lost.
        job.unclaimed = false;
        let ours = self.write_manifest(&text).await?;
        let job = self.job()?;
        if ours {
            job.outcome = Some(Outcome::Committed { renditions, warnings });
            return Ok(Fact::Done);
        }
        job.outcome = Some(Outcome::AlreadyDone);
        Ok(Fact::CommitLost)
    }

    /// Writes the manifest, asking again where the answer is lost. Returns whether it is this attempt's that stands.
    async fn write_manifest(&mut self, text: &[u8]) -> Result<bool, Failure> {
        let desk = self.desk;
        let job = self.job()?;
        let mut tries = 0;
        let mut in_doubt = false;
        loop {
            let failure: Failure = match desk.outputs.put_if_absent(&job.manifest_key(), text).await {
                Ok(PutIfAbsent::Created) => return Ok(true),
                // It may be our own: a try that failed for us may have reached the store.
                Ok(PutIfAbsent::AlreadyThere) => match committed(&*desk.outputs, job).await {
                    Ok(Some(manifest)) => return Ok(manifest.attempt == job.attempt),
                    Ok(None) => {
                        Failure::transient("store_unavailable", "the manifest is there and cannot be read")
                    }
                    Err(failure) => failure,
                },
                Err(error) => error.into(),
            };
            tries += 1;
            in_doubt |= !failure.permanent;
            // No try can have reached the store: these outputs are nobody's.
            job.unclaimed = !in_doubt;
            if failure.permanent || tries >= COMMIT_TRIES {
                return Err(failure);
            }
            tracing::warn!(%failure, tries, "the manifest could not be written; trying again");
            sleep(Duration::from_millis(250 << tries)).await;
        }
    }

    /// Removes all attempts but the one that the manifest names. None of them can be committed any more.
    async fn clean_up(&mut self) -> Result<Fact, Failure> {
        let desk = self.desk;
        let job = self.job()?;
        desk.state.stage(Stage::Committing);
        job.dir = None;
        if let Some(claim) = &mut job.claim {
            claim.rest().await;
        }
        // What is left now is left for ever: when the message is deleted nobody comes back for it.
        let mut tries = 1;
        while let Err(failure) = sweep(&*desk.outputs, job).await {
            if failure.permanent || tries >= SWEEP_TRIES {
                return Err(failure);
            }
            tracing::warn!(%failure, tries, "could not clean up; trying again");
            sleep(Duration::from_millis(250 << tries)).await;
            tries += 1;
        }
        Ok(Fact::Done)
    }

    /// Removes what an attempt that was not committed has left here and in the store, its claim last: whoever takes the
    /// job next is to find all else gone.
    pub(super) async fn leave(&mut self) {
        let desk = self.desk;
        let Some(job) = &mut self.job else { return };
        job.dir = None;
        if std::mem::take(&mut job.unclaimed) {
            let own = format!("{}{}/", job.attempts(), job.attempt);
            match timeout(TO_LEAVE, desk.outputs.remove_all_but(&own, None)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    tracing::warn!(%error, "the outputs of the unfinished attempt could not be removed");
                }
                Err(_) => {
                    tracing::warn!("the outputs of the unfinished attempt could not be removed in time");
                }
            }
        }
        if let Some(claim) = job.claim.take() {
            claim.release().await;
        }
    }

    /// Removes the finished pieces of a job that is given up: nobody goes on with it.
    pub(super) async fn forget_pieces(&mut self) {
        let Some(job) = self.job.as_mut().filter(|job| job.in_pieces) else { return };
        let folder = pieces::folder(&job.attempts());
        let removed = timeout(TO_LEAVE, self.desk.outputs.remove_all_but(&folder, None)).await;
        if !matches!(removed, Ok(Ok(()))) {
            tracing::warn!("the finished pieces of a job that was given up could not be removed");
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

/// Removes all attempts and claims but the attempt that the manifest names.
async fn sweep(outputs: &dyn Outputs, job: &mut InHand) -> Result<(), Failure> {
    if let Some(manifest) = committed(outputs, job).await? {
        let attempts = job.attempts();
        let winner = format!("{attempts}{}/", manifest.attempt);
        outputs.remove_all_but(&attempts, Some(&winner)).await?;
        // It went with the attempts.
        job.claim = None;
    }
    Ok(())
}
