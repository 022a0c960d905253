//! Workers that do not answer as they should: late, not at all, or with lies.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::{Method, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::{Json, body};
use reelpool_protocol::{WorkerState, WorkerStatus};
use tokio::time::sleep;

use super::Shared;

/// The longest status document of a simulated worker.
const LONGEST: usize = 64 * 1024;
/// For how long a liar says that it has been as it says.
const AGES: Duration = Duration::from_secs(3600);

/// How a worker answers. What it does with messages is another thing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Manner {
    /// As it should.
    #[default]
    Honest,
    /// It takes connections and never answers.
    Silent,
    /// It answers after so long.
    Late(Duration),
    /// It does what it is asked, and answers with a 500.
    Fails,
    /// It answers with half of a status document.
    Nonsense,
    /// It answers under the name of another.
    NamedLike(String),
    /// It says that it has been idle for ages, and does not drain.
    SaysIdle,
    /// It says that it is drained, and does not drain.
    SaysDrained,
    /// Once it was asked to drain it goes on receiving, and says that it is drained when it has a job in hand; before that
    /// it is honest.
    Pretends {
        /// Whether it was asked.
        asked: bool,
    },
}

/// The workers that do not answer as they should.
#[derive(Debug, Default)]
pub(super) struct Manners(Mutex<HashMap<String, Manner>>);

impl Manners {
    pub(super) fn set(&self, pod: &str, manner: Manner) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(pod.to_owned(), manner);
    }

    /// Whether this worker pretends to drain, for it was asked to.
    pub(super) fn pretends(&self, pod: &str) -> bool {
        let manners = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        manners.get(pod) == Some(&Manner::Pretends { asked: true })
    }

    /// How this worker answers a request of this method.
    fn of(&self, pod: &str, method: &Method) -> Manner {
        let mut manners = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(manner) = manners.get_mut(pod) else { return Manner::Honest };
        if let Manner::Pretends { asked } = manner {
            *asked = *method == Method::POST || (*asked && *method != Method::DELETE);
        }
        manner.clone()
    }
}

/// The worker's own answers, as its manner makes them.
pub(super) fn with_manners(router: Router, pod: String, shared: Arc<Shared>) -> Router {
    router.layer(from_fn(move |request: Request, next: Next| {
        let manner = shared.manners.of(&pod, request.method());
        let waits = request.method() == Method::POST && shared.manners.pretends(&pod);
        let (pod, shared) = (pod.clone(), Arc::clone(&shared));
        async move {
            while waits && !shared.ledger.has_job(&pod) {
                sleep(Duration::from_millis(10)).await;
            }
            answer(manner, request, next).await
        }
    }))
}

async fn answer(manner: Manner, mut request: Request, next: Next) -> Response {
    let lies = matches!(
        manner,
        Manner::SaysIdle | Manner::SaysDrained | Manner::NamedLike(_) | Manner::Pretends { asked: true }
    );
    if lies {
        // It does nothing of what it is asked.
        *request.method_mut() = Method::GET;
        *request.uri_mut() = "/v1/status".parse().unwrap();
    }
    let told = next.run(request).await;
    match manner {
        Manner::Honest | Manner::Pretends { asked: false } => told,
        Manner::Silent => std::future::pending().await,
        Manner::Late(time) => {
            sleep(time).await;
            told
        }
        Manner::Fails => (StatusCode::INTERNAL_SERVER_ERROR, "it fails\n").into_response(),
        Manner::Nonsense => (StatusCode::OK, r#"{"worker": "half"#).into_response(),
        Manner::NamedLike(name) => lie(told, |status| status.worker = name).await,
        Manner::SaysIdle => lie(told, |status| says(status, WorkerState::Idle)).await,
        Manner::SaysDrained => says_drained(told, 600_000).await,
        // For no longer than it is first asked to: longer drains tell of an operator before.
        Manner::Pretends { asked: true } => says_drained(told, 50_000).await,
    }
}

async fn says_drained(told: Response, lapses_in_ms: u64) -> Response {
    let drained = |status: &mut WorkerStatus| {
        says(status, WorkerState::Draining);
        status.drained = true;
        status.drain_lapses_in_ms = Some(lapses_in_ms);
    };
    lie(told, drained).await
}

fn says(status: &mut WorkerStatus, state: WorkerState) {
    status.state = state;
    status.state_for_ms = u64::try_from(AGES.as_millis()).unwrap();
    status.jobs.clear();
    status.drained = false;
    status.drain_lapses_in_ms = None;
}

async fn lie(told: Response, change: impl FnOnce(&mut WorkerStatus)) -> Response {
    let bytes = body::to_bytes(told.into_body(), LONGEST).await.unwrap();
    let mut status = serde_json::from_slice(&bytes).unwrap();
    change(&mut status);
    Json(status).into_response()
}
