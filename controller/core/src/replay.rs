//! A decision on record, with all it was made from, so that any decision can be made again.

use serde::{Deserialize, Serialize};

use crate::decide::decide;
use crate::decision::Decision;
use crate::memory::Memory;
use crate::observation::Observation;
use crate::policy::Policy;
use crate::time::Timestamp;

/// The form of [`Record`] that this code writes and reads.
pub const VERSION: u32 = 1;

/// A decision and all it was made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// The form of the record: [`VERSION`].
    pub version: u32,
    /// What was wanted.
    pub policy: Policy,
    /// What was remembered.
    pub memory: Memory,
    /// What was seen.
    pub observation: Observation,
    /// When it was decided.
    pub now: Timestamp,
    /// What was decided.
    pub decision: Decision,
}

impl Record {
    /// Decides, and puts the decision on record with all it was made from.
    #[must_use]
    pub fn make(policy: Policy, memory: Memory, observation: Observation, now: Timestamp) -> Self {
        let decision = decide(&policy, &memory, &observation, now);
        Self { version: VERSION, policy, memory, observation, now, decision }
    }
}

/// How today's decision differs from the one on record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Difference {
    /// The record has a form that this code does not know.
    #[error(
        "the record has version {0}, this program reads version {VERSION}: replay it with the one that wrote it"
    )]
    Version(u32),
    /// The decision differs in these parts, at least one.
    #[error("today's decision differs from the record in {}", list(.0))]
    Decision(Vec<Part>),
}

/// A part of a decision that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Its name, as in [`Decision`].
    pub name: &'static str,
    /// What is on record.
    pub recorded: String,
    /// What is decided today.
    pub today: String,
}

fn list(parts: &[Part]) -> String {
    let parts: Vec<String> =
        parts.iter().map(|p| format!("{}: {} was recorded, today {}", p.name, p.recorded, p.today)).collect();
    parts.join("; ")
}

/// Makes the decision on record again, and tells where today's differs.
pub fn replay(record: &Record) -> Result<(), Difference> {
    if record.version != VERSION {
        return Err(Difference::Version(record.version));
    }
    let Decision { target, drain, reason, limits, next_check, memory, explain } =
        decide(&record.policy, &record.memory, &record.observation, record.now);
    let was = &record.decision;
    let parts: Vec<Part> = [
        part("target", &was.target, &target),
        part("drain", &was.drain, &drain),
        part("reason", &was.reason, &reason),
        part("limits", &was.limits, &limits),
        part("next_check", &was.next_check, &next_check),
        part("memory", &was.memory, &memory),
        part("explain", &was.explain, &explain),
    ]
    .into_iter()
    .flatten()
    .collect();
    if parts.is_empty() { Ok(()) } else { Err(Difference::Decision(parts)) }
}

fn part<T: PartialEq + std::fmt::Debug>(name: &'static str, recorded: &T, today: &T) -> Option<Part> {
    (recorded != today).then(|| Part { name, recorded: format!("{recorded:?}"), today: format!("{today:?}") })
}
