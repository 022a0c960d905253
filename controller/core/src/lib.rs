//! The scaling decision of Reelpool: how many workers a fleet should have, which of them should drain, why, and
//! when to look again.
//!
//! [`decide()`] is pure, total and deterministic. It is told the time, reads nothing but its arguments, and no
//! input makes it panic. The shells around it (the operator, the one-machine mode, the simulator) observe the
//! world, ask it, and carry out what it says; none has a scaling rule of its own.
//!
//! ```
//! use reelpool_core::{Memory, Observation, Policy, PolicySpec, QueueDepth, Sample, Timestamp, decide};
//!
//! let now = Timestamp::from_millis(1_000);
//! let queue = QueueDepth { backlog: 1337, ..QueueDepth::default() };
//! let observation = Observation {
//!     queue: Sample::Known { value: queue, observed_at: now },
//!     workers: Sample::Known { value: Vec::new(), observed_at: now },
//!     current: 0,
//!     service_time: None,
//!     start_up_time: None,
//! };
//! let policy = Policy::try_from(PolicySpec { max_workers: 2000, ..PolicySpec::default() })?;
//! let decision = decide(&policy, &Memory::default(), &observation, now);
//! assert_eq!(decision.target, 1337);
//! assert_eq!(decision.to_string(), "1337 = ceil((1337 waiting + 0 in flight) / 1)");
//! # Ok::<(), reelpool_core::PolicyError>(())
//! ```

pub mod check;
pub mod decide;
pub mod decision;
pub mod explain;
mod fleet;
mod freshness;
pub mod memory;
mod need;
pub mod observation;
pub mod policy;
pub mod replay;
pub mod time;

pub use check::{Violation, check};
pub use decide::decide;
pub use decision::{Decision, Limit, Reason};
pub use explain::{Basis, Explain, Need, NotFresh, Source, WorkerCounts};
pub use memory::{EmptyWindow, Memory};
pub use observation::{
    DrainStage, Observation, QueueDepth, Sample, WorkerId, WorkerObservation, WorkerState,
};
pub use policy::{Freshness, Policy, PolicyError, PolicySpec, Poll, Target};
pub use replay::{Difference, Record, replay};
pub use time::{Millis, Timestamp};
