//! Hundreds of small jobs through the real programs under a storm of faults, and a count at the end that takes nobody's
//! word for it.
//!
//! A run is drawn from a seed: what is asked when ([`work`]), and what is broken when ([`storm`]). The same storm goes
//! over two shells: a fleet of processes under `reelpool up` ([`one_machine`]), with the embedded queue or with SQS and
//! S3, and a Deployment's pods under the operator on a real control plane ([`cluster`]), where each of kwok's pods is a
//! real worker process ([`kubelet`]). Between the programs and the emulator of SQS and S3 stands a proxy ([`proxy`])
//! that fails, delays, cuts, spoils and repeats in both directions, and notes who has which message in hand.
//!
//! Beside the storm stands one fault by itself: one message for several workers at once ([`duplicates`]).
//!
//! A reader follows the outputs meanwhile ([`reader`]); at the end the store, the queue, the process table and the API
//! server's audit log are counted ([`verdict`]). Which of two things comes first in a run is up to the machine: a seed
//! repeats what happens and when, not every interleaving.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "tests"
)]

pub mod cloud;
pub mod cluster;
pub mod duplicates;
pub mod kubelet;
pub mod lasting;
pub mod one_machine;
pub mod outputs;
pub mod proxy;
pub mod reader;
pub mod seed;
pub mod shell;
pub mod storm;
pub mod tally;
pub mod verdict;
pub mod witness;
pub mod work;

pub use verdict::Verdict;
