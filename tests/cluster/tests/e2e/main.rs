//! Real pods: the real images on a node with a real kubelet, against the real SQS and S3 protocols.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod chart;
mod gone;
mod pods;
mod whole;
mod witness;
mod worker;

/// One node at a time: this is for small machines, and the tests of what is left behind look at the whole machine.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
