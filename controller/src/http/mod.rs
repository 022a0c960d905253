//! The operator's small HTTP server.

mod health;

pub use health::{Health, Role};
