//! The numbers behind a decision, and the line that tells them to a person.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::decision::{Decision, Reason};
use crate::time::Millis;

/// The numbers behind a target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Explain {
    /// How many workers were asked for before this decision.
    pub current: u32,
    /// What the queue asks for; `None` without a fresh sample of it.
    pub need: Option<Need>,
    /// What the workers are doing; `None` without a fresh sample of them.
    pub workers: Option<WorkerCounts>,
    /// For how long a worker must have had nothing to do before it may go.
    pub idle_limit: Millis,
    /// For how long every sample of the queue has been empty; zero when the last was not.
    pub empty_for: Millis,
    /// For how long that must last before the last worker may go.
    pub zero_after: Millis,
    /// The sources without fresh data.
    pub not_fresh: Vec<NotFresh>,
}

/// What the queue asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Need {
    /// Messages waiting.
    pub waiting: u64,
    /// Messages in flight.
    pub in_flight: u64,
    /// Delayed messages that are due within one start-up time.
    pub due_soon: u64,
    /// How many of them one worker is to take; at least 1.
    pub per_worker: u64,
    /// Where that number comes from.
    pub basis: Basis,
    /// The workers needed: all those messages divided by `per_worker`, rounded up.
    pub workers: u64,
}

/// Where the number of messages for each worker comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// The policy says it.
    Backlog,
    /// It is what one worker finishes in the time the policy gives.
    Time {
        /// That time.
        drain_within: Millis,
        /// How long a job takes; `None` until measured, when a worker is taken to finish only what it can do
        /// at once.
        service_time: Option<Millis>,
    },
}

/// How many workers are doing what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkerCounts {
    /// Starting.
    pub starting: u32,
    /// Idle.
    pub idle: u32,
    /// With a job in hand, draining or not.
    pub busy: u32,
    /// Draining or drained, with no job in hand.
    pub draining: u32,
    /// Not answering; they count as busy.
    pub unreachable: u32,
    /// Asked for, but not in the list of workers; they count as busy.
    pub unlisted: u32,
}

impl WorkerCounts {
    /// How many have, or may have, a job in hand.
    #[must_use]
    pub fn maybe_busy(&self) -> u32 {
        self.busy.saturating_add(self.unreachable).saturating_add(self.unlisted)
    }
}

/// A source without fresh data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NotFresh {
    /// Which.
    pub source: Source,
    /// Why, for a person.
    pub cause: String,
}

/// What an observation is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The queue.
    Queue,
    /// The workers.
    Workers,
}

impl Source {
    /// Its stable name, the same as in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Workers => "workers",
        }
    }
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { waiting, in_flight, due_soon, per_worker, .. } = self;
        write!(f, "ceil(({waiting} waiting + {in_flight} in flight")?;
        if *due_soon > 0 {
            write!(f, " + {due_soon} due soon")?;
        }
        write!(f, ") / {per_worker})")?;
        match self.basis {
            Basis::Backlog => Ok(()),
            Basis::Time { drain_within, service_time: Some(time) } => {
                write!(f, ", to finish in {drain_within} at {time} a job")
            }
            Basis::Time { drain_within, service_time: None } => {
                write!(f, ", to finish in {drain_within}, no job measured yet")
            }
        }
    }
}

impl fmt::Display for Decision {
    /// One line: `12 = ceil((2 waiting + 10 in flight) / 1)`, or what bound the target: `held at 3: 3 busy`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { target, explain, .. } = self;
        match self.reason {
            Reason::Backlog | Reason::Time => match explain.need {
                Some(need) => write!(f, "{target} = {need}"),
                None => write!(f, "{target}"),
            },
            Reason::Busy => {
                write!(f, "held at {target}: ")?;
                match explain.need {
                    // Their own word is below the target: it was the queue's count that held it.
                    Some(need) if explain.workers.is_some_and(|w| w.maybe_busy() < *target) => {
                        write!(f, "{} in flight", need.in_flight)
                    }
                    _ => explain.list_workers(f, false),
                }
            }
            Reason::IdleTime => {
                write!(f, "held at {target}: ")?;
                explain.list_workers(f, true)?;
                write!(f, "; workers leave after {} without work", explain.idle_limit)
            }
            Reason::ZeroWindow => {
                let (seen, wanted) = (explain.empty_for, explain.zero_after);
                write!(f, "held at {target}: the queue has been seen empty for {seen} of {wanted}")
            }
            Reason::StepOut => write!(f, "{target}: no more may start at a time{}", explain.needed()),
            Reason::StepIn => write!(f, "{target}: no more may drain at a time{}", explain.needed()),
            Reason::Minimum => write!(f, "{target} is the minimum{}", explain.needed()),
            Reason::Maximum => write!(f, "{target} is the maximum{}", explain.needed()),
            Reason::NoFreshData => {
                write!(f, "held at {target}: ")?;
                for (i, NotFresh { source, cause }) in explain.not_fresh.iter().enumerate() {
                    write!(f, "{}{}: {cause}", if i == 0 { "" } else { "; " }, source.as_str())?;
                }
                Ok(())
            }
            Reason::Paused => write!(f, "held at {target}: paused{}", explain.needed()),
        }
    }
}

impl Explain {
    /// `, needed: 12 = ceil(…)`, or nothing when the need is not known.
    fn needed(&self) -> String {
        self.need.map_or_else(String::new, |need| format!(", needed: {} = {need}", need.workers))
    }

    /// `3 busy, 1 not answering, …`: the workers that may have a job in hand, or all.
    fn list_workers(&self, f: &mut fmt::Formatter<'_>, all: bool) -> fmt::Result {
        let Some(counts) = self.workers else {
            return write!(f, "{} workers", self.current);
        };
        let WorkerCounts { starting, idle, busy, draining, unreachable, unlisted } = counts;
        let busy_kinds = [(busy, "busy"), (unreachable, "not answering"), (unlisted, "not reporting")];
        let other_kinds = [(starting, "starting"), (idle, "idle"), (draining, "draining")];
        let others = if all { &other_kinds[..] } else { &[] };
        let kinds = busy_kinds.iter().chain(others).filter(|(n, _)| *n > 0);
        for (i, (count, what)) in kinds.enumerate() {
            write!(f, "{}{count} {what}", if i == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}
