//! Kubernetes events about a pool: one for each change, never one for each look.

use std::sync::Arc;
use std::time::Duration;

use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::{Client, Resource};
use reelpool_api::WorkerPool;
use tokio::sync::Semaphore;

use crate::said::said;

/// The longest note, in bytes; the API server refuses longer ones.
const LONGEST_NOTE: usize = 1000;
/// An event is not worth waiting for for longer, once it is its turn.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How many events are published at once: few, so that they never crowd out what they tell of.
const AT_ONCE: usize = 4;

/// What happened. The names are the reasons that scripts and alerts match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// More workers are asked for.
    ScaledOut,
    /// Fewer workers are asked for; those that go are drained.
    ScaledIn,
    /// The Deployment was made.
    DeploymentCreated,
    /// The Deployment was changed back, or brought up to date.
    DeploymentUpdated,
    /// Somebody else wrote the number of replicas.
    OtherWriter,
    /// Kubernetes took other pods than the drained ones.
    OtherPodsTaken,
    /// The pool stopped being ready.
    NotReady,
    /// The pool is ready again.
    Ready,
}

impl What {
    fn reason(self) -> &'static str {
        match self {
            Self::ScaledOut => "ScaledOut",
            Self::ScaledIn => "ScaledIn",
            Self::DeploymentCreated => "DeploymentCreated",
            Self::DeploymentUpdated => "DeploymentUpdated",
            Self::OtherWriter => "OtherWriter",
            Self::OtherPodsTaken => "OtherPodsTaken",
            Self::NotReady => "NotReady",
            Self::Ready => "Ready",
        }
    }

    fn action(self) -> &'static str {
        match self {
            Self::ScaledOut | Self::ScaledIn | Self::OtherWriter | Self::OtherPodsTaken => "Scale",
            Self::DeploymentCreated | Self::DeploymentUpdated => "Apply",
            Self::NotReady | Self::Ready => "Reconcile",
        }
    }

    fn is_warning(self) -> bool {
        matches!(self, Self::OtherWriter | Self::OtherPodsTaken | Self::NotReady)
    }
}

/// Publishes events about pools.
#[derive(Clone)]
pub struct Events {
    client: Client,
    reporter: Reporter,
    turns: Arc<Semaphore>,
}

impl Events {
    /// Events that are reported by this instance.
    #[must_use]
    pub fn new(client: Client, identity: &str) -> Self {
        let reporter =
            Reporter { controller: "reelpool.dev/operator".into(), instance: Some(identity.to_owned()) };
        Self { client, reporter, turns: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// Publishes an event in the background: telling of a thing must not hold up the thing.
    pub fn publish(&self, pool: &WorkerPool, what: What, note: &str) {
        let note = match note.char_indices().map(|(at, _)| at).find(|at| *at >= LONGEST_NOTE) {
            Some(end) => note[..end].to_owned(),
            None => note.to_owned(),
        };
        let event = Event {
            type_: if what.is_warning() { EventType::Warning } else { EventType::Normal },
            reason: what.reason().to_owned(),
            note: Some(note),
            action: what.action().to_owned(),
            secondary: None,
        };
        // A recorder joins events of one reason and forgets the new note: each gets one of its own.
        let recorder = Recorder::new(self.client.clone(), self.reporter.clone());
        let about = pool.object_ref(&());
        let turns = Arc::clone(&self.turns);
        tokio::spawn(async move {
            let _turn = turns.acquire().await;
            match tokio::time::timeout(TIMEOUT, recorder.publish(&event, &about)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!(error = %said(&error), "an event could not be published"),
                Err(_) => tracing::warn!("an event could not be published in time"),
            }
        });
    }
}
