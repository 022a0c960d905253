//! `WorkerPool` in `reelpool.dev/v1alpha1`: what a platform engineer writes, and what the operator tells in return.
//!
//! Types and their schema only. What is wrong with a value is said by the schema and its CEL rules, so that the API
//! server refuses it at `kubectl apply`; what only the operator can know is told in the status.

mod columns;
pub mod condition;
pub mod crd;
pub mod pool;
pub mod profile;
pub mod queue;
mod rules;
pub mod scaling;
mod schema;
pub mod status;
pub mod worker;

pub use pool::{WorkerPool, WorkerPoolSpec};
pub use status::WorkerPoolStatus;

/// The group of the resource, and the domain of every label and annotation that Reelpool sets.
pub const GROUP: &str = "reelpool.dev";
/// The label that carries the name of the pool that an object belongs to.
pub const POOL_LABEL: &str = "reelpool.dev/pool";
/// The longest name a pool may have, in characters: its Deployment and its pods are named after it, and Kubernetes
/// cuts a pod's name so that no more than 58 characters of the Deployment's stay whole.
pub const MAX_POOL_NAME: usize = 46;
