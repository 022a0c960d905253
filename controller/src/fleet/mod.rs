//! Who are the workers and what are they doing; asking them to drain.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use reelpool_protocol::WorkerStatus;
use reelpool_protocol::status::{DRAIN_PATH, DrainRequest, MAX_DRAIN_TERM_SECONDS, STATUS_PATH};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;

pub mod recent;
pub mod report;

pub use recent::Recent;
pub use report::{Report, observation};

/// The longest a worker may take to answer; one that does not counts as busy.
const TIMEOUT: Duration = Duration::from_secs(2);
/// How many workers of one fleet are asked at once.
const AT_ONCE: usize = 64;
/// How many workers of all fleets are asked at once.
const ALL_AT_ONCE: usize = 512;
/// How many of one fleet that gave no answer the last time are asked at once.
const SILENT_AT_ONCE: usize = 16;
/// How many of all fleets that gave no answer the last time are asked at once.
const ALL_SILENT_AT_ONCE: usize = 128;
/// Who had no turn within this time is not asked in this round: whoever asks must not wait for a thousand that hang.
const TURN_WITHIN: Duration = Duration::from_secs(4);
/// The longest answer that is read: a status document with one job is some 600 bytes.
const MAX_BODY: usize = 64 * 1024;

/// What to ask of a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// What it is doing.
    Status,
    /// To take no new job for so many seconds.
    Drain(u32),
    /// To take jobs again.
    Undrain,
}

/// A question to one worker of many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask<K> {
    /// Whom the answer is from, for the one who asks.
    pub key: K,
    /// Where it answers.
    pub address: SocketAddr,
    /// What to ask.
    pub question: Question,
    /// The name that it must give, where it is known: an address may be another's by now.
    pub name: Option<String>,
    /// Whether it gave no answer the last time: such wait for each other only.
    pub was_silent: bool,
}

impl<K> Ask<K> {
    /// A question to one that is thought to answer.
    pub fn new(key: K, address: SocketAddr, question: Question) -> Self {
        Self { key, address, question, name: None, was_silent: false }
    }
}

/// Asks workers over HTTP.
#[derive(Clone)]
pub struct FleetClient {
    client: Client<HttpConnector, Full<Bytes>>,
    /// The bearer token of drain requests, as the whole header value.
    authorization: Arc<str>,
    /// Turns at asking this fleet: one whose workers do not answer leaves turns to the others.
    own: Turns,
    all: Turns,
}

/// Turns at asking, with some apart for workers that gave no answer the last time: each of those keeps its turn for
/// seconds.
#[derive(Clone)]
struct Turns {
    answering: Arc<Semaphore>,
    silent: Arc<Semaphore>,
}

impl Turns {
    fn new(answering: usize, silent: usize) -> Self {
        Self { answering: Arc::new(Semaphore::new(answering)), silent: Arc::new(Semaphore::new(silent)) }
    }

    async fn take(&self, was_silent: bool) -> Option<SemaphorePermit<'_>> {
        let line = if was_silent { &self.silent } else { &self.answering };
        // Neither is ever closed.
        line.acquire().await.ok()
    }
}

impl std::fmt::Debug for FleetClient {
    /// Leaves the token out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FleetClient").finish_non_exhaustive()
    }
}

/// Why a worker gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    /// It did not answer in time.
    #[error("the worker at {0} did not answer within {TIMEOUT:?}")]
    Late(SocketAddr),
    /// It was not asked: too many others were, and did not answer.
    #[error("the worker at {0} was not asked within {TURN_WITHIN:?}: too many others do not answer")]
    NoTurn(SocketAddr),
    /// Another one answered.
    #[error("at {address} the worker {other} answers: the address has gone to it, or two share it")]
    Another {
        /// The address that was asked.
        address: SocketAddr,
        /// The name that was given.
        other: String,
    },
    /// It could not be reached.
    #[error("the worker at {address} could not be reached: {detail}")]
    Unreachable {
        /// The worker's address.
        address: SocketAddr,
        /// What was met.
        detail: String,
    },
    /// It refused.
    #[error("the worker at {address} answered {status}: {body}")]
    Refused {
        /// The worker's address.
        address: SocketAddr,
        /// The status code.
        status: StatusCode,
        /// The beginning of what it said.
        body: String,
    },
    /// It answered with something that is no status document.
    #[error("the worker at {address} gave no status document: {detail}")]
    Unreadable {
        /// The worker's address.
        address: SocketAddr,
        /// What is wrong with it.
        detail: String,
    },
}

impl FleetClient {
    /// A client that shows `token` with drain requests.
    #[must_use]
    pub fn new(token: &str) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(TIMEOUT));
        connector.set_nodelay(true);
        Self {
            // Connections kept open would keep workers that shut down from ending.
            client: Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector),
            authorization: format!("Bearer {token}").into(),
            own: Turns::new(AT_ONCE, SILENT_AT_ONCE),
            all: Turns::new(ALL_AT_ONCE, ALL_SILENT_AT_ONCE),
        }
    }

    /// A client for another fleet, with its token.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Self {
        Self {
            authorization: format!("Bearer {token}").into(),
            own: Turns::new(AT_ONCE, SILENT_AT_ONCE),
            ..self.clone()
        }
    }

    /// Asks one worker; its answer is always its status.
    pub async fn ask(&self, address: SocketAddr, question: Question) -> Result<WorkerStatus, FleetError> {
        let unreachable = |detail: String| FleetError::Unreachable { address, detail };
        let (method, path, body) = match question {
            Question::Status => (Method::GET, STATUS_PATH, Bytes::new()),
            Question::Drain(seconds) => {
                let request = DrainRequest { term_seconds: seconds.min(MAX_DRAIN_TERM_SECONDS) };
                let body = serde_json::to_vec(&request).map_err(|error| unreachable(error.to_string()))?;
                (Method::POST, DRAIN_PATH, body.into())
            }
            Question::Undrain => (Method::DELETE, DRAIN_PATH, Bytes::new()),
        };
        let mut request = Request::builder().method(method).uri(format!("http://{address}{path}"));
        if question != Question::Status {
            request = request
                .header(header::AUTHORIZATION, &*self.authorization)
                .header(header::CONTENT_TYPE, "application/json");
        }
        let request = request.body(Full::new(body)).map_err(|error| unreachable(error.to_string()))?;
        let answer = async {
            let response =
                self.client.request(request).await.map_err(|error| unreachable(error.to_string()))?;
            let status = response.status();
            let body = Limited::new(response.into_body(), MAX_BODY).collect().await;
            let body = body.map_err(|error| FleetError::Unreadable { address, detail: error.to_string() })?;
            read(address, status, &body.to_bytes())
        };
        tokio::time::timeout(TIMEOUT, answer).await.unwrap_or(Err(FleetError::Late(address)))
    }

    /// Asks many workers at once, some sixty at a time and for some seconds in all; the answers come in no order.
    pub async fn ask_all<K: Send + 'static>(
        &self,
        questions: impl IntoIterator<Item = Ask<K>>,
    ) -> Vec<(K, Result<WorkerStatus, FleetError>)> {
        let turn_by = Instant::now() + TURN_WITHIN;
        let mut asked = JoinSet::new();
        for Ask { key, address, question, name, was_silent } in questions {
            let client = self.clone();
            asked.spawn(async move {
                let turn = async {
                    // One's own turn first: who waits for it keeps nobody else from the turns of all.
                    (client.own.take(was_silent).await, client.all.take(was_silent).await)
                };
                let Ok(_turn) = tokio::time::timeout_at(turn_by, turn).await else {
                    return (key, Err(FleetError::NoTurn(address)));
                };
                let answer = client.ask(address, question).await.and_then(|status| match name {
                    Some(name) if name != status.worker => {
                        Err(FleetError::Another { address, other: status.worker.chars().take(100).collect() })
                    }
                    _ => Ok(status),
                });
                (key, answer)
            });
        }
        let mut answers = Vec::with_capacity(asked.len());
        while let Some(ended) = asked.join_next().await {
            match ended.map_err(JoinError::try_into_panic) {
                Ok(answer) => answers.push(answer),
                Err(Ok(panic)) => std::panic::resume_unwind(panic),
                // It was cancelled: the runtime is about to end, and whoever asked with it.
                Err(Err(_)) => {}
            }
        }
        answers
    }
}

fn read(address: SocketAddr, status: StatusCode, body: &[u8]) -> Result<WorkerStatus, FleetError> {
    // A worker that got a job instead of a drain says so with a conflict, and gives its status all the same.
    if !status.is_success() && status != StatusCode::CONFLICT {
        let body = String::from_utf8_lossy(body).chars().take(200).collect();
        return Err(FleetError::Refused { address, status, body });
    }
    serde_json::from_slice(body)
        .map_err(|error| FleetError::Unreadable { address, detail: error.to_string() })
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
