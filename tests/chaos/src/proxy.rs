//! A proxy between the programs and the emulator of SQS and S3 that spoils what passes, in both directions, and notes
//! who has which message in hand.
//!
//! It listens under every address of this machine: a program that is given an endpoint of its own (`127.1.2.3:PORT`) is
//! known by it.

mod answer;
mod call;
mod deed;
mod hands;

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::pin;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use reelpool_cluster::Gate;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::sleep;

pub use self::call::Call;
pub use self::deed::Deed;
pub use self::hands::Held;

use self::answer::Body;
use self::hands::Hands;
use crate::seed::stream;
use crate::tally::Tally;

/// How the weather is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Weather {
    /// Everything passes.
    Calm,
    /// A few of a hundred requests go wrong.
    Breeze,
    /// Half of them do.
    Squall,
}

impl Weather {
    /// Of a thousand requests, so many go wrong.
    fn permille(self) -> u32 {
        match self {
            Self::Calm => 0,
            Self::Breeze => 40,
            Self::Squall => 500,
        }
    }
}

/// The proxy; it ends when this is dropped.
pub struct Proxy {
    gate: Gate,
    shared: Arc<Shared>,
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy").field("gate", &self.gate).finish_non_exhaustive()
    }
}

/// What the service answered.
type Answered = Result<(http::response::Parts, Bytes), io::Error>;

/// Kills whoever has this address; returns whether there was somebody.
type Kill = Box<dyn Fn(IpAddr) -> bool + Send>;

struct Shared {
    upstream: String,
    client: Client<HttpConnector, Full<Bytes>>,
    seed: u64,
    weather: AtomicU8,
    /// How many of each kind of call there were: with the seed, what becomes of the next.
    calls: Mutex<HashMap<Call, u64>>,
    tally: Tally,
    hands: Hands,
    killer: Mutex<Option<Kill>>,
    /// A message that was given to somebody and is to be given to somebody else as well.
    repeat: Mutex<Option<(IpAddr, Bytes)>>,
    /// Questions for a message that were left when a copy came first.
    asked: Mutex<HashMap<IpAddr, JoinHandle<Answered>>>,
    /// Wakes those that wait for a message when there is one to repeat.
    repeats: Notify,
    /// So many times the next message is given to others too, whatever the weather.
    copies: AtomicU64,
}

impl Proxy {
    /// A proxy before the service on the loopback's `port`, for workers with this visibility timeout. It begins calm.
    #[must_use]
    pub fn start(port: u16, seed: u64, visibility: Duration, tally: Tally) -> Self {
        let shared = Arc::new(Shared {
            upstream: format!("127.0.0.1:{port}"),
            client: Client::builder(TokioExecutor::new()).build_http(),
            seed,
            weather: AtomicU8::new(Weather::Calm as u8),
            calls: Mutex::default(),
            tally,
            hands: Hands::new(visibility),
            killer: Mutex::default(),
            repeat: Mutex::default(),
            asked: Mutex::default(),
            repeats: Notify::new(),
            copies: AtomicU64::new(0),
        });
        let gate = Gate::open_everywhere({
            let shared = Arc::clone(&shared);
            move |client| {
                let shared = Arc::clone(&shared);
                async move { shared.serve(client).await }
            }
        });
        Self { gate, shared }
    }

    /// The endpoint by which whoever uses it is known as `who`, an address of the loopback.
    #[must_use]
    pub fn endpoint_of(&self, who: IpAddr) -> String {
        format!("http://{who}:{}", self.gate.port())
    }

    /// The endpoint for who need not be known.
    #[must_use]
    pub fn endpoint(&self) -> String {
        self.endpoint_of(Ipv4Addr::LOCALHOST.into())
    }

    /// Changes the weather.
    pub fn weather(&self, weather: Weather) {
        self.shared.weather.store(weather as u8, Ordering::Relaxed);
    }

    /// Refuses connections and closes those that are open.
    pub fn cut_off(&self) {
        self.shared.tally.count("partition");
        self.gate.shut();
    }

    /// Takes connections again.
    pub fn reconnect(&self) {
        self.gate.open_again();
    }

    /// Gives the next message that is received to so many others too, each with the answer that the first one got.
    pub fn copy_next(&self, copies: u64) {
        self.shared.copies.store(copies, Ordering::SeqCst);
    }

    /// The worker at this address has died: it has nothing in hand any more.
    pub fn died(&self, who: IpAddr) {
        self.shared.hands.died(who, SystemTime::now());
    }

    /// Every message that anybody has had in hand, and from when to when.
    #[must_use]
    pub fn held(&self) -> Vec<Held> {
        self.shared.hands.all()
    }

    /// How many workers have a message in hand now.
    #[must_use]
    pub fn holders(&self) -> usize {
        self.shared.hands.all().iter().filter(|held| held.to.is_none()).count()
    }

    /// Kills whoever has this address; returns whether there was somebody. Without it nobody is killed.
    pub fn killer(&self, kill: impl Fn(IpAddr) -> bool + Send + 'static) {
        *self.shared.killer.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(kill));
    }
}

/// The connection is to end here: nobody is told why.
fn cut() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, "cut by the storm")
}

impl Shared {
    async fn serve(self: Arc<Self>, client: TcpStream) {
        let Ok(who) = client.local_addr().map(|address| address.ip()) else { return };
        let service = service_fn(move |request| {
            let shared = Arc::clone(&self);
            async move { shared.answer(who, request).await }
        });
        // What goes wrong with a connection is the client's to see.
        let _ =
            hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(client), service).await;
    }

    fn weather(&self) -> Weather {
        match self.weather.load(Ordering::Relaxed) {
            0 => Weather::Calm,
            1 => Weather::Breeze,
            _ => Weather::Squall,
        }
    }

    /// What becomes of this call: by the seed, its kind, and how many of its kind there were before.
    fn deed(&self, call: Call) -> Deed {
        let ordinal = {
            let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
            let ordinal = calls.entry(call).or_default();
            *ordinal += 1;
            *ordinal
        };
        let mut random = stream(self.seed, &format!("{call:?} {ordinal}"));
        if random.u32(..1000) < self.weather().permille() {
            Deed::draw(&mut random, call)
        } else {
            Deed::Pass
        }
    }

    async fn answer(
        self: Arc<Self>,
        who: IpAddr,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, io::Error> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
        let call = Call::of(&head);
        let deed = self.deed(call);
        if let Some(name) = deed.name() {
            self.tally.count(name);
        }
        match deed {
            Deed::DropRequest => return Err(cut()),
            Deed::Fail | Deed::Throttle => return Ok(answer::refusal(call, deed)),
            Deed::LateRequest(time) => sleep(time).await,
            Deed::KillBefore if self.kill(who, "worker killed before a step") => return Err(cut()),
            _ => {}
        }
        if call == Call::Receive {
            // Who asks for the next has nothing in hand.
            self.hands.asks(who, SystemTime::now());
        }
        self.hands.before(who, call, &body, SystemTime::now());
        let (answer_head, answer_body) = if call == Call::Receive {
            let mut asked = self.asked(who, head, body);
            tokio::select! {
                biased;
                copy = self.copy_for(who) => {
                    // What the service still answers is for the next question: nobody else will get it.
                    self.asked.lock().unwrap_or_else(PoisonError::into_inner).insert(who, asked);
                    self.tally.count("message repeated");
                    self.hands.received(who, &copy, SystemTime::now());
                    return Ok(answer::json(copy));
                }
                answered = &mut asked => answered.map_err(io::Error::other)??,
            }
        } else {
            self.forward(head, body).await?
        };
        match deed {
            Deed::DropAnswer => return Err(cut()),
            Deed::LateAnswer(time) => sleep(time).await,
            Deed::KillAfter if self.kill(who, "worker killed after a step") => return Err(cut()),
            _ => {}
        }
        if call == Call::Receive && answer_head.status.is_success() {
            self.hands.received(who, &answer_body, SystemTime::now());
            let wanted = self.copies.load(Ordering::SeqCst) > 0;
            if (deed == Deed::Repeat || wanted) && hands::has_message(&answer_body) {
                let mut repeat = self.repeat.lock().unwrap_or_else(PoisonError::into_inner);
                *repeat = Some((who, answer_body.clone()));
                self.repeats.notify_waiters();
            }
        }
        answer::spoiled(deed, call, answer_head, answer_body)
    }

    /// Kills whoever asked, if that is somebody who may be killed.
    fn kill(&self, who: IpAddr, name: &'static str) -> bool {
        let killer = self.killer.lock().unwrap_or_else(PoisonError::into_inner);
        let is_dead = killer.as_ref().is_some_and(|kill| kill(who));
        if is_dead {
            self.tally.count(name);
        }
        is_dead
    }

    /// Waits for a message that somebody else got and this one is to get as well.
    async fn copy_for(&self, who: IpAddr) -> Bytes {
        loop {
            // From here on nobody's call is missed.
            let mut called = pin!(self.repeats.notified());
            called.as_mut().enable();
            if let Some(copy) = self.take_copy(who) {
                return copy;
            }
            called.await;
        }
    }

    fn take_copy(&self, who: IpAddr) -> Option<Bytes> {
        let mut repeat = self.repeat.lock().unwrap_or_else(PoisonError::into_inner);
        let (first, copy) = repeat.as_ref()?;
        if *first == who {
            return None;
        }
        let copy = copy.clone();
        let left = self.copies.load(Ordering::SeqCst).saturating_sub(1);
        self.copies.store(left, Ordering::SeqCst);
        if left == 0 {
            *repeat = None;
        }
        Some(copy)
    }

    /// The question that this worker's last one left behind, or else this one.
    fn asked(self: &Arc<Self>, who: IpAddr, head: http::request::Parts, body: Bytes) -> JoinHandle<Answered> {
        let left = self.asked.lock().unwrap_or_else(PoisonError::into_inner).remove(&who);
        left.unwrap_or_else(|| {
            let this = Arc::clone(self);
            tokio::spawn(async move { this.forward(head, body).await })
        })
    }

    async fn forward(&self, mut head: http::request::Parts, body: Bytes) -> Answered {
        let path = head.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        head.uri = format!("http://{}{path}", self.upstream).parse().map_err(io::Error::other)?;
        let request = Request::from_parts(head, Full::new(body));
        let answer = self.client.request(request).await.map_err(io::Error::other)?;
        let (head, body) = answer.into_parts();
        let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
        Ok((head, body))
    }
}

#[cfg(test)]
#[path = "proxy_tests.rs"]
mod tests;
