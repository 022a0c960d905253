//! A proxy before the API server, for one client: it speaks plain HTTP with it and is trusted, knows each request for
//! what it asks, and does with it what the test says.

mod call;
mod flow;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{Request, Response, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use kube::Client;
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::json;
use tokio::net::TcpStream;
use tokio::sync::{OnceCell, watch};
use tokio::time::sleep;

use crate::control_plane::ControlPlane;
use crate::gate::Gate;
use crate::kubeconfig::{self, Server, User};
pub use call::Call;
use flow::Flow;

/// What becomes of a request.
#[derive(Default)]
pub enum Deed {
    /// The API server answers it.
    #[default]
    Pass,
    /// It is answered with this HTTP code, and the API server never hears of it.
    Fail(u16),
    /// The connection is closed, and the API server never hears of it.
    Cut,
    /// The API server answers it, and nobody hears the answer: the connection is closed.
    Lose,
    /// The same; before the connection is closed this is called with the answer's HTTP code.
    Then(Box<dyn FnOnce(u16) + Send>),
    /// It reaches the API server only after so long, even if whoever asked has ended by then.
    Late(Duration),
    /// The connection is closed at once, and it reaches the API server all the same, after so long.
    Stray(Duration),
    /// The API server answers it, and the answer comes after so long.
    Slow(Duration),
    /// The API server answers it, and the connection is closed in the middle of the answer after so long: for watches.
    Break(Duration),
}

impl std::fmt::Debug for Deed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Pass => write!(f, "Pass"),
            Self::Fail(code) => write!(f, "Fail({code})"),
            Self::Cut => write!(f, "Cut"),
            Self::Lose => write!(f, "Lose"),
            Self::Then(_) => write!(f, "Then"),
            Self::Late(time) => write!(f, "Late({time:?})"),
            Self::Stray(time) => write!(f, "Stray({time:?})"),
            Self::Slow(time) => write!(f, "Slow({time:?})"),
            Self::Break(time) => write!(f, "Break({time:?})"),
        }
    }
}

/// What says what becomes of each request. It is called in the order in which they come, before they are passed on; it
/// must not wait, but it may kill whoever asks.
type Act = Box<dyn FnMut(&Call) -> Deed + Send>;

type Answer = Response<UnsyncBoxBody<Bytes, std::io::Error>>;

/// The proxy; it ends when this is dropped.
pub struct ApiProxy {
    gate: Gate,
    kubeconfig: PathBuf,
    script: Arc<Script>,
}

/// What is to happen.
struct Script {
    /// Whom it speaks to the API server as.
    user: PathBuf,
    client: OnceCell<Client>,
    act: Mutex<Act>,
    flow: watch::Sender<Flow>,
}

impl ApiProxy {
    /// A proxy that passes everything on to the API server of `plane`, as the user of the kubeconfig `user`, until it is
    /// told otherwise.
    #[must_use]
    pub fn start(plane: &ControlPlane, user: &Path) -> Self {
        Self::before(user, &plane.folder().join("kubeconfigs"), plane.ca_file())
    }

    /// A proxy that writes its kubeconfig into `folder`.
    fn before(user: &Path, folder: &Path, ca: &Path) -> Self {
        let script = Arc::new(Script {
            user: user.to_owned(),
            client: OnceCell::new(),
            act: Mutex::new(Box::new(|_| Deed::Pass)),
            flow: watch::Sender::default(),
        });
        let gate = Gate::open({
            let script = Arc::clone(&script);
            move |client| {
                let script = Arc::clone(&script);
                async move { script.serve(client).await }
            }
        });
        let kubeconfig = folder.join(format!("proxy-{}", gate.port()));
        let server = Server { url: &format!("http://127.0.0.1:{}", gate.port()), name: None };
        kubeconfig::write(&kubeconfig, &server, ca, &User::Nobody);
        Self { gate, kubeconfig, script }
    }

    /// A kubeconfig for the client of this proxy: whoever uses it is the proxy's user.
    #[must_use]
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// From now on `act` says what becomes of each request; those that are on their way are not touched.
    pub fn act(&self, act: impl FnMut(&Call) -> Deed + Send + 'static) {
        *self.script.act.lock().unwrap_or_else(PoisonError::into_inner) = Box::new(act);
    }

    /// All requests pass from now on, and what was held of watches is delivered.
    pub fn heal(&self) {
        self.act(|_| Deed::Pass);
        self.script.flow.send_modify(|flow| flow.held.clear());
        self.gate.open_again();
    }

    /// Watches of this resource tell nothing more until [`Self::heal`]: the caches that they feed grow stale.
    pub fn hold_watches(&self, resource: &str) {
        self.script.flow.send_modify(|flow| flow.held.push(resource.to_owned()));
    }

    /// All watches that run break off.
    pub fn break_watches(&self) {
        self.script.flow.send_modify(|flow| flow.broken += 1);
    }

    /// The API server is gone: connections are refused, those that were open are closed.
    pub fn refuse(&self) {
        self.gate.shut();
    }

    /// The API server is back.
    pub fn accept(&self) {
        self.gate.open_again();
    }
}

impl std::fmt::Debug for ApiProxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApiProxy").field("gate", &self.gate).finish_non_exhaustive()
    }
}

/// The connection is closed without an answer.
#[derive(Debug)]
struct Closed;

impl std::fmt::Display for Closed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the connection is closed")
    }
}

impl std::error::Error for Closed {}

impl Script {
    async fn serve(self: Arc<Self>, client: TcpStream) {
        let _ = client.set_nodelay(true);
        let service = service_fn(|request| {
            // What has been passed on goes its way, whatever becomes of the one who asked.
            let answered = tokio::spawn(Arc::clone(&self).answer(request));
            async move { answered.await.unwrap_or(Err(Closed)) }
        });
        // What goes wrong with a connection is the client's to see.
        let _ = http1::Builder::new().serve_connection(TokioIo::new(client), service).await;
    }

    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Result<Answer, Closed> {
        let call = Call::of(request.method(), request.uri());
        let (head, body) = request.into_parts();
        let body = body.collect().await.map_err(|_| Closed)?.to_bytes();
        let deed = (self.act.lock().unwrap_or_else(PoisonError::into_inner))(&call);
        match deed {
            Deed::Pass => self.pass_on(&call, head, body, None).await,
            Deed::Fail(code) => Ok(failure(code)),
            Deed::Cut => Err(Closed),
            Deed::Lose => {
                let _ = self.whole(&call, head, body).await?;
                Err(Closed)
            }
            Deed::Then(then) => {
                then(self.whole(&call, head, body).await?);
                Err(Closed)
            }
            Deed::Late(time) => {
                sleep(time).await;
                self.pass_on(&call, head, body, None).await
            }
            Deed::Stray(time) => {
                tokio::spawn(async move {
                    sleep(time).await;
                    let _ = self.whole(&call, head, body).await;
                });
                Err(Closed)
            }
            Deed::Slow(time) => {
                let answer = self.pass_on(&call, head, body, None).await;
                sleep(time).await;
                answer
            }
            Deed::Break(time) => self.pass_on(&call, head, body, Some(time)).await,
        }
    }

    /// Passes a request on. Returns the code of its answer, once the whole of it has come or, of a watch, begun.
    async fn whole(&self, call: &Call, head: http::request::Parts, body: Bytes) -> Result<u16, Closed> {
        let answer = self.pass_on(call, head, body, None).await?;
        let code = answer.status().as_u16();
        if call.verb != "watch" {
            answer.into_body().collect().await.map_err(|_| Closed)?;
        }
        Ok(code)
    }

    async fn pass_on(
        &self,
        call: &Call,
        mut head: http::request::Parts,
        body: Bytes,
        breaks_after: Option<Duration>,
    ) -> Result<Answer, Closed> {
        // Of this connection, not of the next one.
        for name in [header::HOST, header::CONNECTION, header::CONTENT_LENGTH, header::TRANSFER_ENCODING] {
            head.headers.remove(name);
        }
        let client = self.client.get_or_init(|| client_of(&self.user)).await;
        let request = Request::from_parts(head, kube::client::Body::from(body));
        let (mut head, body) = client.send(request).await.map_err(|_| Closed)?.into_parts();
        head.headers.remove(header::CONNECTION);
        let body = if call.verb == "watch" || breaks_after.is_some() {
            flow::body(body, call.resource.clone(), self.flow.subscribe(), breaks_after)
        } else {
            body.map_err(std::io::Error::other).boxed_unsync()
        };
        Ok(Response::from_parts(head, body))
    }
}

/// What the API server says when it cannot, in its own words.
fn failure(code: u16) -> Answer {
    let reason = match code {
        409 => "Conflict",
        429 => "TooManyRequests",
        503 => "ServiceUnavailable",
        504 => "Timeout",
        _ => "InternalError",
    };
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": "the test says so", "reason": reason, "code": code,
    });
    let body = Full::from(status.to_string()).map_err(|never| match never {}).boxed_unsync();
    let answer = Response::builder().status(code).header(header::CONTENT_TYPE, "application/json");
    answer.body(body).unwrap()
}

/// A client of the API server that tries nothing twice.
async fn client_of(user: &Path) -> Client {
    let kubeconfig = Kubeconfig::read_from(user).unwrap();
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
    let mut config = config.unwrap();
    config.default_retry = false;
    Client::try_from(config).unwrap()
}

#[cfg(test)]
mod tests;
