//! The record of decisions: each that is another one than the last, as a line of JSON, kept for whoever asks and, if
//! wanted, written to a log. `reelpool replay` reads the lines.

mod log;
mod ring;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use k8s_openapi::jiff;
use reelpool_core::replay::Record;
use reelpool_core::{Decision, Limit, Reason, WorkerId};
use serde::Serialize;

pub use log::DecisionLog;
use ring::Ring;

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

/// The last decisions of every pool. Clones are of one and the same.
#[derive(Debug, Clone)]
pub struct Decisions {
    inner: Arc<Mutex<Inner>>,
    log: Option<Arc<DecisionLog>>,
}

#[derive(Debug)]
struct Inner {
    ring: Ring,
    /// Every pool that is known, and the last decision on it.
    pools: BTreeMap<Arc<str>, Option<Gist>>,
}

impl Decisions {
    /// Keeps at most `per_pool` decisions of a pool and `total_bytes` of all, and writes each to `log` as well.
    #[must_use]
    pub fn new(per_pool: usize, total_bytes: usize, log: Option<DecisionLog>) -> Self {
        let inner = Inner { ring: Ring::new(per_pool, total_bytes), pools: BTreeMap::new() };
        Self { inner: Arc::new(Mutex::new(inner)), log: log.map(Arc::new) }
    }

    /// The pool is there, though nothing may have been decided on it yet.
    pub fn know(&self, namespace: &str, name: &str) {
        self.lock().pools.entry(key(namespace, name)).or_default();
    }

    /// The pool is gone, and its decisions with it.
    pub fn forget(&self, namespace: &str, name: &str) {
        let key = key(namespace, name);
        let mut inner = self.lock();
        inner.pools.remove(&key);
        inner.ring.forget(&key);
    }

    /// Puts the decision on record if it is another one than the pool's last. Returns whether it is.
    pub fn take(&self, namespace: &str, name: &str, record: &Record) -> bool {
        let key = key(namespace, name);
        let gist = Gist::from(&record.decision);
        {
            let mut inner = self.lock();
            let last = inner.pools.entry(Arc::clone(&key)).or_default();
            if last.as_ref() == Some(&gist) {
                return false;
            }
            *last = Some(gist);
        }
        match line(&key, record) {
            Ok(line) => {
                if let Some(log) = &self.log {
                    log.write(line.clone());
                }
                self.lock().ring.push(&key, line);
            }
            Err(error) => tracing::warn!("a decision on {key} could not be put on record: {error}"),
        }
        true
    }

    /// The pool's last decisions, at most `limit`, the newest last, each a line with its end; `None` when there is no
    /// such pool.
    #[must_use]
    pub fn lines(&self, namespace: &str, name: &str, limit: usize) -> Option<Vec<Bytes>> {
        let key = key(namespace, name);
        let inner = self.lock();
        inner.pools.contains_key(&key).then(|| inner.ring.last(&key, limit))
    }

    /// Every pool that is known, as `namespace/name`, in order.
    #[must_use]
    pub fn pools(&self) -> Vec<Arc<str>> {
        self.lock().pools.keys().cloned().collect()
    }

    /// The log, if there is one.
    #[must_use]
    pub fn log(&self) -> Option<&DecisionLog> {
        self.log.as_deref()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(namespace: &str, name: &str) -> Arc<str> {
    format!("{namespace}/{name}").into()
}

fn line(pool: &str, record: &Record) -> Result<Bytes, serde_json::Error> {
    let at = jiff::Timestamp::from_millisecond(record.now.as_millis()).unwrap_or_default();
    let mut line = serde_json::to_vec(&Line { pool, at: at.to_string(), record })?;
    line.push(b'\n');
    Ok(line.into())
}

#[cfg(test)]
#[path = "decisions_tests.rs"]
mod tests;
