//! The operator on a real control plane, as the chart's service account with exactly the chart's rights: pools come,
//! change and go; hands and other controllers write what is the operator's; the queue, the leader and the API server
//! fail.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "tests")]

mod faults;
mod leaders;
mod liars;
mod outage;
mod owned;
mod place;
mod quiet;
mod rollout;
mod spared;
mod steps;
mod targets;
mod told;
mod writers;
mod wrong;
mod zero;
