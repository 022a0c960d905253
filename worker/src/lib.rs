//! The Reelpool worker: takes a job from a queue, fetches the master, transcodes it with ffmpeg, publishes the
//! renditions, commits them with a manifest, and only then deletes the message.
//!
//! The life of a message is a pure state machine ([`job`]); [`attempt`] does what it asks for, through the two small
//! traits [`queue::Queue`] and [`store`] and the crate `reelpool-media`. [`hold`] keeps the message meanwhile;
//! [`presence`] is the worker's side of drain-first scale-in. The worker knows nothing of scaling.

pub mod args;
pub mod attempt;
pub mod backoff;
pub mod claim;
pub mod events;
pub mod hex;
pub mod hold;
pub mod http;
pub mod job;
pub mod made;
pub mod metrics;
pub mod presence;
pub mod profile;
pub mod queue;
pub mod run;
pub mod shutdown;
pub mod start;
pub mod state;
pub mod store;
pub mod telemetry;
pub mod token;
pub mod transcode;
