//! Which call goes wrong, and how; and the record of all calls.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use reelpool_protocol::WorkerState;
use reelpool_worker::queue::QueueError;
use reelpool_worker::state::State;
use reelpool_worker::store::StoreError;
use rustix::process::{Signal, getpid, kill_process};
use tokio::sync::Notify;
use tokio::time::sleep;

use crate::world::World;

/// After this a call that hangs fails, as it does when the network gives up.
const HANG: Duration = Duration::from_secs(4);
/// The same for a call that must not be waited for so long: far longer than a worker needs to see that the hold is lost.
const LONG_HANG: Duration = Duration::from_secs(20);

/// What a worker asks of the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    Receive,
    /// An extension by the heartbeat.
    Beat,
    /// The extension that offers a failed message again later.
    Later,
    /// The extension by nothing.
    HandBack,
    Delete,
    DeadLetter,
    Identify,
    Fetch,
    Check,
    Read,
    /// The fetching of a kept piece.
    Retrieve,
    Publish,
    PutIfAbsent,
    RemoveAllBut,
    /// A look for claims on the job.
    ListClaims,
    /// A look at what one says.
    ReadClaim,
    /// The taking of a claim.
    Claim,
    /// Its renewal.
    Renew,
    /// The removal of one claim.
    Unclaim,
}

/// How a call goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It fails in a way that passes.
    Fails,
    /// So do all that follow.
    FailsAlways,
    /// It fails in a way that is a verdict.
    Refuses,
    /// So do all that follow.
    RefusesAlways,
    /// It hangs; the message is taken away meanwhile.
    Hangs,
    /// It is done, and the message has been taken away by someone who then gave it back.
    LosesTheHold,
    /// Before it is done, another worker takes the message and settles it.
    IsOvertaken,
    /// It is done, and its answer is lost.
    LosesItsAnswer,
    /// The process is asked to stop just before.
    MeetsShutdown,
    /// It waits until the heartbeat, or the renewal of the claim, has met its fault, and for another two visibility
    /// timeouts.
    Dawdles,
    /// It waits at the script's gate.
    WaitsAtGate,
}

/// The `nth` call of `method`, from 1, goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    pub method: Method,
    pub nth: usize,
    pub fault: Fault,
}

impl Method {
    /// The first call of this method goes wrong.
    pub fn first(self, fault: Fault) -> Rule {
        self.nth(1, fault)
    }

    /// The `nth` call of this method goes wrong.
    pub fn nth(self, nth: usize, fault: Fault) -> Rule {
        Rule { method: self, nth, fault }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {} {:?}", self.method, self.nth, self.fault)
    }
}

/// The rules for one worker, and what has come of them.
#[derive(Debug)]
pub struct Script {
    world: Weak<World>,
    rules: Vec<(Rule, AtomicBool)>,
    calls: Mutex<HashMap<Method, usize>>,
    /// The receipt of the message in hand.
    receipt: Mutex<Option<String>>,
    state: Mutex<Option<Arc<State>>>,
    visibility: Mutex<Duration>,
    /// A call has come to the gate.
    pub at_gate: Notify,
    /// Lets it through.
    pub open_gate: Notify,
}

impl Script {
    pub fn new(world: &Arc<World>, rules: Vec<Rule>) -> Arc<Self> {
        Arc::new(Self {
            world: Arc::downgrade(world),
            rules: rules.into_iter().map(|rule| (rule, AtomicBool::new(false))).collect(),
            calls: Mutex::default(),
            receipt: Mutex::default(),
            state: Mutex::default(),
            visibility: Mutex::default(),
            at_gate: Notify::new(),
            open_gate: Notify::new(),
        })
    }

    /// Tells whose script it is.
    pub fn is_for(&self, state: &Arc<State>, visibility: Duration) {
        *self.state.lock().unwrap() = Some(Arc::clone(state));
        *self.visibility.lock().unwrap() = visibility;
    }

    pub fn visibility(&self) -> Duration {
        *self.visibility.lock().unwrap()
    }

    pub fn world(&self) -> Arc<World> {
        self.world.upgrade().expect("the world outlives its workers")
    }

    /// How many calls of `method` there have been.
    pub fn calls(&self, method: Method) -> usize {
        self.calls.lock().unwrap().get(&method).copied().unwrap_or_default()
    }

    /// Whether every rule has come to pass.
    pub fn all_fired(&self) -> bool {
        self.rules.iter().all(|(_, fired)| fired.load(Ordering::SeqCst))
    }

    pub fn assert_all_fired(&self) {
        for (rule, fired) in &self.rules {
            assert!(fired.load(Ordering::SeqCst), "{rule} never came to pass\n{}", self.world());
        }
    }

    pub fn holds(&self, receipt: &str) {
        *self.receipt.lock().unwrap() = Some(receipt.to_owned());
    }

    /// Does `call` as the rules say.
    pub async fn call<T, E: Failing>(
        &self,
        method: Method,
        call: impl Future<Output = Result<T, E>> + Send,
    ) -> Result<T, E> {
        // A heartbeat may outlive the scenario by a moment.
        let Some(world) = self.world.upgrade() else { return call.await };
        let nth = {
            let mut calls = self.calls.lock().unwrap();
            let calls = calls.entry(method).or_default();
            *calls += 1;
            *calls
        };
        let fault = self.fault_of(method, nth);
        let how = fault.map(|fault| format!(" {fault:?}")).unwrap_or_default();
        self.note(&format!("{method:?} {nth}{how}"));
        let answer = self.suffer(method, fault, call).await;
        let came = if answer.is_ok() { "done" } else { "failed" };
        self.note(&format!("{method:?} {nth} {came}"));
        world.look();
        answer
    }

    fn fault_of(&self, method: Method, nth: usize) -> Option<Fault> {
        let (rule, fired) = self.rules.iter().find(|(rule, _)| {
            let always = matches!(rule.fault, Fault::FailsAlways | Fault::RefusesAlways);
            rule.method == method && (rule.nth == nth || (always && nth > rule.nth))
        })?;
        fired.store(true, Ordering::SeqCst);
        Some(rule.fault)
    }

    async fn suffer<T, E: Failing>(
        &self,
        method: Method,
        fault: Option<Fault>,
        call: impl Future<Output = Result<T, E>> + Send,
    ) -> Result<T, E> {
        match fault {
            None => call.await,
            Some(Fault::Fails | Fault::FailsAlways) => Err(E::passing()),
            Some(Fault::Refuses | Fault::RefusesAlways) => Err(E::verdict(method)),
            Some(Fault::Hangs) => {
                self.take_away();
                sleep(if must_be_dropped(method) { LONG_HANG } else { HANG }).await;
                if must_be_dropped(method) {
                    self.world().violated(format!("{method:?} was waited for after the hold was lost"));
                }
                Err(E::passing())
            }
            Some(Fault::LosesTheHold) if method == Method::Receive => {
                let answer = call.await;
                self.take_away();
                answer
            }
            Some(Fault::LosesTheHold) => {
                self.take_away();
                call.await
            }
            Some(Fault::IsOvertaken) if method == Method::Receive => {
                let answer = call.await;
                self.let_another_do_it().await;
                answer
            }
            Some(Fault::IsOvertaken) => {
                self.let_another_do_it().await;
                call.await
            }
            Some(Fault::LosesItsAnswer) => {
                call.await?;
                Err(E::passing())
            }
            Some(Fault::MeetsShutdown) if method == Method::Receive => {
                // A message that an outstanding receive still brings.
                let answer = call.await;
                self.stop_the_process().await;
                answer
            }
            Some(Fault::MeetsShutdown) => {
                self.stop_the_process().await;
                call.await
            }
            Some(Fault::Dawdles) => {
                while !self.beat_has_fired() {
                    sleep(Duration::from_millis(5)).await;
                }
                sleep(self.visibility() * 2).await;
                call.await
            }
            Some(Fault::WaitsAtGate) => {
                self.at_gate.notify_one();
                self.open_gate.notified().await;
                call.await
            }
        }
    }

    fn beat_has_fired(&self) -> bool {
        self.rules.iter().any(|(rule, fired)| {
            matches!(rule.method, Method::Beat | Method::Renew) && fired.load(Ordering::SeqCst)
        })
    }

    /// The visibility timeout runs out and someone else receives the message, who gives it back.
    fn take_away(&self) {
        if let Some(receipt) = self.receipt.lock().unwrap().clone() {
            self.world().steal(&receipt);
        }
    }

    async fn let_another_do_it(&self) {
        let receipt = self.receipt.lock().unwrap().clone().expect("a message is in hand");
        let world = self.world();
        world.steal(&receipt);
        // By then the claim has not been renewed for as long.
        world.lapse_claims();
        world.finish().await;
    }

    async fn stop_the_process(&self) {
        self.signal().await;
        // Whoever may end the call does so now.
        sleep(Duration::from_millis(50)).await;
    }

    /// Sends the process a SIGTERM and waits until the worker has taken note.
    pub async fn signal(&self) {
        kill_process(getpid(), Signal::TERM).unwrap();
        let state = self.state.lock().unwrap().clone().unwrap();
        while state.status().state != WorkerState::Draining {
            sleep(Duration::from_millis(2)).await;
        }
    }

    fn note(&self, text: &str) {
        let state = self.state.lock().unwrap();
        let worker = state.as_ref().map_or("?", |state| state.worker());
        self.world().note(worker, text);
    }
}

/// Steps that end early when the hold is lost. A commit does not, and what settles the message has let go already.
fn must_be_dropped(method: Method) -> bool {
    matches!(
        method,
        Method::Identify
            | Method::Fetch
            | Method::Read
            | Method::Publish
            | Method::ListClaims
            | Method::Claim
    )
}

/// An error of the worker's two doors to the world.
pub trait Failing: Send {
    /// It may be gone next time.
    fn passing() -> Self;
    /// It will not.
    fn verdict(method: Method) -> Self;
}

impl Failing for QueueError {
    fn passing() -> Self {
        Self::Unavailable { queue: "queue".to_owned(), detail: "503".to_owned() }
    }

    fn verdict(_: Method) -> Self {
        Self::Denied { queue: "queue".to_owned(), detail: "403".to_owned() }
    }
}

impl Failing for StoreError {
    fn passing() -> Self {
        Self::Unavailable { what: "object".to_owned(), detail: "503".to_owned() }
    }

    fn verdict(method: Method) -> Self {
        let what = "object".to_owned();
        match method {
            Method::Identify | Method::Fetch => Self::NotFound { what },
            Method::Check => Self::Changed { what },
            _ => Self::BadKey { what, detail: "too long".to_owned() },
        }
    }
}
