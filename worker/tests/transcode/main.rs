//! `reelpool-worker transcode` as a person runs it: on real files, with the real ffmpeg.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "tests")]

mod bench;
mod broken;
mod made;
mod plan;
mod refused;
mod stopped;
