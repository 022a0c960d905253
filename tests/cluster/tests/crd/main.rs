//! `WorkerPool` as the real API server has it: what it takes, stores, refuses and shows.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "tests")]

mod changes;
mod deployments;
mod kubectl;
mod refused;
mod server;
mod stored;
mod wrong;
