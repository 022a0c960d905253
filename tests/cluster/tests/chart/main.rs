//! The chart: what it renders, what the real API server says to it, and what it leaves when it goes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "tests")]

mod admission;
mod dashboard;
mod examples;
mod golden;
mod helm;
mod life;
mod objects;
mod operator;
mod rights;
mod values;
