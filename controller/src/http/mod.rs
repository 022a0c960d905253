//! The operator's small HTTP server: health, metrics and the decisions of late. It only reads, and asks for no
//! credentials: what it tells is no secret within a cluster, and the cluster's network policies say who asks.

mod health;

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures::stream;
use reelpool_serve::Bounds;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

pub use health::{Health, Role};

use crate::decisions::Decisions;
use crate::metrics::{Metrics, PoolName};

/// How many callers may be reading decisions at once: what is read is kept until it was read.
const READERS: usize = 4;

/// What the server serves.
#[derive(Debug)]
struct Served {
    health: Health,
    metrics: Metrics,
    decisions: Arc<Decisions>,
    readers: Arc<Semaphore>,
}

/// The server. It ends when this is dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Server {
    /// The address that is served.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Serves on `address` (port 0 takes any). `[::]` means all addresses of both kinds, also where there is no IPv6.
///
/// # Errors
/// When the address cannot be bound.
pub async fn serve(
    address: SocketAddr,
    health: Health,
    metrics: Metrics,
    decisions: Arc<Decisions>,
) -> io::Result<Server> {
    let listener = bind(address).await?;
    let address = listener.local_addr()?;
    let readers = Arc::new(Semaphore::new(READERS));
    let router = router(Served { health, metrics, decisions, readers });
    let task = tokio::spawn(reelpool_serve::serve(listener, router, Bounds::default()));
    Ok(Server { address, task })
}

async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    match TcpListener::bind(address).await {
        Err(error) if address.is_ipv6() && address.ip().is_unspecified() && no_ipv6(&error) => {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port())).await
        }
        bound => bound,
    }
}

/// Whether this machine has no IPv6.
fn no_ipv6(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrNotAvailable
        || error.raw_os_error() == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error())
}

fn router(served: Served) -> Router {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/v1/pools", get(pools))
        .route("/v1/pools/{namespace}/{name}/decisions", get(decisions))
        .with_state(Arc::new(served))
}

type Shared = State<Arc<Served>>;

async fn healthz(State(served): Shared) -> Response {
    told(served.health.stuck(), "ok\n".to_owned())
}

async fn readyz(State(served): Shared) -> Response {
    let ready = match served.health.role() {
        Role::Standby { leader: Some(leader) } => format!("ready: standby, {leader} leads\n"),
        Role::Standby { leader: None } => "ready: standby\n".to_owned(),
        Role::Leader | Role::Unknown => "ready\n".to_owned(),
    };
    // A standby whose loop hangs would not take over.
    let mut missing = served.health.missing();
    missing.extend(served.health.stuck());
    told(missing, ready)
}

/// `fine`, or what is not, one line each.
fn told(wrong: Vec<String>, fine: String) -> Response {
    if wrong.is_empty() {
        return fine.into_response();
    }
    let lines: Vec<String> = wrong.into_iter().map(|line| line + "\n").collect();
    (StatusCode::SERVICE_UNAVAILABLE, lines.concat()).into_response()
}

async fn metrics(State(served): Shared) -> Response {
    match served.metrics.text() {
        Ok(text) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

async fn pools(State(served): Shared) -> Response {
    if let Some(elsewhere) = elsewhere(&served) {
        return elsewhere;
    }
    let names: Vec<String> = served.decisions.pools().iter().map(|name| format!("{name}\n")).collect();
    names.concat().into_response()
}

async fn decisions(
    State(served): Shared,
    Path((namespace, name)): Path<(String, String)>,
    RawQuery(query): RawQuery,
) -> Response {
    let limit = match limit(query.as_deref().unwrap_or_default()) {
        Ok(limit) => limit,
        Err(wrong) => return (StatusCode::BAD_REQUEST, wrong).into_response(),
    };
    if let Some(elsewhere) = elsewhere(&served) {
        return elsewhere;
    }
    let Ok(reader) = Arc::clone(&served.readers).try_acquire_owned() else {
        let busy = format!("{READERS} callers read decisions already: ask again soon\n");
        return (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "1")], busy).into_response();
    };
    let pool = PoolName::new(namespace, name);
    let Some(lines) = served.decisions.lines(&pool, limit) else {
        let text = "there is no such pool here: GET /v1/pools lists all\n";
        return (StatusCode::NOT_FOUND, text).into_response();
    };
    // The right to read goes when the last line has gone, or the caller has.
    let body = Body::from_stream(stream::iter(lines.into_iter().map(move |line| {
        let _ = &reader;
        Ok::<_, Infallible>(line)
    })));
    ([(header::CONTENT_TYPE, "application/jsonl")], body).into_response()
}

/// What to say when this process decides nothing, because another does.
fn elsewhere(served: &Served) -> Option<Response> {
    let leader = match served.health.role() {
        Role::Leader => return None,
        Role::Standby { leader: Some(leader) } => {
            format!("this operator is on standby: ask {leader}, which leads\n")
        }
        Role::Standby { leader: None } => "this operator is on standby, and nobody leads now\n".to_owned(),
        Role::Unknown => "this operator does not know yet who leads: ask again soon\n".to_owned(),
    };
    Some((StatusCode::SERVICE_UNAVAILABLE, leader).into_response())
}

/// The number in `limit=`; all of them when it is not said.
fn limit(query: &str) -> Result<usize, String> {
    let mut limit = usize::MAX;
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        if name != "limit" {
            return Err(format!("`{name}` is not understood: only limit=N is\n"));
        }
        limit = value.parse().map_err(|_| format!("limit=`{value}`: expected a number\n"))?;
    }
    Ok(limit)
}

#[cfg(test)]
#[path = "http_tests.rs"]
mod tests;
