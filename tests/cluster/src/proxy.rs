//! A proxy that stands before SQS (or what speaks its protocol) and spoils what it is told to, queue by queue.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::gate::Gate;

/// The most that a request's head may be: the SDK's are a tenth of it.
const LONGEST_HEAD: usize = 64 * 1024;

/// What happens to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fault {
    /// It is answered by the real service.
    #[default]
    None,
    /// The service fails: 500.
    Fails,
    /// The service says that it is asked too often.
    Throttles,
    /// The service says that there is no such queue.
    NoSuchQueue,
    /// The service says that the caller may not ask.
    Denies,
    /// The answer comes, but only after so long.
    Hangs(Duration),
    /// The connection is closed without an answer.
    Cuts,
    /// An answer that is none: JSON without the counts.
    Nonsense,
}

/// The proxy; it ends when this is dropped.
#[derive(Debug)]
pub struct FaultProxy {
    gate: Gate,
    script: Arc<Script>,
}

/// What is to happen, and what has happened.
#[derive(Debug)]
struct Script {
    upstream: SocketAddr,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    for_all: Fault,
    by_queue: HashMap<String, Fault>,
    requests: HashMap<String, u64>,
}

impl FaultProxy {
    /// A proxy on a free port that passes everything on to the service at `endpoint`, which is `http://ADDRESS:PORT`.
    #[must_use]
    pub fn start(endpoint: &str) -> Self {
        let address = endpoint.strip_prefix("http://").unwrap_or(endpoint).trim_end_matches('/');
        let upstream = address.parse().unwrap_or_else(|error| panic!("{endpoint}: {error}"));
        let script = Arc::new(Script { upstream, state: Mutex::default() });
        let gate = Gate::open({
            let script = Arc::clone(&script);
            move |client| {
                let script = Arc::clone(&script);
                async move {
                    // What goes wrong with a connection is the client's to see.
                    let _ = script.serve(client).await;
                }
            }
        });
        Self { gate, script }
    }

    /// Where it listens: what `--endpoint-url` takes.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.gate.port())
    }

    /// What happens from now on to requests about the queue of this name; requests that are on their way are not
    /// touched.
    pub fn spoil(&self, queue: &str, fault: Fault) {
        self.script.state().by_queue.insert(queue.to_owned(), fault);
    }

    /// What happens from now on to requests about queues that have no fault of their own.
    pub fn spoil_all(&self, fault: Fault) {
        self.script.state().for_all = fault;
    }

    /// Ends every fault.
    pub fn heal(&self) {
        let mut state = self.script.state();
        state.for_all = Fault::None;
        state.by_queue.clear();
    }

    /// The whole service is gone: connections are refused, those that were open are closed.
    pub fn refuse(&self) {
        self.gate.shut();
    }

    /// The service is back, at the same address.
    pub fn accept(&self) {
        self.gate.open_again();
    }

    /// How many requests about the queue of this name have come.
    #[must_use]
    pub fn requests(&self, queue: &str) -> u64 {
        self.script.state().requests.get(queue).copied().unwrap_or(0)
    }
}

impl Script {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers one request; each has a connection of its own.
    async fn serve(&self, mut client: TcpStream) -> std::io::Result<()> {
        let Some(request) = Request::read(&mut client).await? else { return Ok(()) };
        let queue = request.queue();
        let fault = {
            let mut state = self.state();
            *state.requests.entry(queue.clone()).or_default() += 1;
            state.by_queue.get(&queue).copied().unwrap_or(state.for_all)
        };
        if let Fault::Hangs(time) = fault {
            tokio::time::sleep(time).await;
        }
        if let Some(answer) = answer(fault) {
            return client.write_all(answer.as_bytes()).await;
        }
        if fault == Fault::Cuts {
            return Ok(());
        }
        let mut upstream = TcpStream::connect(self.upstream).await?;
        upstream.write_all(&request.for_one_answer()).await?;
        tokio::io::copy(&mut upstream, &mut client).await?;
        client.shutdown().await
    }
}

/// The answer that the fault gives instead of the service; `None` where it gives none.
///
/// The words are those of the service's own answers in its JSON protocol. The header repeats the code as the older
/// protocol has it: clients match either.
fn answer(fault: Fault) -> Option<String> {
    let (status, kind, code, message) = match fault {
        Fault::None | Fault::Hangs(_) | Fault::Cuts => return None,
        Fault::Fails => (
            "500 Internal Server Error",
            "com.amazonaws.sqs#InternalFailure",
            "InternalFailure;Receiver",
            "We encountered an internal error. Please try again.",
        ),
        Fault::Throttles => (
            "400 Bad Request",
            "com.amazonaws.sqs#RequestThrottled",
            "RequestThrottled;Sender",
            "Request is throttled.",
        ),
        Fault::NoSuchQueue => (
            "400 Bad Request",
            "com.amazonaws.sqs#QueueDoesNotExist",
            "AWS.SimpleQueueService.NonExistentQueue;Sender",
            "The specified queue does not exist.",
        ),
        Fault::Denies => (
            "403 Forbidden",
            "com.amazon.coral.service#AccessDeniedException",
            "AccessDenied;Sender",
            "User is not authorized to perform: sqs:getqueueattributes on resource",
        ),
        Fault::Nonsense => ("200 OK", "", "", ""),
    };
    let body = match fault {
        Fault::Nonsense => r#"{"Attributes":{"ApproximateNumberOfMessages":"many"}}"#.to_owned(),
        _ => format!(r#"{{"__type":"{kind}","message":"{message}"}}"#),
    };
    Some(format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/x-amz-json-1.0\r\nx-amzn-query-error: {code}\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    ))
}

/// A request as it came.
struct Request {
    head: String,
    body: Vec<u8>,
}

impl Request {
    /// Reads one; `None` when the client went away.
    async fn read(client: &mut TcpStream) -> std::io::Result<Option<Self>> {
        let mut bytes = Vec::new();
        let end = loop {
            if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            if bytes.len() > LONGEST_HEAD || client.read_buf(&mut bytes).await? == 0 {
                return Ok(None);
            }
        };
        let mut body = bytes.split_off(end);
        let head = String::from_utf8_lossy(&bytes).into_owned();
        let length = header(&head, "content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        while body.len() < length {
            if client.read_buf(&mut body).await? == 0 {
                return Ok(None);
            }
        }
        Ok(Some(Self { head, body }))
    }

    /// The name of the queue that it is about; empty when it is about none.
    fn queue(&self) -> String {
        let body: serde_json::Value = serde_json::from_slice(&self.body).unwrap_or_default();
        let url = body["QueueUrl"].as_str().unwrap_or_default();
        url.rsplit('/').next().unwrap_or_default().to_owned()
    }

    /// The request with the wish that the connection ends after the answer: nothing needs to be known of its length.
    fn for_one_answer(&self) -> Vec<u8> {
        let kept = self.head.trim_end().split("\r\n");
        let kept = kept.filter(|line| !line.to_ascii_lowercase().starts_with("connection:"));
        let mut head = kept.collect::<Vec<_>>().join("\r\n");
        head.push_str("\r\nConnection: close\r\n\r\n");
        [head.as_bytes(), &self.body].concat()
    }
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = head.split("\r\n").skip(1);
    lines.find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

#[cfg(test)]
#[path = "proxy_tests.rs"]
mod tests;
