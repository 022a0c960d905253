//! The worker's small HTTP server: health, metrics, status, drain.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::Router;
use axum::extract::State as Extract;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use reelpool_protocol::status::{DRAIN_PATH, DrainRequest, MAX_DRAIN_TERM_SECONDS, STATUS_PATH};
use reelpool_serve::Bounds;
use tokio::net::TcpListener;

use crate::metrics::Metrics;
use crate::state::State;
use crate::token::DrainToken;

/// What the server serves.
#[derive(Debug)]
pub struct Served {
    /// The worker's state.
    pub state: Arc<State>,
    /// Its metrics.
    pub metrics: Arc<Metrics>,
    /// The bearer token that allows to drain; without one nobody may.
    pub drain_token: Option<DrainToken>,
}

/// Binds `address` (port 0 takes any) and serves until the process ends. Returns the address bound.
///
/// # Errors
/// When the address cannot be bound.
pub async fn serve(address: SocketAddr, served: Served) -> io::Result<SocketAddr> {
    let listener = bind(address).await?;
    let bound = listener.local_addr()?;
    let router = router(served);
    tokio::spawn(reelpool_serve::serve(listener, router, Bounds::default()));
    Ok(bound)
}

/// Binds `address`. Where the machine has no IPv6, "every address" is every one of IPv4.
async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let every = IpAddr::from(Ipv6Addr::UNSPECIFIED);
    match TcpListener::bind(address).await {
        Err(error) if address.ip() == every && error.kind() != io::ErrorKind::AddrInUse => {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port())).await
        }
        bound => bound,
    }
}

/// What [`serve`] serves.
pub fn router(served: Served) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route(STATUS_PATH, get(status))
        .route(DRAIN_PATH, post(drain).delete(undrain))
        .with_state(Arc::new(served))
}

type Shared = Extract<Arc<Served>>;

async fn readyz(Extract(served): Shared) -> Response {
    if served.state.is_ready() {
        "ready\n".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "the queue has not been asked yet\n").into_response()
    }
}

async fn metrics(Extract(served): Shared) -> Response {
    match served.metrics.text() {
        Ok(text) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

async fn status(Extract(served): Shared) -> Response {
    Json(served.state.status()).into_response()
}

async fn drain(Extract(served): Shared, headers: HeaderMap, body: Json<DrainRequest>) -> Response {
    if let Err(refusal) = allowed(&served, &headers) {
        return refusal;
    }
    let term = Duration::from_secs(body.term_seconds.min(MAX_DRAIN_TERM_SECONDS).into());
    let code = match served.state.drain(term) {
        Ok(()) => StatusCode::OK,
        Err(_busy) => StatusCode::CONFLICT,
    };
    (code, Json(served.state.status())).into_response()
}

async fn undrain(Extract(served): Shared, headers: HeaderMap) -> Response {
    if let Err(refusal) = allowed(&served, &headers) {
        return refusal;
    }
    served.state.undrain();
    Json(served.state.status()).into_response()
}

#[expect(clippy::result_large_err, reason = "the refusal is the answer; it is made once a call")]
fn allowed(served: &Served, headers: &HeaderMap) -> Result<(), Response> {
    let Some(token) = &served.drain_token else {
        let text = "this worker was started without a drain token\n";
        return Err((StatusCode::FORBIDDEN, text).into_response());
    };
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let given = given.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
    if token.admits(given) {
        return Ok(());
    }
    let ask = [(header::WWW_AUTHENTICATE, "Bearer")];
    Err((StatusCode::UNAUTHORIZED, ask, "the bearer token is missing or wrong\n").into_response())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    use tokio::time::Instant;

    #[tokio::test(start_paused = true)]
    async fn a_request_that_never_ends_is_not_waited_for() {
        let state = Arc::new(State::new("w1".to_owned(), Instant::now()));
        let served = Served { state, metrics: Arc::new(Metrics::new().unwrap()), drain_token: None };
        let address = serve("127.0.0.1:0".parse().unwrap(), served).await.unwrap();
        let mut caller = TcpStream::connect(address).await.unwrap();
        caller.write_all(b"GET /metrics HTTP/1.1\r\n").await.unwrap();
        let closed = tokio::time::timeout(Duration::from_secs(60), caller.read(&mut [0; 16])).await;
        assert_eq!(closed.unwrap().unwrap(), 0);
    }

    #[tokio::test]
    async fn every_address_is_also_every_one_of_ipv4() {
        let listener = bind("[::]:0".parse().unwrap()).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (asked, heard) = tokio::join!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)), listener.accept());
        asked.unwrap();
        heard.unwrap();
    }

    #[tokio::test]
    async fn an_address_in_use_is_told() {
        let listener = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let error = bind(listener.local_addr().unwrap()).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }
}
