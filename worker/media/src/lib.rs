//! From a master on disk to verified renditions on disk, through ffmpeg as a sandboxed child process.
//!
//! The way of a master: [`Engine::probe`] looks at its first bytes itself, asks ffprobe, and counts its packets
//! ([`Source`]); [`plan`](plan()) decides the renditions, purely ([`Plan`]); [`Engine::transcode`] runs **one**
//! ffmpeg that decodes once and feeds every rendition through a pyramid of scalers, watches it, and verifies
//! each file it made ([`Transcoded`]).
//!
//! There is no network code here: a master is a local file, and the child has no sockets.
//!
//! A program that uses [`Sandbox::Via`] must call [`sandbox::main`] first thing in its own `main` when its first
//! argument is [`sandbox::COMMAND`]: that is how a child locks itself in before it becomes ffmpeg.

pub mod arguments;
mod child;
mod encoder;
mod engine;
mod error;
mod limits;
mod log;
mod loudness;
pub mod package;
mod plan;
mod probe;
mod progress;
mod quality;
pub mod sandbox;
mod scan;
mod sniff;
mod source;
mod spawner;
mod tools;
mod transcode;
mod verify;

pub use engine::Engine;
pub use error::MediaError;
pub use limits::Limits;
pub use plan::{AudioPlan, Grid, Piece, Plan, PlanOptions, Planned, Stills, ToneMap, plan};
pub use probe::{Header, parse_probe};
pub use progress::Progress;
pub use sandbox::Sandbox;
pub use scan::Picture;
pub use sniff::Container;
pub use source::{Audio, Rate, Source, Transfer, Video};
pub use tools::Tools;
pub use transcode::{Companion, Job, Keep, KeepNothing, RenditionFile, Transcoded};
