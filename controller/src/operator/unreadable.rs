//! A pool that this operator cannot read, such as one that a newer version was told of: it is not followed, and told so.
//!
//! Nothing is known of it but its metadata, so that the rest of its status stays as it is.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::jiff;
use kube::Api;
use kube::api::{ObjectMeta, Patch, PatchParams};
use kube::core::error_boundary::InvalidObject;
use kube::runtime::controller::Action;
use kube::runtime::reflector::ObjectRef;
use reelpool_api::condition::Reason as Why;
use reelpool_api::{WorkerPool, WorkerPoolStatus};
use serde_json::{Value, json};

use super::apply::ApplyError;
use super::context::Context;
use super::deployment::MANAGER;
use super::status::{self, Facts, Finding, Findings};

const WHAT: &str = "the status of the pool";
/// How soon to try again when what it is could not be told.
const AGAIN: Duration = Duration::from_secs(15);

/// What each pool that cannot be read was told.
#[derive(Debug, Default)]
pub struct Unreadable(Mutex<HashMap<ObjectRef<WorkerPool>, Told>>);

/// What a pool was told: this is not told again.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Told {
    uid: Option<String>,
    generation: Option<i64>,
    error: String,
}

impl Unreadable {
    /// The pool can be read: what it was told is over.
    pub fn can_be_read(&self, pool: &WorkerPool) {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !told.is_empty() {
            told.remove(&ObjectRef::from_obj(pool));
        }
    }

    /// Forgets the pools that `exists` says are gone.
    pub fn forget(&self, exists: impl Fn(&ObjectRef<WorkerPool>) -> bool) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|pool, _| exists(pool));
    }

    fn knows(&self, pool: &ObjectRef<WorkerPool>, told: &Told) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(pool) == Some(told)
    }

    fn was_told(&self, pool: ObjectRef<WorkerPool>, told: Told) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(pool, told);
    }
}

/// Tells the pool that it cannot be read, if that is news.
pub async fn tell(unreadable: &InvalidObject, context: &Context) -> Action {
    let InvalidObject { metadata, error } = unreadable;
    let (name, namespace) = (metadata.name.as_deref(), metadata.namespace.as_deref());
    let (Some(name), Some(namespace)) = (name, namespace) else { return Action::await_change() };
    let pool = ObjectRef::<WorkerPool>::new(name).within(namespace);
    let told = Told { uid: metadata.uid.clone(), generation: metadata.generation, error: error.clone() };
    if metadata.deletion_timestamp.is_some() || context.unreadable.knows(&pool, &told) {
        return Action::await_change();
    }
    let message = message(error);
    context.metrics.error("unreadable_pool");
    tracing::warn!(pool = format!("{namespace}/{name}"), "{message}");
    // What it was told before does not stand any more, even if the answer to this write is lost.
    if let Some(state) = context.pools.known(&pool) {
        state.lock().await.status = None;
    }
    match write(context, namespace, name, &patch(metadata, message)).await {
        Ok(()) => {}
        // The change that stands in the way wakes the next try.
        Err(ApplyError::Conflict(_)) => return Action::await_change(),
        Err(error) => {
            tracing::warn!(pool = format!("{namespace}/{name}"), "{error}");
            return Action::requeue(AGAIN);
        }
    }
    context.unreadable.was_told(pool, told);
    Action::await_change()
}

fn message(error: &str) -> String {
    format!(
        "version {} of the operator cannot read this pool: correct it, or run the version that it was written for ({error})",
        env!("CARGO_PKG_VERSION")
    )
}

/// What is written: the conditions, and for which spec. All else of the status is unknown and stays as it is.
fn patch(metadata: &ObjectMeta, message: String) -> Value {
    let findings = Findings::only(Finding::no(Why::InvalidSpec, message));
    let facts = Facts {
        generation: metadata.generation,
        findings: &findings,
        decided: None,
        deployment: None,
        wall: jiff::Timestamp::now(),
    };
    let WorkerPoolStatus { observed_generation, conditions, .. } =
        status::next(&WorkerPoolStatus::default(), facts);
    json!({
        "metadata": { "resourceVersion": metadata.resource_version },
        "status": { "observedGeneration": observed_generation, "conditions": conditions },
    })
}

/// The answer is the pool, which cannot be read: only its metadata is.
async fn write(context: &Context, namespace: &str, name: &str, patch: &Value) -> Result<(), ApplyError> {
    let pools: Api<super::Guarded> = Api::namespaced(context.client.clone(), namespace);
    let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
    let patch = Patch::Merge(patch);
    context.hands(namespace).write(WHAT, pools.patch_status(name, &params, &patch)).await.map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reference() -> ObjectRef<WorkerPool> {
        ObjectRef::new("cats").within("video")
    }

    fn told(generation: i64, error: &str) -> Told {
        Told { uid: Some("u1".to_owned()), generation: Some(generation), error: error.to_owned() }
    }

    #[test]
    fn the_same_is_told_once() {
        let unreadable = Unreadable::default();
        assert!(!unreadable.knows(&reference(), &told(1, "unknown variant")));
        unreadable.was_told(reference(), told(1, "unknown variant"));
        assert!(unreadable.knows(&reference(), &told(1, "unknown variant")));
        assert!(!unreadable.knows(&reference(), &told(2, "unknown variant")), "another spec");
        assert!(!unreadable.knows(&reference(), &told(1, "missing field")));
        unreadable.forget(|_| true);
        assert!(unreadable.knows(&reference(), &told(1, "unknown variant")));
        unreadable.forget(|_| false);
        assert!(!unreadable.knows(&reference(), &told(1, "unknown variant")), "one of its name begins anew");
    }

    #[test]
    fn it_says_what_and_what_to_do_and_touches_nothing_else() {
        let metadata = ObjectMeta {
            generation: Some(7),
            resource_version: Some("42".to_owned()),
            ..ObjectMeta::default()
        };
        let patch = patch(&metadata, message("unknown variant `gcs`"));
        assert_eq!(patch["metadata"], json!({"resourceVersion": "42"}));
        let fields: Vec<&String> = patch["status"].as_object().unwrap().keys().collect();
        assert_eq!(fields, ["conditions", "observedGeneration"]);
        assert_eq!(patch["status"]["observedGeneration"], 7);
        let conditions = patch["status"]["conditions"].as_array().unwrap();
        let ready = conditions.iter().find(|condition| condition["type"] == "Ready").unwrap();
        assert_eq!((&ready["status"], &ready["reason"]), (&json!("False"), &json!("InvalidSpec")));
        let message = ready["message"].as_str().unwrap();
        assert!(message.contains("correct it") && message.contains("unknown variant `gcs`"), "{message}");
        let others = conditions.iter().filter(|condition| condition["type"] != "Ready");
        assert!(others.clone().count() == 4 && others.into_iter().all(|other| other["status"] == "Unknown"));
    }
}
