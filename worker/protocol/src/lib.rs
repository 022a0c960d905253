//! What Reelpool's parts say to each other, and everything they accept from outside.
//!
//! The controller and the workers share nothing but this crate: the job a queue message asks for
//! ([`job`], [`ladder`], [`profile`], [`message`]), what a worker says of itself while it runs ([`status`]) and each time a
//! job ends ([`event`]), and the [`manifest`] that makes an attempt's outputs *the* outputs. Workers also tell each
//! other what they work on ([`claim`]).
//!
//! Parsing is total: any bytes give either a value that cannot be wrong or an error that names the field.

pub mod claim;
pub mod event;
pub mod job;
mod json;
mod key;
pub mod ladder;
pub mod location;
pub mod manifest;
pub mod message;
pub mod profile;
pub mod status;

pub use claim::Claim;
pub use event::WorkerEvent;
pub use job::{JobId, JobRequest, Source};
pub use ladder::{Ladder, Rung};
pub use location::{Location, QueueUrl};
pub use manifest::Manifest;
pub use message::Message;
pub use profile::Profile;
pub use status::{WorkerState, WorkerStatus};
