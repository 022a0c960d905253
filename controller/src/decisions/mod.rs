//! The record of decisions: each that is another one than the last, as a line of JSON, kept for whoever asks and, if
//! wanted, written to a log. `reelpool replay` reads the lines.

mod log;
mod ring;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use k8s_openapi::jiff;
use reelpool_core::replay::Record;
use reelpool_core::{Decision, Limit, Reason, WorkerId};
use serde::Serialize;

pub use log::DecisionLog;
use ring::Ring;

use crate::pool_name::PoolName;

/// How many decisions of a pool are kept unless told otherwise.
pub const DEFAULT_PER_POOL: usize = 64;
/// The most bytes of decisions that are kept over all pools. A decision over 1,337 workers is a line of 110 kB.
pub const DEFAULT_TOTAL_BYTES: usize = 16 * 1024 * 1024;

/// What makes a decision another one than the last: its number, its reason, its limits and who drains. A decision that
/// differs in nothing of it is not put on record again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gist {
    target: u32,
    reason: Reason,
    limits: Vec<Limit>,
    drain: Vec<WorkerId>,
}

impl From<&Decision> for Gist {
    fn from(decision: &Decision) -> Self {
        Self {
            target: decision.target,
            reason: decision.reason,
            limits: decision.limits.clone(),
            drain: decision.drain.clone(),
        }
    }
}

/// A record with what only the operator knows of it.
#[derive(Serialize)]
struct Line<'a> {
    /// The pool, as `namespace/name`.
    pool: &'a str,
    /// When it was decided, for a person: RFC 3339, in UTC.
    at: String,
    record: &'a Record,
}

/// The last decisions of every pool.
#[derive(Debug)]
pub struct Decisions {
    inner: Mutex<Inner>,
    log: Option<DecisionLog>,
}

#[derive(Debug)]
struct Inner {
    ring: Ring,
    /// Every pool that is known, and the last decision on it.
    pools: BTreeMap<PoolName, Option<Gist>>,
}

impl Decisions {
    /// Keeps at most `per_pool` decisions of a pool and `total_bytes` of all, and writes each to `log` as well.
    #[must_use]
    pub fn new(per_pool: usize, total_bytes: usize, log: Option<DecisionLog>) -> Self {
        let inner = Inner { ring: Ring::new(per_pool, total_bytes), pools: BTreeMap::new() };
        Self { inner: Mutex::new(inner), log }
    }

    /// The pool is there, though nothing may have been decided on it yet.
    pub fn know(&self, pool: &PoolName) {
        self.lock().pools.entry(pool.clone()).or_default();
    }

    /// The pool is gone, and its decisions with it.
    pub fn forget(&self, pool: &PoolName) {
        let mut inner = self.lock();
        inner.pools.remove(pool);
        inner.ring.forget(pool);
    }

    /// Puts the decision on record if it is another one than the pool's last. Returns whether it is.
    pub fn take(&self, pool: &PoolName, record: &Record) -> bool {
        let gist = Gist::from(&record.decision);
        {
            let mut inner = self.lock();
            let last = inner.pools.entry(pool.clone()).or_default();
            if last.as_ref() == Some(&gist) {
                return false;
            }
            *last = Some(gist);
        }
        match line(pool, record) {
            Ok(line) => {
                if let Some(log) = &self.log {
                    log.write(line.clone());
                }
                let mut inner = self.lock();
                // It may have been forgotten meanwhile.
                if inner.pools.contains_key(pool) {
                    inner.ring.push(pool, line);
                }
            }
            Err(error) => tracing::warn!("a decision on {pool} could not be put on record: {error}"),
        }
        true
    }

    /// The pool's last decisions, at most `limit`, the newest last, each a line with its end; `None` when there is no
    /// such pool.
    #[must_use]
    pub fn lines(&self, pool: &PoolName, limit: usize) -> Option<Vec<Bytes>> {
        let inner = self.lock();
        inner.pools.contains_key(pool).then(|| inner.ring.last(pool, limit))
    }

    /// Every pool that is known, in order.
    #[must_use]
    pub fn pools(&self) -> Vec<PoolName> {
        self.lock().pools.keys().cloned().collect()
    }

    /// The log, if there is one.
    #[must_use]
    pub fn log(&self) -> Option<&DecisionLog> {
        self.log.as_ref()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn line(pool: &PoolName, record: &Record) -> Result<Bytes, serde_json::Error> {
    let at = jiff::Timestamp::from_millisecond(record.now.as_millis()).unwrap_or_default();
    let mut line = serde_json::to_vec(&Line { pool: pool.as_str(), at: at.to_string(), record })?;
    line.push(b'\n');
    Ok(line.into())
}

#[cfg(test)]
#[path = "decisions_tests.rs"]
mod tests;
