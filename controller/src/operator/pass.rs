//! One pass over one pool: observe, validate, decide, plan, apply, tell.

mod act;
mod error;
mod tell;
mod upkeep;

use std::collections::{BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use k8s_openapi::jiff;
use kube::{Resource, ResourceExt};
use reelpool_api::WorkerPool;
use reelpool_api::condition::Reason as Why;
use reelpool_core::policy::expected_start_up;
use reelpool_core::replay::Record;
use reelpool_core::{Decision, Millis, Observation, Sample, Timestamp, WorkerId, check};
use tracing::Instrument;

use self::act::keep_asleep;
pub use self::error::PassError;
use self::tell::tell;
use super::apply::{ApplyError, Hands};
use super::build;
use super::context::Context;
use super::deployment::DeploymentView;
use super::drain_key;
use super::events::What;
use super::members::TOLD_AFTER;
use super::observe::Answers;
use super::plan::{Fleet, Held, Known, Leave, Plan, plan};
use super::pods::{PodView, STATUS_PORT, StatusPort};
use super::state::PoolState;
use super::status::{self, Facts, Finding, Findings};
use super::validate::{Defaults, ValidFleet, ValidPool, validate};
use crate::fleet::FleetClient;
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
/// How often a pool is looked at while Kubernetes has not taken all that the number was lowered for.
const CONDEMNED_AGAIN: Duration = Duration::from_secs(10);
/// So many failures of the API server in a row are told.
const FAILURES_TOLD: u32 = 3;
/// How often in a row a pass is hurried for marks that are not seen yet.
const HURRY_AT_MOST: u32 = 10;
/// Workers are told to be well again when nothing has troubled them for so long.
const WELL_AFTER: Millis = Millis::from_secs(30);
/// What holds the number up for so long is told.
const HELD_TOLD_AFTER: Millis = Millis::from_secs(60);
/// How often a pool is looked at that waits for something of somebody else's.
const OTHERS_AGAIN: Duration = Duration::from_secs(3);

/// One pass over `pool`. Returns after how long to look again.
pub async fn pass(pool: &WorkerPool, context: &Context) -> Duration {
    let state = context.pools.of(pool);
    let mut state = state.lock().await;
    let state = &mut *state;
    let uid = pool.uid().unwrap_or_default();
    if state.uid != uid {
        *state = PoolState { uid, ..PoolState::default() };
    }
    if state.generation != pool.metadata.generation {
        // What failed before may go well with the new spec.
        state.backoff.succeeded();
        state.generation = pool.metadata.generation;
    }
    if let Some(left) = state.backoff.left(context.clock.now()) {
        keep_asleep(context, state).await;
        return soon_for_the_condemned(left.into(), state);
    }
    let started = context.clock.now();
    let name = PoolName::of(pool);
    context.decisions.know(&name);
    let pass = Pass { pool, context, started, name: &name };
    let passed = if pool.metadata.deletion_timestamp.is_some() {
        Err(PassError::PoolGoing)
    } else {
        pass.run(state).instrument(telemetry::pass(&name)).await
    };
    let took = context.clock.now().since(started);
    let again = match passed {
        Ok(next) => {
            state.backoff.succeeded();
            state.complaint = None;
            context.metrics.reconciled("ok", took.into());
            // Each look counts from the start of the last one, so that a slow one does not put off the next.
            Duration::from(next.minus(took)).max(SOON)
        }
        Err(error) => {
            keep_asleep(context, state).await;
            failed(pool, context, state, &error, took).await
        }
    };
    jitter(soon_for_the_condemned(again, state), &state.uid)
}

/// Drains lapse by themselves: those that Kubernetes may still take are looked after in time.
fn soon_for_the_condemned(again: Duration, state: &PoolState) -> Duration {
    if state.condemned.ids().is_empty() { again } else { again.min(CONDEMNED_AGAIN) }
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
    if let PassError::Apply(ApplyError::Conflict(_) | ApplyError::Gone(_)) = error {
        tracing::debug!(pool = pool_name, %error, "looked at again");
        return SOON;
    }
    let wait = match error {
        PassError::Invalid(_) | PassError::PoolGoing => INVALID_AGAIN,
        PassError::TargetNotFound(_)
        | PassError::TargetTaken { .. }
        | PassError::NameTaken(_)
        | PassError::Orphaned(_)
        | PassError::Going(_) => OTHERS_AGAIN,
        PassError::Apply(_) => state.backoff.failed(API_BACKOFF.0, API_BACKOFF.1, context.clock.now()).into(),
    };
    let complaint = error.to_string();
    if state.complaint.as_ref() == Some(&complaint) {
        tracing::debug!(pool = pool_name, category = error.category(), "{error}");
    } else {
        tracing::warn!(pool = pool_name, category = error.category(), "{error}");
        state.complaint = Some(complaint);
    }
    let Some(finding) = error.finding(state.backoff.failures() >= FAILURES_TOLD) else { return wait };
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
    port: Option<StatusPort>,
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
        let met = answers.met.clone();
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
                condemned: state.condemned.ids(),
                is_rolling_out: seen.deployment.is_rolling_out(),
                are_pods_refused: seen.deployment.replica_failure.is_some(),
                leave: match seen.port {
                    Some(_) => Leave::Drained,
                    None if state.members.is_queue_empty() => Leave::AtOnce,
                    None => Leave::NotNow,
                },
                are_marks_settled: state.marks.are_settled(now),
                may_write: state.contest.may_write(now),
            },
        );
        let deployment = self.apply(&plan, &seen, &hands, &record, state).await?;

        let findings = Findings {
            pool: Finding::yes(Why::AllGood, "the spec can be followed"),
            queue: queue_error.as_ref().map_or_else(|| status::queue(Ok(())), |(finding, _)| finding.clone()),
            workers: self.workers_finding(&deployment, &seen, met.as_deref(), state),
            limited: {
                let held = state.held_for(plan.held, now).filter(|(_, since)| *since >= HELD_TOLD_AFTER);
                status::limited(decision, held.map(|(held, _)| held))
            },
            contested: status::contested(state.contest.told(now)),
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
                let port = StatusPort { number: STATUS_PORT, names_are_known: true };
                Ok(Seen { deployment, pods, port: Some(port), client })
            }
            ValidFleet::Target { name, status_port } => {
                let found = observer.deployment(&valid.namespace, name, state.last_write()).await?;
                let deployment = found
                    .filter(|found| !found.is_going)
                    .ok_or_else(|| PassError::TargetNotFound(name.clone()))?;
                if let Some(by) = self.context.peers.scaler_of(&deployment, self.pool) {
                    return Err(PassError::TargetTaken { deployment: name.clone(), by });
                }
                state.follow_target(&deployment.uid);
                state.condemned.learn(deployment.replicas);
                let pods = observer.target_pods(&valid.namespace, &deployment).await?;
                let port = status_port.map(|number| StatusPort { number, names_are_known: false });
                Ok(Seen { deployment, pods, port, client })
            }
        }
    }

    async fn ask(&self, valid: &ValidPool, seen: &Seen, state: &mut PoolState) -> Answers {
        let soon = expected_start_up(state.members.start_up_time()).into();
        let workers = seen.port.map(|port| state.members.to_ask(&seen.pods, port)).unwrap_or_default();
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
        state.marks.see(&seen.pods, now);
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
                mark: state.marks.of(pod),
            })
            .collect::<Vec<Known>>();
        if !seen.deployment.is_rolling_out() {
            state.condemned.adopt(&known, seen.deployment.replicas, now);
        }
        if let Some(port) = seen.port {
            let addresses: HashMap<&WorkerId, _> =
                seen.pods.iter().map(|pod| (&pod.id, pod.address(port))).collect();
            state.condemned.remember(|id| addresses.get(id).copied().flatten());
        }
        workers.retain(|worker| !state.condemned.ids().contains(&worker.id));
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
        if self.pool.spec.paused {
            return state.contest.accept(seen.deployment.replicas);
        }
        let by = seen.deployment.other_writer.as_deref();
        if let Some(write) = state.contest.found(seen.deployment.replicas, by, now) {
            let Finding { message, .. } = status::contested(Some(write));
            tracing::warn!(pool = %self.name, "{message}");
            self.context.events.publish(self.pool, What::OtherWriter, &message);
        }
    }

    fn see_condemned(&self, seen: &Seen, state: &mut PoolState) {
        let pods: BTreeSet<&WorkerId> = seen.pods.iter().map(|pod| &pod.id).collect();
        let spared = state.condemned.spare(&pods, &seen.deployment, self.context.clock.now());
        if let Some(first) = spared.first() {
            let note = format!(
                "{first} was drained to go and is still here ({} in all): Kubernetes took others, or the number rose again before it took any; they are let back to work",
                spared.len()
            );
            tracing::warn!(pool = %self.name, "{note}");
            self.context.events.publish(self.pool, What::OtherPodsTaken, &note);
        }
    }

    /// Whether pods can be made and start, and their workers can be asked and drained.
    fn workers_finding(
        &self,
        deployment: &DeploymentView,
        seen: &Seen,
        met: Option<&str>,
        state: &mut PoolState,
    ) -> Finding {
        let now = self.context.clock.now();
        let finding = self.trouble_of_workers(deployment, seen, met, state);
        if finding.holds == Some(false) {
            state.trouble = Some((finding.clone(), now));
            return finding;
        }
        // What crashes runs in between: that is not to be well.
        let lately = state.trouble.as_ref().filter(|(_, at)| now.since(*at) < WELL_AFTER);
        lately.map_or(finding, |(trouble, _)| trouble.clone())
    }

    fn trouble_of_workers(
        &self,
        deployment: &DeploymentView,
        seen: &Seen,
        met: Option<&str>,
        state: &PoolState,
    ) -> Finding {
        let now = self.context.clock.now();
        let finding = status::workers(deployment, &seen.pods, now);
        let Some(port) = seen.port.filter(|_| finding.holds == Some(true)) else { return finding };
        let silent = state.members.silent(&seen.pods, now);
        let refused = state.drain_refused.as_ref().filter(|(_, since)| now.since(*since) >= TOLD_AFTER);
        match (silent, refused) {
            (Some((count, first)), _) => {
                status::silent(count, &first, port.number, met.unwrap_or("no answer"))
            }
            (None, Some((said, _))) => status::drain_refused(said),
            (None, None) => finding,
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
        // A mark that was written now is acted on in the next pass, once it is seen.
        let hurries = (!plan.mark.is_empty() && plan.held != Some(Held::OtherWriter))
            || plan.held == Some(Held::MarksLinger);
        state.hurried = if hurries { state.hurried.saturating_add(1) } else { 0 };
        if hurries && state.hurried <= HURRY_AT_MOST {
            Millis::from(SOON).plus(now.since(asked))
        } else {
            decision.next_check
        }
    }
}
