//! Serves HTTP within bounds, for the operator and for workers: whoever can reach a pod could else fill its memory with
//! requests that never end.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1::Builder;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

/// How long to wait before the next try when the system gives no connection, as when it has no files left.
const PAUSE: Duration = Duration::from_secs(1);

/// How much callers may ask of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// How many connections are served at once; more wait until one ends.
    pub connections: usize,
    /// How long a request's head may take to come, and how long a connection may wait for the next one.
    pub head_within: Duration,
    /// The longest head of a request, and how much is kept of what is read or written; at least 8 KiB.
    pub buffer: usize,
    /// After how long a connection takes no further request; after twice that it is closed.
    pub open: Duration,
}

impl Default for Bounds {
    /// For probes, metrics and small documents: some 4 MiB at worst.
    fn default() -> Self {
        Self {
            connections: 256,
            head_within: Duration::from_secs(5),
            buffer: 16 * 1024,
            open: Duration::from_secs(60),
        }
    }
}

/// Serves `router` for as long as this is polled. Connections go on by themselves until they end or are over.
pub async fn serve(listener: TcpListener, router: Router, bounds: Bounds) {
    let turns = Arc::new(Semaphore::new(bounds.connections));
    // The semaphore is never closed.
    while let Ok(turn) = Arc::clone(&turns).acquire_owned().await {
        let stream = accept(&listener).await;
        let router = router.clone();
        tokio::spawn(async move {
            answer(stream, router, bounds).await;
            drop(turn);
        });
    }
}

async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(error) if is_of_the_caller(&error) => {}
            Err(error) => {
                tracing::error!(%error, "no connection can be taken: it is tried again");
                sleep(PAUSE).await;
            }
        }
    }
}

/// Whether the caller went away before it was heard.
fn is_of_the_caller(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// Answers on one connection until it ends or is over.
async fn answer(stream: TcpStream, router: Router, bounds: Bounds) {
    let mut http = Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(bounds.head_within).max_buf_size(bounds.buffer);
    let service = TowerToHyperService::new(router);
    let mut connection = pin!(http.serve_connection(TokioIo::new(stream), service));
    // Whatever goes wrong is the caller's.
    if timeout(bounds.open, connection.as_mut()).await.is_err() {
        connection.as_mut().graceful_shutdown();
        let _ = timeout(bounds.open, connection).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;

    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::time::Instant;

    const SOON: Duration = Duration::from_millis(300);
    const LONG: Duration = Duration::from_secs(60);

    async fn served(bounds: Bounds) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new()
            .route("/", get(async || "well"))
            .route("/hangs", get(async || std::future::pending::<()>().await));
        tokio::spawn(serve(listener, router, bounds));
        address
    }

    async fn send(address: SocketAddr, words: &str) -> TcpStream {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(words.as_bytes()).await.unwrap();
        stream
    }

    /// What comes until the server closes.
    async fn all(mut stream: TcpStream) -> String {
        let mut came = Vec::new();
        // It may also be reset, with what was sent in vain unread.
        let _ = timeout(LONG / 2, stream.read_to_end(&mut came)).await.unwrap();
        String::from_utf8(came).unwrap()
    }

    #[tokio::test]
    async fn a_caller_that_does_not_go_on_is_hung_up_on() {
        let address = served(Bounds { head_within: SOON, open: LONG, ..Bounds::default() }).await;
        // Half a head, nothing at all, and nothing more.
        assert_eq!(all(send(address, "GET / HTTP/1.1\r\nhost: a\r\n").await).await, "");
        assert_eq!(all(send(address, "").await).await, "");
        let answered = all(send(address, "GET / HTTP/1.1\r\nhost: a\r\n\r\n").await).await;
        assert!(
            answered.starts_with("HTTP/1.1 200 OK\r\n") && answered.ends_with("\r\n\r\nwell"),
            "{answered}"
        );
    }

    #[tokio::test]
    async fn a_head_that_is_too_long_is_refused() {
        let address = served(Bounds { head_within: LONG, open: LONG, ..Bounds::default() }).await;
        let head = format!("GET / HTTP/1.1\r\nhost: a\r\nlong: {}", "x".repeat(Bounds::default().buffer));
        let answered = all(send(address, &head).await).await;
        assert!(answered.is_empty() || answered.starts_with("HTTP/1.1 431 "), "{answered}");
    }

    #[tokio::test]
    async fn only_so_many_are_served_at_once_and_the_others_have_their_turn() {
        let bounds = Bounds { connections: 1, head_within: SOON, open: LONG, ..Bounds::default() };
        let address = served(bounds).await;
        let began = Instant::now();
        let _first = send(address, "GET / HTTP/1.1\r\n").await;
        let second = send(address, "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
        assert!(all(second).await.ends_with("well"));
        assert!(began.elapsed() >= SOON, "{:?}", began.elapsed());
    }

    #[tokio::test]
    async fn no_connection_stays_for_ever() {
        let address = served(Bounds { head_within: LONG, open: SOON, ..Bounds::default() }).await;
        let began = Instant::now();
        assert_eq!(all(send(address, "GET /hangs HTTP/1.1\r\nhost: a\r\n\r\n").await).await, "");
        assert!(began.elapsed() >= SOON * 2, "{:?}", began.elapsed());
    }
}
