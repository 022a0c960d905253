//! `reelpool probe`: whether something answers over HTTP, and says that all is well. The image has no other program
//! that could tell.

use std::io::Write;
use std::time::Duration;

use bytes::Bytes;
use http::Uri;
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::time::Instant;

use crate::args::ProbeArgs;

/// The longest one answer may take.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How long to wait before it is asked again.
const PAUSE: Duration = Duration::from_secs(1);
/// The longest answer that is read.
const MAX_BODY: usize = 64 * 1024;

/// Why the probe failed.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// There was no good answer in time.
    #[error("{url} was not well within {seconds} s: {last}: see its log")]
    NotWell {
        /// What was asked.
        url: Uri,
        /// For how long.
        seconds: u64,
        /// What it said last, or what stood in the way.
        last: String,
    },
    /// The runtime could not be started.
    #[error("could not start the runtime: {0}: see the limits on threads and files")]
    System(std::io::Error),
}

impl ProbeError {
    /// A stable category for logs.
    #[must_use]
    pub fn category(&self) -> &'static str {
        match self {
            Self::NotWell { .. } => "not_well",
            Self::System(_) => "system",
        }
    }
}

/// Asks until the answer is good, and prints it.
pub fn run(args: &ProbeArgs) -> Result<(), ProbeError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let answer = runtime.map_err(ProbeError::System)?.block_on(probe(&args.url, args.within, PAUSE))?;
    // Nobody may be listening any more.
    let _ = writeln!(std::io::stdout(), "{}", answer.trim_end());
    Ok(())
}

async fn probe(url: &Uri, seconds: u64, pause: Duration) -> Result<String, ProbeError> {
    let client = Client::builder(TokioExecutor::new()).build(HttpConnector::new());
    let deadline = Instant::now() + Duration::from_secs(seconds);
    loop {
        // The last try is cut short as well.
        let until = deadline.min(Instant::now() + TIMEOUT);
        let answer = tokio::time::timeout_at(until, ask(&client, url)).await;
        let last = match answer.unwrap_or_else(|_| Err("it does not answer".to_owned())) {
            Ok(body) => return Ok(body),
            Err(last) => last,
        };
        if Instant::now() + pause >= deadline {
            return Err(ProbeError::NotWell { url: url.clone(), seconds, last });
        }
        tokio::time::sleep(pause).await;
    }
}

async fn ask(client: &Client<HttpConnector, Empty<Bytes>>, url: &Uri) -> Result<String, String> {
    let unreachable = |error| reelpool_aws::chain(&error);
    let response = client.get(url.clone()).await.map_err(unreachable)?;
    let status = response.status();
    let body = Limited::new(response.into_body(), MAX_BODY).collect().await;
    let body = body.map_err(|error| error.to_string())?.to_bytes();
    let body = String::from_utf8_lossy(&body).into_owned();
    if status.is_success() { Ok(body) } else { Err(format!("it answered {status}: {}", body.trim())) }
}

#[cfg(test)]
#[path = "probe_tests.rs"]
mod tests;
