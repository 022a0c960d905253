//! The Kubernetes shell.

pub mod backoff;
pub mod contest;
pub mod deployment;
pub mod drain_key;
pub mod events;
pub mod members;
pub mod plan;
pub mod pods;
pub mod state;
pub mod status;
pub mod unasked;
