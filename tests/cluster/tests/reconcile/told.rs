//! What a pool is told: its conditions, its status, its events.

use k8s_openapi::api::events::v1::Event;
use kube::Api;
use kube::api::ListParams;
use reelpool_api::status::WorkerPoolStatus;

use crate::place::Place;

impl Place<'_> {
    /// The status of a pool; empty when it has none yet.
    pub async fn status(&self, pool: &str) -> WorkerPoolStatus {
        self.pools().get(pool).await.unwrap().status.unwrap_or_default()
    }

    /// A condition's status, reason and message; empty when it is not there yet.
    pub async fn condition(&self, pool: &str, kind: &str) -> (String, String, String) {
        let conditions = self.status(pool).await.conditions;
        let found = conditions.into_iter().find(|condition| condition.type_ == kind);
        found.map(|found| (found.status, found.reason, found.message)).unwrap_or_default()
    }

    /// Waits until a condition has this status and reason, and returns its message.
    pub async fn told(&self, pool: &str, kind: &str, status: &str, reason: &str) -> String {
        let mut last = Default::default();
        let what = format!("{pool} is told {kind}={status} for {reason}");
        self.eventually(&what, async || {
            last = self.condition(pool, kind).await;
            last.0 == status && last.1 == reason
        })
        .await;
        last.2
    }

    /// Waits until a pool is told that all is well.
    pub async fn is_well(&self, pool: &str) {
        self.told(pool, "Ready", "True", "AllGood").await;
    }

    /// The events about a pool, in the order in which they were made.
    pub async fn events(&self, pool: &str) -> Vec<Event> {
        let events: Api<Event> = Api::namespaced(self.client.clone(), &self.name);
        let mut events = events.list(&ListParams::default()).await.unwrap().items;
        events.retain(|event| {
            event.regarding.as_ref().is_some_and(|about| about.name.as_deref() == Some(pool))
        });
        events.sort_by_key(|event| event.event_time.as_ref().map(|time| time.0));
        events
    }

    /// Their reasons and notes.
    pub async fn notes(&self, pool: &str) -> Vec<(String, String)> {
        let events = self.events(pool).await.into_iter();
        events.map(|event| (event.reason.unwrap_or_default(), event.note.unwrap_or_default())).collect()
    }

    /// Waits for an event of this reason, and returns its note.
    pub async fn event(&self, pool: &str, reason: &str) -> String {
        let mut note = None;
        self.eventually(&format!("{pool} has an event {reason}"), async || {
            note = self.notes(pool).await.into_iter().find(|event| event.0 == reason);
            note.is_some()
        })
        .await;
        note.unwrap().1
    }
}
