//! What a pool is told: pure, from what was seen and decided.
//!
//! The status changes when the decision or a condition changes. The counts of workers and the words of conditions are
//! as they were then; they are refreshed now and then while they move, never with each look.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff;
use reelpool_api::condition::{self, Reason as Why};
use reelpool_api::status::{LastDecision, WorkerPoolStatus, WorkersStatus};
use reelpool_core::{Decision, Limit, Millis, Observation, Sample, Timestamp, WorkerCounts, WorkerId};

use super::contest::OtherWrite;
use super::deployment::DeploymentView;
use super::plan::Held;
use super::pods::PodView;
use crate::queue::QueueError;

/// While only the counts of workers move, the status is written this often at most.
pub const COUNTS_EVERY: Millis = Millis::from_secs(15);
/// While only the words of conditions change, such as the name of the pod that has trouble, the status is written this
/// often at most.
pub const MESSAGES_EVERY: Millis = Millis::from_secs(60);
/// A pod that has trouble starting is told of after this time: some trouble goes away by itself.
const TROUBLE_AFTER: Millis = Millis::from_secs(20);
/// The longest message of a condition or a decision, in bytes.
const LONGEST_MESSAGE: usize = 1000;

/// Something that is so, or is not, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Whether it is so; `None`: not known.
    pub holds: Option<bool>,
    /// Why, in one word.
    pub why: Why,
    /// Why, for a person.
    pub message: String,
}

impl Finding {
    /// It is so.
    #[must_use]
    pub fn yes(why: Why, message: impl Into<String>) -> Self {
        Self { holds: Some(true), why, message: message.into() }
    }

    /// It is not so.
    #[must_use]
    pub fn no(why: Why, message: impl Into<String>) -> Self {
        Self { holds: Some(false), why, message: message.into() }
    }

    /// It is not known yet.
    #[must_use]
    pub fn unknown() -> Self {
        Self { holds: None, why: Why::NotYetKnown, message: "not looked at yet".into() }
    }
}

/// What stands in the way of a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Findings {
    /// Whether the spec can be followed and the API server does what is asked.
    pub pool: Finding,
    /// Whether the queue's length is known.
    pub queue: Finding,
    /// Whether pods can be made and start.
    pub workers: Finding,
    /// Whether a limit holds the fleet.
    pub limited: Finding,
    /// Whether somebody else scales it.
    pub contested: Finding,
}

impl Findings {
    /// Of a pool of which nothing else than `pool` is known.
    #[must_use]
    pub fn only(pool: Finding) -> Self {
        let unknown = Finding::unknown;
        Self { pool, queue: unknown(), workers: unknown(), limited: unknown(), contested: unknown() }
    }

    /// The summary: the first that stands in the way.
    #[must_use]
    pub fn ready(&self) -> Finding {
        let Self { pool, queue, workers, limited: _, contested } = self;
        let contested = contested.holds == Some(true);
        let bad = [pool, queue, workers].into_iter().find(|finding| finding.holds == Some(false));
        match bad {
            Some(bad) => bad.clone(),
            None if contested => Finding::no(self.contested.why, self.contested.message.clone()),
            None if queue.holds.is_none() => Finding::unknown(),
            None => Finding::yes(Why::AllGood, "the fleet follows the queue"),
        }
    }
}

/// Whether the queue's length is known.
#[must_use]
pub fn queue(answer: Result<(), &QueueError>) -> Finding {
    let error = match answer {
        Ok(()) => return Finding::yes(Why::QueueRead, "the length of the queue is read"),
        Err(error) => error,
    };
    let why = match error {
        QueueError::NotFound { .. } => Why::QueueNotFound,
        QueueError::AccessDenied { .. } => Why::QueueAccessDenied,
        QueueError::NoCredentials { .. } | QueueError::NoRegion { .. } => Why::QueueNoCredentials,
        QueueError::Throttled { .. } => Why::QueueThrottled,
        QueueError::Unusable { .. } => Why::QueueAnswerUnusable,
        QueueError::Unreachable { .. } | QueueError::Failing { .. } | QueueError::Spool(_) => {
            Why::QueueUnreachable
        }
    };
    Finding::no(why, error.to_string())
}

/// Whether pods can be made and start.
#[must_use]
pub fn workers(deployment: &DeploymentView, pods: &[PodView], now: Timestamp) -> Finding {
    if let Some(failure) = &deployment.replica_failure {
        return Finding::no(Why::PodsRefused, failure.clone());
    }
    let troubled = |pod: &&PodView| pod.trouble.is_some() && now.since(pod.created) >= TROUBLE_AFTER;
    let mut troubled = pods.iter().filter(troubled);
    let Some(first) = troubled.next() else {
        return Finding::yes(Why::PodsStart, "pods can be made and started");
    };
    let others = troubled.count();
    let trouble = first.trouble.as_deref().unwrap_or_default();
    let message = match others {
        0 => format!("pod {}: {trouble}", first.id),
        _ => format!("pod {} and {others} more: {trouble}", first.id),
    };
    Finding::no(Why::PodsDoNotStart, message)
}

/// `count` workers, `first` among them, do not answer at `port`; `met` is what was met at one of them.
#[must_use]
pub fn silent(count: usize, first: &WorkerId, port: u16, met: &str) -> Finding {
    let who = match count {
        1 => format!("worker {first} does"),
        _ => format!("{count} workers, {first} among them, do"),
    };
    let message = format!(
        "{who} not answer on port {port}, which counts as busy: see whether a NetworkPolicy keeps the operator out, and what the log says ({met})"
    );
    Finding::no(Why::WorkersSilent, message)
}

/// A worker that is idle would not be drained, and said this.
#[must_use]
pub fn drain_refused(said: &str) -> Finding {
    let message = format!(
        "workers refuse to drain, so that none can go: give their pods the pool's status.drainTokenSHA256 as REELPOOL_DRAIN_TOKEN_SHA256 ({said})"
    );
    Finding::no(Why::DrainRefused, message)
}

/// Whether a limit of the policy holds the fleet, or something else has kept it from getting smaller for a while.
#[must_use]
pub fn limited(decision: &Decision, held: Option<Held>) -> Finding {
    if let Some(held) = held.filter(|held| *held != Held::OtherWriter) {
        let because = match held {
            Held::RollingOut => "a rollout has not come to its end: look at `kubectl rollout status`",
            Held::PodsStart => {
                "pods that start could be taken instead of idle ones: look at those that are not ready"
            }
            Held::PodsGo => "Kubernetes has not taken the pods of the last step yet",
            Held::MarksLinger => "the pod-deletion-cost of some pods is not yet what it is to be",
            Held::QueueNotEmpty => {
                "the workers cannot be asked what they do (spec.targetRef.statusPort), and the queue is not empty"
            }
            Held::OtherWriter => "",
        };
        let message = format!("{} workers would do, but none can go: {because}", decision.target);
        return Finding::yes(Why::ScaleInHeld, message);
    }
    let why = match decision.limits.first() {
        _ if decision.reason == reelpool_core::Reason::Paused => Why::Paused,
        Some(Limit::Minimum) => Why::Minimum,
        Some(Limit::Maximum) => Why::Maximum,
        Some(Limit::StepOut | Limit::StepIn) => Why::Step,
        None => return Finding::no(Why::WithinLimits, "no limit holds the fleet"),
    };
    let message = match why {
        Why::Paused => "spec.paused holds the fleet as it is",
        Why::Minimum => "spec.minWorkers keeps more workers than the queue asks for",
        Why::Maximum => "the queue asks for more workers than spec.maxWorkers allows",
        _ => "spec.scaling limits how many workers may start or drain at a time",
    };
    Finding::yes(why, message)
}

/// Whether somebody else writes the number of replicas.
#[must_use]
pub fn contested(write: Option<&OtherWrite>) -> Finding {
    let Some(OtherWrite { by, ours, found, hold_until: _ }) = write else {
        return Finding::no(Why::SoleWriter, "nobody else writes the number of replicas");
    };
    let message = format!(
        "{by} set the replicas to {found} where Reelpool had set {ours}: Reelpool waits before it writes again; remove the other autoscaler, or set spec.paused to scale by hand"
    );
    Finding::yes(Why::OtherWriter, message)
}

/// What a pass found, for the status.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The generation of the spec that the pass followed.
    pub generation: Option<i64>,
    /// What stands in the way.
    pub findings: &'a Findings,
    /// The decision, and what it was made from; `None` when there could be none.
    pub decided: Option<(&'a Decision, &'a Observation)>,
    /// The Deployment, when there is one.
    pub deployment: Option<&'a DeploymentView>,
    /// The wall's time.
    pub wall: jiff::Timestamp,
}

/// The status after `old`.
#[must_use]
pub fn next(old: &WorkerPoolStatus, facts: Facts<'_>) -> WorkerPoolStatus {
    let Facts { generation, findings, decided, deployment, wall } = facts;
    let Findings { pool: _, queue, workers, limited, contested } = findings;
    let conditions = [
        (condition::READY, &findings.ready()),
        (condition::QUEUE_REACHABLE, queue),
        (condition::WORKERS_AVAILABLE, workers),
        (condition::SCALING_LIMITED, limited),
        (condition::REPLICAS_CONTESTED, contested),
    ];
    let (desired, last_decision, counts) = match decided {
        Some((decision, observation)) => (
            Some(int(decision.target)),
            Some(last_decision(old, decision, observation, wall)),
            decision.explain.workers.map(|counts| {
                workers_status(counts, decision.target.saturating_sub(decision.explain.current))
            }),
        ),
        None => (old.desired_workers, old.last_decision.clone(), old.workers),
    };
    WorkerPoolStatus {
        observed_generation: generation,
        desired_workers: desired,
        replicas: deployment.map_or(old.replicas, |view| Some(int(view.pods))),
        selector: deployment.map_or_else(|| old.selector.clone(), |view| Some(view.selector.clone())),
        drain_token_sha256: old.drain_token_sha256.clone(),
        workers: counts.or(old.workers),
        last_decision,
        conditions: conditions
            .into_iter()
            .map(|(kind, finding)| condition(old, kind, finding, generation, wall))
            .collect(),
    }
}

/// Whether `new` is to be written where `old` is, when the last write was `ago`.
#[must_use]
pub fn is_news(old: &WorkerPoolStatus, new: &WorkerPoolStatus, ago: Option<Millis>) -> bool {
    if old == new {
        return false;
    }
    let waited = |time| ago.is_none_or(|ago| ago >= time);
    let (was, is) = (without_messages(old), without_messages(new));
    let still =
        |status: &WorkerPoolStatus| WorkerPoolStatus { workers: None, replicas: None, ..status.clone() };
    still(&was) != still(&is) || (was != is && waited(COUNTS_EVERY)) || waited(MESSAGES_EVERY)
}

fn without_messages(status: &WorkerPoolStatus) -> WorkerPoolStatus {
    let mut status = status.clone();
    for condition in &mut status.conditions {
        condition.message.clear();
    }
    status
}

fn last_decision(
    old: &WorkerPoolStatus,
    decision: &Decision,
    observation: &Observation,
    wall: jiff::Timestamp,
) -> LastDecision {
    let same = |last: &&LastDecision| {
        last.reason == decision.reason.as_str() && old.desired_workers == Some(int(decision.target))
    };
    if let Some(last) = old.last_decision.as_ref().filter(same) {
        return last.clone();
    }
    let depth = match &observation.queue {
        Sample::Known { value, .. } => Some(value),
        Sample::Missing { .. } => None,
    };
    let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    LastDecision {
        reason: decision.reason.as_str().to_owned(),
        message: cut(&decision.to_string()),
        backlog: depth.map(|depth| count(depth.backlog)),
        in_flight: depth.map(|depth| count(depth.in_flight)),
        time: Time(whole_seconds(wall)),
    }
}

/// What the workers were doing, and `more` that have just been asked for.
fn workers_status(counts: WorkerCounts, more: u32) -> WorkersStatus {
    WorkersStatus {
        // A pod that is asked for and not there yet is starting, to a person.
        starting: int(counts.starting.saturating_add(counts.unlisted).saturating_add(more)),
        idle: int(counts.idle),
        busy: int(counts.busy),
        draining: int(counts.draining),
        unreachable: int(counts.unreachable),
    }
}

fn condition(
    old: &WorkerPoolStatus,
    kind: &str,
    finding: &Finding,
    generation: Option<i64>,
    wall: jiff::Timestamp,
) -> Condition {
    let status = match finding.holds {
        Some(true) => "True",
        Some(false) => "False",
        None => "Unknown",
    };
    let old = old.conditions.iter().find(|condition| condition.type_ == kind);
    let same = old.filter(|old| old.status == status);
    let reason = finding.why.as_str();
    let message = cut(&finding.message);
    let message = same
        .filter(|old| old.reason == reason && old.observed_generation == generation)
        .filter(|old| says_the_same(finding.why, &old.message, &message))
        .map_or(message, |old| old.message.clone());
    Condition {
        type_: kind.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message,
        observed_generation: generation,
        last_transition_time: same
            .map_or_else(|| Time(whole_seconds(wall)), |old| old.last_transition_time.clone()),
    }
}

/// Whether two messages of one reason tell a person the same. What a queue answers carries what differs each time, such
/// as the id of the request.
fn says_the_same(why: Why, old: &str, new: &str) -> bool {
    let is_of_queue = matches!(
        why,
        Why::QueueNotFound
            | Why::QueueAccessDenied
            | Why::QueueNoCredentials
            | Why::QueueUnreachable
            | Why::QueueThrottled
            | Why::QueueAnswerUnusable
    );
    old == new || (is_of_queue && words(old).eq(words(new)))
}

/// The words without a digit: ids and times have some.
fn words(message: &str) -> impl Iterator<Item = &str> {
    let words = message.split(|letter: char| !letter.is_alphanumeric() && letter != '-');
    words.filter(|word| !word.contains(|letter: char| letter.is_ascii_digit()))
}

/// Kubernetes keeps whole seconds: what is written must be what is read back.
fn whole_seconds(time: jiff::Timestamp) -> jiff::Timestamp {
    jiff::Timestamp::from_second(time.as_second()).unwrap_or(time)
}

fn cut(message: &str) -> String {
    match message.char_indices().map(|(at, _)| at).find(|at| *at >= LONGEST_MESSAGE) {
        Some(end) => format!("{}…", &message[..end]),
        None => message.to_owned(),
    }
}

fn int(count: u32) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

#[cfg(test)]
#[path = "status_tests.rs"]
mod tests;
