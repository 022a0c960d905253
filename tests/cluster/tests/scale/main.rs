//! Fleets and pools by the thousand: the real operator on a real control plane, over kwok's pods and simulated workers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod half_go;
mod stock_limits;
mod thousand_pools;
mod thousand_workers;
mod world;
