//! One pass over one pool: observe, validate, decide, plan, apply, tell.

mod act;
mod error;
mod findings;
mod look;
mod tell;
mod upkeep;

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use k8s_openapi::jiff;
use kube::ResourceExt;
use reelpool_api::WorkerPool;
use reelpool_core::replay::Record;
use reelpool_core::{Decision, Millis, Observation, Sample, Timestamp, WorkerId, check};
use tracing::Instrument;

use self::act::keep_asleep;
pub use self::error::PassError;
use self::findings::Found;
use self::look::Seen;
use self::tell::tell;
use super::apply::ApplyError;
use super::context::Context;
use super::drain_key;
use super::events::What;
use super::plan::{Fleet, Held, Leave, Plan, plan};
use super::state::PoolState;
use super::status::{self, Facts, Finding, Findings};
use super::validate::{Defaults, ValidPool, validate};
use crate::metrics::{PoolFacts, PoolName};
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

        let queue = queue_error.as_ref().map(|(finding, _)| finding.clone());
        let findings = self.findings(
            Found { decision, plan: &plan, deployment: &deployment, seen: &seen, queue, met },
            state,
        );
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
            self.context.metrics.spared(self.name, spared.len());
            self.context.events.publish(self.pool, What::OtherPodsTaken, &note);
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
        let hurries = !plan.mark.is_empty() || plan.held == Some(Held::MarksLinger);
        state.hurried = if hurries { state.hurried.saturating_add(1) } else { 0 };
        if hurries && state.hurried <= HURRY_AT_MOST {
            Millis::from(SOON).plus(now.since(asked))
        } else {
            decision.next_check
        }
    }
}
