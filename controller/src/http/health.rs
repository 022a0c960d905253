//! Whether this process is well: its loops go round, and what it waits for before it can do its work.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Whether the process' loops make progress (it lives), and whether it can do its work (it is ready). Clones are of
/// one and the same.
///
/// To live depends on nothing outside the process: an API server that is gone must not make the kubelet restart
/// an operator that waits for it.
#[derive(Debug, Clone, Default)]
pub struct Health(Arc<Mutex<Inner>>);

/// Which part this process plays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Role {
    /// It is not known yet.
    #[default]
    Unknown,
    /// Another process leads; this one is ready to take over.
    Standby {
        /// The leader's identity, when it is known.
        leader: Option<String>,
    },
    /// This process leads.
    Leader,
}

#[derive(Debug, Default)]
struct Inner {
    loops: BTreeMap<&'static str, Pulse>,
    waits: BTreeMap<&'static str, String>,
    role: Role,
}

#[derive(Debug)]
struct Pulse {
    last: Instant,
    within: Duration,
}

impl Health {
    /// From now on the loop `name` must beat at least every `within`.
    pub fn expect(&self, name: &'static str, within: Duration) {
        self.lock().loops.insert(name, Pulse { last: Instant::now(), within });
    }

    /// The loop `name` went round. Nothing happens when it is not expected to.
    pub fn beat(&self, name: &'static str) {
        if let Some(pulse) = self.lock().loops.get_mut(name) {
            pulse.last = Instant::now();
        }
    }

    /// The loop `name` has ended as it should.
    pub fn retire(&self, name: &'static str) {
        self.lock().loops.remove(name);
    }

    /// The process is not ready before `what` is: `why` is one line for a person.
    pub fn wait_for(&self, what: &'static str, why: impl Into<String>) {
        self.lock().waits.insert(what, why.into());
    }

    /// `what` is ready.
    pub fn ready(&self, what: &'static str) {
        self.lock().waits.remove(what);
    }

    /// The part this process plays from now on.
    pub fn set_role(&self, role: Role) {
        self.lock().role = role;
    }

    /// The part this process plays.
    #[must_use]
    pub fn role(&self) -> Role {
        self.lock().role.clone()
    }

    /// The loops that have not gone round for too long, one line each; empty when all do.
    #[must_use]
    pub fn stuck(&self) -> Vec<String> {
        self.stuck_at(Instant::now())
    }

    fn stuck_at(&self, now: Instant) -> Vec<String> {
        let inner = self.lock();
        let silent = inner.loops.iter().filter_map(|(name, pulse)| {
            let silent = now.saturating_duration_since(pulse.last);
            (silent > pulse.within).then(|| {
                format!("{name}: silent for {} s, {} s are allowed", silent.as_secs(), pulse.within.as_secs())
            })
        });
        silent.collect()
    }

    /// What the process waits for before it is ready, one line each; empty when it is ready.
    ///
    /// A standby waits for nothing but to know that it is one.
    #[must_use]
    pub fn missing(&self) -> Vec<String> {
        let inner = self.lock();
        match inner.role {
            Role::Unknown => vec!["leader election: the lease has not been read yet".to_owned()],
            Role::Standby { .. } => Vec::new(),
            Role::Leader => inner.waits.iter().map(|(what, why)| format!("{what}: {why}")).collect(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_that_stops_beating_is_stuck_until_it_beats_again_or_retires() {
        let health = Health::default();
        let started = Instant::now();
        health.expect("lease", Duration::from_secs(30));
        health.expect("pools", Duration::from_secs(300));
        let later = started + Duration::from_secs(100);
        assert_eq!(health.stuck_at(started), Vec::<String>::new());
        let stuck = health.stuck_at(later);
        assert_eq!(stuck.len(), 1);
        assert!(
            stuck[0].starts_with("lease: silent for ") && stuck[0].ends_with("30 s are allowed"),
            "{stuck:?}"
        );
        health.beat("lease");
        assert!(health.stuck().is_empty());
        health.retire("lease");
        assert!(health.stuck_at(later).is_empty());
        health.beat("lease");
        assert!(health.stuck_at(later).is_empty(), "a beat does not bring back a loop that has ended");
    }

    #[test]
    fn only_a_leader_waits_for_its_caches() {
        let health = Health::default();
        health.wait_for("pools", "they have not been listed yet");
        assert_eq!(health.missing(), ["leader election: the lease has not been read yet"]);
        health.set_role(Role::Standby { leader: Some("other".to_owned()) });
        assert!(health.missing().is_empty());
        health.set_role(Role::Leader);
        assert_eq!(health.missing(), ["pools: they have not been listed yet"]);
        health.ready("pools");
        assert!(health.missing().is_empty());
    }
}
