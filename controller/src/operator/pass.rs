//! One pass over one pool: observe, validate, decide, plan, apply, tell.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::jiff;
use kube::{Resource, ResourceExt};
use reelpool_api::condition::Reason as Why;
use reelpool_api::{WorkerPool, WorkerPoolStatus};
use reelpool_core::policy::expected_start_up;
use reelpool_core::replay::Record;
use reelpool_core::{Decision, Millis, Observation, Sample, Timestamp, WorkerId, check};
use tokio::time::Instant;
use tracing::Instrument;

use super::apply::{ApplyError, Hands, LOWER_WITHIN};
use super::build;
use super::context::Context;
use super::deployment::DeploymentView;
use super::drain_key;
use super::events::What;
use super::members::Members;
use super::observe::Answers;
use super::plan::{DRAIN_TERM_SECONDS, Fleet, Held, Known, Plan, plan};
use super::pods::{PodView, STATUS_PORT};
use super::state::{Applied, PoolState};
use super::status::{self, Facts, Finding, Findings};
use super::validate::{Defaults, InvalidPool, ValidFleet, ValidPool, validate};
use crate::fleet::{FleetClient, Question};
use crate::metrics::{PoolFacts, PoolName};
use crate::queue::QueueError;
use crate::telemetry;

/// How soon to look again when another wrote at the same time, or when a step waits for the next pass.
const SOON: Duration = Duration::from_millis(200);
/// How long to wait after a failure of the API server, at first and at most.
const API_BACKOFF: (Millis, Millis) = (Millis::from_secs(1), Millis::from_secs(60));
/// How long to wait after a failure of the queue, at first and at most: short enough to come back by itself soon.
const QUEUE_BACKOFF: (Millis, Millis) = (Millis::from_secs(1), Millis::from_secs(15));
/// How often a pool is looked at that only a change of its spec mends: that wakes the pass by itself.
const INVALID_AGAIN: Duration = Duration::from_secs(60);
/// How often a pool is looked at that waits for something of somebody else's.
const OTHERS_AGAIN: Duration = Duration::from_secs(3);

/// Why a pass came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum PassError {
    /// The spec says something that cannot be done.
    #[error("{0}")]
    Invalid(InvalidPool),
    /// The Deployment that `targetRef` names is not there.
    #[error(
        "there is no Deployment {0} in the pool's namespace: create it, or name another in spec.targetRef.name of a new pool"
    )]
    TargetNotFound(String),
    /// A Deployment of the name that this pool's should have is somebody else's.
    #[error(
        "the Deployment {0} is there and belongs to somebody else: delete or rename it, or name the pool otherwise"
    )]
    NameTaken(String),
    /// The pool's Deployment is being deleted.
    #[error("the Deployment {0} is being deleted: a new one is made when it is gone")]
    Going(String),
    /// Something could not be read or written.
    #[error(transparent)]
    Apply(#[from] ApplyError),
}

impl PassError {
    /// A stable category for logs and metrics.
    #[must_use]
    pub fn category(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "invalid_spec",
            Self::TargetNotFound(_) => "target_not_found",
            Self::NameTaken(_) => "name_taken",
            Self::Going(_) => "deployment_going",
            Self::Apply(error) => error.category(),
        }
    }

    /// What the pool is told; `None`: it goes away by itself within moments.
    fn finding(&self) -> Option<Finding> {
        let why = match self {
            Self::Invalid(_) => Why::InvalidSpec,
            Self::TargetNotFound(_) => Why::TargetNotFound,
            Self::NameTaken(_) => Why::NameTaken,
            Self::Going(_) => Why::DeploymentGoing,
            Self::Apply(ApplyError::Refused { .. }) => Why::ApiRefused,
            Self::Apply(_) => return None,
        };
        Some(Finding::no(why, self.to_string()))
    }
}

/// One pass over `pool`. Returns after how long to look again.
pub async fn pass(pool: &WorkerPool, context: &Context) -> Duration {
    let state = context.pools.of(pool);
    let mut state = state.lock().await;
    let state = &mut *state;
    let uid = pool.uid().unwrap_or_default();
    if state.uid != uid {
        *state = PoolState { uid, ..PoolState::default() };
    }
    if pool.metadata.deletion_timestamp.is_some() {
        return INVALID_AGAIN;
    }
    if state.generation != pool.metadata.generation {
        // What failed before may go well with the new spec.
        state.backoff.succeeded();
        state.generation = pool.metadata.generation;
    }
    if let Some(left) = state.backoff.left(context.clock.now()) {
        return left.into();
    }
    let started = context.clock.now();
    let name = PoolName::of(pool);
    let pass = Pass { pool, context, started, name: &name };
    let passed = pass.run(state).instrument(telemetry::pass(&name)).await;
    let took = context.clock.now().since(started);
    let again = match passed {
        Ok(next) => {
            state.backoff.succeeded();
            context.metrics.reconciled("ok", took.into());
            // Each look counts from the start of the last one, so that a slow one does not put off the next.
            Duration::from(next.minus(took)).max(SOON)
        }
        Err(error) => failed(pool, context, state, &error, took).await,
    };
    jitter(again, &state.uid)
}

/// Some pools come a little earlier, so that a thousand made at once do not stay in step for ever.
fn jitter(again: Duration, uid: &str) -> Duration {
    let mut hasher = DefaultHasher::new();
    uid.hash(&mut hasher);
    let share = f64::from(u8::try_from(hasher.finish() % 100).unwrap_or(0)) / 1000.0;
    again.mul_f64(1.0 - share)
}

async fn failed(
    pool: &WorkerPool,
    context: &Context,
    state: &mut PoolState,
    error: &PassError,
    took: Millis,
) -> Duration {
    context.metrics.reconciled("error", took.into());
    context.metrics.error(error.category());
    let pool_name = format!("{}/{}", pool.namespace().unwrap_or_default(), pool.name_any());
    if let PassError::Apply(ApplyError::Conflict(_)) = error {
        tracing::debug!(pool = pool_name, %error, "looked at again");
        return SOON;
    }
    let wait = match error {
        PassError::Invalid(_) => INVALID_AGAIN,
        PassError::TargetNotFound(_) | PassError::NameTaken(_) | PassError::Going(_) => OTHERS_AGAIN,
        PassError::Apply(_) => state.backoff.failed(API_BACKOFF.0, API_BACKOFF.1, context.clock.now()).into(),
    };
    tracing::warn!(pool = pool_name, category = error.category(), "{error}");
    let Some(finding) = error.finding() else { return wait };
    let findings = Findings::only(finding);
    let facts = Facts {
        generation: pool.metadata.generation,
        findings: &findings,
        decided: None,
        deployment: None,
        wall: jiff::Timestamp::now(),
    };
    if let Err(error) = tell(pool, context, state, facts).await {
        tracing::warn!(pool = pool_name, "{error}");
    }
    wait
}

/// A pass over a pool.
struct Pass<'a> {
    pool: &'a WorkerPool,
    context: &'a Context,
    started: Timestamp,
    name: &'a PoolName,
}

/// What a pass knows of the fleet.
struct Seen {
    deployment: DeploymentView,
    pods: Vec<PodView>,
    /// The port at which the workers answer; `None`: they cannot be asked.
    port: Option<u16>,
    client: FleetClient,
}

impl Pass<'_> {
    async fn run(&self, state: &mut PoolState) -> Result<Millis, PassError> {
        let context = self.context;
        let token = context.key.token(&state.uid);
        let defaults = Defaults { drain_token_sha256: drain_key::hash(&token), ..context.defaults.clone() };
        let valid = validate(self.pool, &defaults).map_err(PassError::Invalid)?;
        let hands = context.hands(&valid.namespace);

        let seen = self.find(&valid, &hands, &token, state).await?;
        self.see_condemned(&seen, state);
        let answers = self.ask(&valid, &seen, state).await;
        let queue_error =
            answers.queue.as_ref().err().map(|error| (status::queue(Err(error)), error.category()));
        let (observation, known) = self.take(answers, &seen, state);
        let record = self.decide(&valid, &seen, observation, state);
        let decision = &record.decision;

        self.see_other_writers(&seen, state);
        let now = context.clock.now();
        let plan = plan(
            decision,
            Fleet {
                current: seen.deployment.replicas,
                pods: &known,
                condemned: &state.condemned,
                is_rolling_out: seen.deployment.is_rolling_out(),
                can_drain: seen.port.is_some(),
                may_write: state.contest.may_write(now),
            },
        );
        let deployment = self.apply(&plan, &seen, &hands, &record, state).await?;

        let findings = Findings {
            pool: Finding::yes(Why::AllGood, "the spec can be followed"),
            queue: queue_error.as_ref().map_or_else(|| status::queue(Ok(())), |(finding, _)| finding.clone()),
            workers: status::workers(&deployment, &seen.pods, now),
            limited: status::limited(decision),
            contested: status::contested(state.contest.told()),
        };
        let facts = Facts {
            generation: self.pool.metadata.generation,
            findings: &findings,
            decided: Some((decision, &record.observation)),
            deployment: Some(&deployment),
            wall: jiff::Timestamp::now(),
        };
        tell(self.pool, context, state, facts).await?;
        self.measure(&record, &seen);
        Ok(self.next(&plan, decision, queue_error.map(|(_, category)| category), state))
    }

    /// Finds the Deployment, makes it or brings it up to date where it is the pool's own, and finds its pods.
    async fn find(
        &self,
        valid: &ValidPool,
        hands: &Hands<'_>,
        token: &str,
        state: &mut PoolState,
    ) -> Result<Seen, PassError> {
        let observer = &self.context.observer;
        let client = self.context.fleet.with_token(token);
        match &valid.fleet {
            ValidFleet::Owned(settings) => {
                let owner = self.pool.controller_owner_ref(&()).unwrap_or_default();
                let wanted = build::deployment(valid, settings, &owner);
                let deployment = self.own_deployment(&wanted, hands, state).await?;
                let pods = observer.own_pods(&valid.namespace, &valid.name, &deployment);
                Ok(Seen { deployment, pods, port: Some(STATUS_PORT), client })
            }
            ValidFleet::Target { name, status_port } => {
                let found = observer.deployment(&valid.namespace, name, state.written.as_ref()).await?;
                let deployment = found
                    .filter(|found| !found.is_going)
                    .ok_or_else(|| PassError::TargetNotFound(name.clone()))?;
                let pods = observer.target_pods(&valid.namespace, &deployment).await?;
                Ok(Seen { deployment, pods, port: *status_port, client })
            }
        }
    }

    async fn own_deployment(
        &self,
        wanted: &Deployment,
        hands: &Hands<'_>,
        state: &mut PoolState,
    ) -> Result<DeploymentView, PassError> {
        let name = wanted.metadata.name.clone().unwrap_or_default();
        let found = self.context.observer.deployment(hands.namespace, &name, state.written.as_ref()).await?;
        let hash = {
            let mut hasher = DefaultHasher::new();
            serde_json::to_string(wanted).unwrap_or_default().hash(&mut hasher);
            hasher.finish()
        };
        let Some(found) = found else {
            // Those that were left behind may be busy: the new one begins with them.
            let left = self.context.observer.pods_made_by(hands.namespace, &self.pool.name_any(), &name);
            let made = hands.create(wanted, u32::try_from(left.len()).unwrap_or(u32::MAX)).await?;
            self.context.events.publish(
                self.pool,
                What::DeploymentCreated,
                &format!("created Deployment {name}"),
            );
            state.contest.wrote(made.replicas, self.context.clock.now());
            state.condemned.clear();
            return Ok(applied(state, hash, made));
        };
        if found.is_going {
            return Err(PassError::Going(name));
        }
        if found.controller.as_deref() != Some(&state.uid) {
            return Err(PassError::NameTaken(name));
        }
        // Labels of the Deployment itself are not counted by its generation.
        let labels_stand = found.has_labels(wanted.labels());
        if labels_stand && state.applied == Some(Applied { hash, generation: found.generation }) {
            return Ok(found);
        }
        if found.needs_hand_over {
            hands.hand_over(&found).await?;
        }
        let updated = hands.update(wanted, &found).await?;
        let first = state.applied.is_none();
        if (updated.generation != found.generation || !labels_stand) && !first {
            let note = format!("changed Deployment {name} to what the pool says");
            self.context.events.publish(self.pool, What::DeploymentUpdated, &note);
        }
        Ok(applied(state, hash, updated))
    }

    async fn ask(&self, valid: &ValidPool, seen: &Seen, state: &mut PoolState) -> Answers {
        let soon = expected_start_up(state.members.start_up_time()).into();
        let workers = seen.port.map(|port| Members::to_ask(&seen.pods, port)).unwrap_or_default();
        let observer = &self.context.observer;
        let answers =
            observer.ask(&valid.queue_url, state.is_queue_silent, soon, &seen.client, workers).await;
        state.is_queue_silent = matches!(answers.queue, Err(QueueError::Unreachable { .. }));
        let outcome = answers.queue.as_ref().map_or_else(QueueError::category, |_| "ok");
        self.context.metrics.queue_call(outcome, answers.queue_took);
        answers
    }

    /// Puts together what was read and what is known.
    fn take(&self, answers: Answers, seen: &Seen, state: &mut PoolState) -> (Observation, Vec<Known>) {
        let now = self.context.clock.now();
        let depth = answers.queue.map_err(|error| error.to_string());
        let queue = state.take_queue(depth, answers.queue_asked_at);
        let mut workers = if seen.port.is_some() {
            state.members.take(&seen.pods, answers.workers, answers.workers_asked_at);
            state.members.observations(&seen.pods, now)
        } else {
            state.members.guesses(&seen.pods, &queue, now)
        };
        let known = seen
            .pods
            .iter()
            .zip(&workers)
            .map(|(pod, worker)| Known {
                id: pod.id.clone(),
                state: worker.state,
                drain_left: state.members.drain_left(&pod.id, now),
                stage: pod.stage,
                template: pod.template.clone(),
                is_marked: pod.is_marked,
            })
            .collect::<Vec<Known>>();
        if !seen.deployment.is_rolling_out() {
            state.adopt_condemned(&known, seen.deployment.replicas);
        }
        workers.retain(|worker| !state.condemned.contains(&worker.id));
        let observation = Observation {
            queue,
            workers: Sample::Known { value: workers, observed_at: answers.workers_asked_at },
            current: seen.deployment.replicas,
            service_time: state.members.service_time(),
            start_up_time: state.members.start_up_time(),
        };
        (observation, known)
    }

    fn decide(
        &self,
        valid: &ValidPool,
        seen: &Seen,
        observation: Observation,
        state: &mut PoolState,
    ) -> Record {
        let mut policy = valid.policy.clone();
        if seen.port.is_none() {
            policy = super::unasked::careful(policy, state.members.start_up_time());
        }
        let record = Record::make(policy, state.memory, observation, self.context.clock.now());
        let Record { policy, observation, decision, now, .. } = &record;
        state.memory = decision.memory;
        for violation in check(policy, observation, decision, *now) {
            self.context.metrics.violation(&violation);
            tracing::error!(pool = %self.name, "a decision breaks a rule: {violation}");
        }
        let told = (decision.target, decision.reason, decision.limits.clone());
        if state.told.as_ref() != Some(&told) {
            tracing::info!(
                pool = %self.name,
                from = observation.current,
                target = decision.target,
                reason = decision.reason.as_str(),
                "{decision}"
            );
            state.told = Some(told);
        }
        self.context.metrics.decided(decision.reason.as_str());
        self.context.decisions.take(self.name, &record);
        record
    }

    fn see_other_writers(&self, seen: &Seen, state: &mut PoolState) {
        let now = self.context.clock.now();
        let by = seen.deployment.other_writer.as_deref();
        if let Some(write) = state.contest.found(seen.deployment.replicas, by, now) {
            let Finding { message, .. } = status::contested(Some(write));
            tracing::warn!(pool = %self.name, "{message}");
            self.context.events.publish(self.pool, What::OtherWriter, &message);
        }
    }

    fn see_condemned(&self, seen: &Seen, state: &mut PoolState) {
        let pods: BTreeSet<&WorkerId> = seen.pods.iter().map(|pod| &pod.id).collect();
        let spared = state.keep_condemned(&pods, seen.deployment.replicas);
        if let Some(first) = spared.first() {
            let note = format!(
                "{first} was drained to go and is still here ({} in all): Kubernetes took others, or the fleet grew again; they are let back to work",
                spared.len()
            );
            tracing::warn!(pool = %self.name, "{note}");
            self.context.events.publish(self.pool, What::OtherPodsTaken, &note);
        }
    }

    /// Does what was planned. Returns the Deployment as it is then.
    async fn apply(
        &self,
        plan: &Plan,
        seen: &Seen,
        hands: &Hands<'_>,
        record: &Record,
        state: &mut PoolState,
    ) -> Result<DeploymentView, PassError> {
        let Plan { undrain, unmark, drain, mark, scale, condemn, held } = plan;
        let lower_by = Instant::now() + LOWER_WITHIN;
        if let Some(held) = held {
            tracing::debug!(pool = %self.name, ?held, "the number of replicas is left as it is");
        }
        self.tell_workers(undrain, Question::Undrain, seen, state).await;
        self.tell_workers(drain, Question::Drain(DRAIN_TERM_SECONDS), seen, state).await;
        if !unmark.is_empty() {
            hands.mark(with_uids(unmark, &seen.pods), false).await?;
        }
        if !mark.is_empty() {
            hands.mark(with_uids(mark, &seen.pods), true).await?;
        }
        let Some(replicas) = *scale else { return Ok(seen.deployment.clone()) };
        // The number goes down for these: whatever comes of the write, they are not let back to work by mistake.
        if replicas < seen.deployment.replicas {
            state.condemned.extend(condemn.iter().cloned());
        }
        let written = hands.scale(&seen.deployment, replicas, lower_by).await?;
        let now = self.context.clock.now();
        if let Sample::Known { observed_at, .. } = record.observation.queue {
            self.context.metrics.sample_to_write(now.since(observed_at).into());
        }
        self.context.metrics.scaled(self.name);
        state.contest.wrote(replicas, now);
        if let Some(applied) = &mut state.applied {
            applied.generation = written.generation;
        }
        state.written = Some(written.clone());
        let from = seen.deployment.replicas;
        let what = if replicas > from { What::ScaledOut } else { What::ScaledIn };
        let note = format!("{from} to {replicas} workers: {}", record.decision);
        self.context.events.publish(self.pool, what, &note);
        Ok(written)
    }

    async fn tell_workers(&self, ids: &[WorkerId], question: Question, seen: &Seen, state: &mut PoolState) {
        let Some(port) = seen.port.filter(|_| !ids.is_empty()) else { return };
        let ids: BTreeSet<&WorkerId> = ids.iter().collect();
        let asked_at = self.context.clock.now();
        let questions = seen.pods.iter().filter(|pod| ids.contains(&pod.id));
        let questions: Vec<_> =
            questions.filter_map(|pod| Some((pod.id.clone(), pod.address(port)?, question))).collect();
        for (id, answer) in seen.client.ask_all(questions).await {
            match answer {
                Ok(status) => state.members.answered(&id, Some(status), asked_at),
                // Its state is read anew before anything else is planned for it.
                Err(error) => {
                    tracing::debug!(pool = %self.name, worker = %id, %error, ?question, "no answer");
                }
            }
        }
    }

    fn measure(&self, record: &Record, seen: &Seen) {
        let depth = match record.observation.queue {
            Sample::Known { value, observed_at } => Some((value, observed_at)),
            Sample::Missing { .. } => None,
        };
        let ready = seen.pods.iter().filter(|pod| pod.ready_since.is_some()).count();
        self.context.metrics.pool(
            self.name,
            PoolFacts {
                desired: record.decision.target,
                ready: u32::try_from(ready).unwrap_or(u32::MAX),
                workers: record.decision.explain.workers.unwrap_or_default(),
                depth,
            },
        );
    }

    /// After how long to look again, from the start of this pass.
    fn next(
        &self,
        plan: &Plan,
        decision: &Decision,
        queue_failure: Option<&'static str>,
        state: &mut PoolState,
    ) -> Millis {
        let asked = self.started;
        let now = self.context.clock.now();
        if let Some(category) = queue_failure {
            self.context.metrics.error(category);
            let wait = state.queue_backoff.failed(QUEUE_BACKOFF.0, QUEUE_BACKOFF.1, now);
            return wait.max(decision.next_check).plus(now.since(asked));
        }
        state.queue_backoff.succeeded();
        // A mark that was written now is acted on in the next pass.
        let hurries = !plan.mark.is_empty() && plan.held != Some(Held::OtherWriter);
        if hurries { Millis::from(SOON).plus(now.since(asked)) } else { decision.next_check }
    }
}

fn applied(state: &mut PoolState, hash: u64, view: DeploymentView) -> DeploymentView {
    state.applied = Some(Applied { hash, generation: view.generation });
    state.written = Some(view.clone());
    view
}

fn with_uids(ids: &[WorkerId], pods: &[PodView]) -> Vec<(WorkerId, String)> {
    let ids: BTreeSet<&WorkerId> = ids.iter().collect();
    let pods = pods.iter().filter(|pod| ids.contains(&pod.id));
    pods.map(|pod| (pod.id.clone(), pod.uid.clone())).collect()
}

/// What the pods of somebody else's Deployment must know to be drained: nobody but the operator could tell them.
fn token_hash_of_target(pool: &WorkerPool, context: &Context) -> Option<String> {
    pool.spec.target_ref.as_ref()?.status_port?;
    Some(drain_key::hash(&context.key.token(&pool.uid()?)))
}

/// Tells the pool what is so, if that is news.
async fn tell(
    pool: &WorkerPool,
    context: &Context,
    state: &mut PoolState,
    facts: Facts<'_>,
) -> Result<(), ApplyError> {
    let now = context.clock.now();
    let old = match &state.status {
        Some((status, _)) => status.clone(),
        None => pool.status.clone().unwrap_or_default(),
    };
    let new = WorkerPoolStatus {
        drain_token_sha256: token_hash_of_target(pool, context),
        ..status::next(&old, facts)
    };
    let ready = facts.findings.ready();
    if ready.holds.is_some() && state.was_ready != ready.holds {
        let was = std::mem::replace(&mut state.was_ready, ready.holds);
        // That all is well from the beginning is no event.
        if was.is_some() || ready.holds == Some(false) {
            let what = if ready.holds == Some(true) { What::Ready } else { What::NotReady };
            context.events.publish(pool, what, &ready.message);
        }
    }
    if !status::is_news(&old, &new, state.status_age(now)) {
        return Ok(());
    }
    let namespace = pool.namespace().unwrap_or_default();
    let read = pool.resource_version().unwrap_or_default();
    let version = state.version_after(&read);
    let written = context.hands(&namespace).tell(&pool.name_any(), &new, version).await?;
    state.version = Some(written);
    state.status = Some((new, now));
    Ok(())
}
