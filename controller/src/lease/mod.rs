//! Leader election by a Lease: of several operators one leads.
//!
//! What a candidate does about the lease is [`evaluate`], pure; here it is carried out. The client does not try again
//! by itself, each call has its time, and each write names the version it was made from.
//!
//! A leader asks [`Validity::is_valid_now`] before each of its writes: a process that was stopped for a while finds by
//! its own clock that its time is over, before it writes again. Whatever the lease says, the operator's writes carry
//! preconditions of their own.

mod error;
pub mod evaluate;
#[cfg(test)]
pub(crate) mod fake_api;
#[cfg(test)]
mod model_tests;
mod moment;
mod object;
mod validity;

use std::time::Duration;

use kube::Client;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

pub use error::LeaseError;
pub use evaluate::Timing;
pub use moment::Moment;
pub use validity::Validity;

use evaluate::{Candidate, Step};
use object::{LeaseObject, Sight, Trouble};

use crate::http::{Health, Role};

/// The name under which the loop of the lease beats in [`Health`].
const PULSE: &str = "leader election";
/// How long connecting to the API server may take, within a call.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// What there is to know to stand for leader.
#[derive(Clone)]
pub struct LeaseConfig {
    /// A client as [`client`] makes it.
    pub client: Client,
    /// The lease's namespace.
    pub namespace: String,
    /// The lease's name.
    pub name: String,
    /// Who this is; no other process may ever have the same: [`unique_identity`].
    pub identity: String,
    /// How long it lasts.
    pub timing: Timing,
    /// Told of each turn, and of who leads.
    pub health: Health,
}

/// A client for the lease alone: it does not try again by itself, because the lease has a rhythm of its own.
pub fn client(mut config: kube::Config) -> Result<Client, kube::Error> {
    config.default_retry = false;
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    Client::try_from(config)
}

/// `name` with something that no other process has, so that two with one name do not both think they lead.
#[must_use]
pub fn unique_identity(name: &str) -> String {
    format!("{name}_{}", uuid::Uuid::now_v7().simple())
}

/// Waits until this process leads.
///
/// What stands in the way for now (no answer, no permission yet) is logged and waited for.
pub async fn acquire(config: LeaseConfig) -> Result<Leadership, LeaseError> {
    let mut keeper = Keeper::new(config, Moment::now);
    keeper.win().await?;
    Ok(keeper.lead())
}

/// This process leads, as long as the lease is renewed; that goes on by itself.
///
/// Dropped without [`Leadership::release`] the lease is not renewed any more, and others wait until it has run out.
#[derive(Debug)]
pub struct Leadership {
    validity: Validity,
    lost: watch::Receiver<Option<LeaseError>>,
    stop: Option<oneshot::Sender<()>>,
    keeper: JoinHandle<()>,
    lease: String,
    patience: Duration,
}

impl Leadership {
    /// Whether this process leads now: ask before each write.
    #[must_use]
    pub fn is_valid_now(&self) -> bool {
        self.validity.is_valid_now()
    }

    /// The same question for those who do not own the leadership.
    #[must_use]
    pub fn validity(&self) -> Validity {
        self.validity.clone()
    }

    /// Waits until this process does not lead any more. It must end then: what it knows may be out of date.
    pub fn lost(&self) -> impl Future<Output = LeaseError> + Send + 'static {
        let mut lost = self.lost.clone();
        let ended = LeaseError::Ended { lease: self.lease.clone() };
        async move {
            match lost.wait_for(Option::is_some).await {
                Ok(error) => error.clone().unwrap_or(ended),
                Err(_) => ended,
            }
        }
    }

    /// Hands the lease back, so that another leads at once. Call it when no write is on its way any more.
    pub async fn release(mut self) {
        // The keeper ends the validity before it hands back. Ended from here, a renewal that is on its way would be taken
        // for a lease that was lost.
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if timeout(self.patience, &mut self.keeper).await.is_err() {
            tracing::warn!(
                "the lease {} could not be handed back in time: others wait until it runs out",
                self.lease
            );
            self.keeper.abort();
        }
        self.validity.end();
    }
}

/// How a turn of a candidate ended.
enum Turn {
    /// It leads (still).
    Leads,
    /// It does not lead; look again in its rhythm.
    Waits,
    /// It led, and does not any more.
    Lost(LeaseError),
}

/// A candidate and its hands.
struct Keeper {
    object: LeaseObject,
    candidate: Candidate,
    /// The lease as this process wrote it last; `None` when it must be read first.
    known: Option<Sight>,
    validity: Validity,
    timing: Timing,
    health: Health,
    clock: fn() -> Moment,
    /// What stood in the way last, to say it once.
    trouble: Option<String>,
}

impl Keeper {
    fn new(config: LeaseConfig, clock: fn() -> Moment) -> Self {
        let LeaseConfig { client, namespace, name, identity, timing, health } = config;
        // Whatever the API server does, a turn takes no longer than its calls.
        health.expect(PULSE, (timing.retry() + timing.call() * 3).max(Duration::from_secs(30)));
        Self {
            object: LeaseObject::new(client, namespace, name, timing),
            candidate: Candidate::new(identity, timing),
            known: None,
            validity: Validity::new(clock),
            timing,
            health,
            clock,
            trouble: None,
        }
    }

    /// Goes round until it leads.
    async fn win(&mut self) -> Result<(), LeaseError> {
        loop {
            let began = (self.clock)();
            if let Turn::Leads = self.turn().await? {
                tracing::debug!(identity = self.candidate.identity(), "this process holds {}", self.object);
                self.health.set_role(Role::Leader);
                return Ok(());
            }
            self.rest(began).await;
        }
    }

    /// Renews the lease from now on, in a task of its own.
    fn lead(mut self) -> Leadership {
        let (tell, lost) = watch::channel(None);
        let (stop, mut stopped) = oneshot::channel();
        let validity = self.validity.clone();
        let (lease, patience) = (self.object.to_string(), self.timing.call() * 2);
        let keeper = tokio::spawn(async move {
            let ended = tokio::select! {
                error = self.renew() => Some(error),
                told = &mut stopped => told.is_err().then(|| LeaseError::Ended { lease: self.object.to_string() }),
            };
            self.validity.end();
            self.health.retire(PULSE);
            match ended {
                Some(error) => {
                    tell.send_replace(Some(error));
                }
                None => self.hand_back().await,
            }
        });
        Leadership { validity, lost, stop: Some(stop), keeper, lease, patience }
    }

    /// Renews the lease until it is lost; returns why.
    async fn renew(&mut self) -> LeaseError {
        let mut began = (self.clock)();
        loop {
            // A turn is not waited for beyond the end of this process' time: it would come too late.
            let left = self.validity.left();
            let turn = async {
                self.rest(began).await;
                began = (self.clock)();
                self.turn().await
            };
            match timeout(left, turn).await {
                Ok(Ok(Turn::Leads | Turn::Waits)) => {}
                Ok(Ok(Turn::Lost(error)) | Err(error)) => return error,
                Err(_late) => {
                    self.known = None;
                    if !self.validity.is_valid_now() {
                        return self.lost(None);
                    }
                }
            }
        }
    }

    /// Sleeps until the next turn is due after one that began at `began`.
    async fn rest(&self, began: Moment) {
        let spent = (self.clock)().since(began);
        sleep(self.timing.retry().saturating_sub(spent)).await;
    }

    /// Looks at the lease and does what is to be done.
    async fn turn(&mut self) -> Result<Turn, LeaseError> {
        self.health.beat(PULSE);
        match self.try_turn().await {
            Ok(turn) => {
                self.trouble = None;
                Ok(turn)
            }
            Err(Trouble::Refused(detail)) => {
                Err(LeaseError::Refused { lease: self.object.to_string(), detail })
            }
            Err(Trouble::Passing(detail)) => {
                if self.trouble.as_ref() != Some(&detail) {
                    tracing::warn!("the lease {}: {detail}: it is tried again", self.object);
                    self.trouble = Some(detail);
                }
                Ok(Turn::Waits)
            }
        }
    }

    async fn try_turn(&mut self) -> Result<Turn, Trouble> {
        // What it wrote itself need not be read again: a write by anyone else makes the next one a conflict.
        let sight = match self.known.take().filter(|_| self.candidate.leads_until().is_some()) {
            Some(known) => Some(known),
            None => self.object.get().await?,
        };
        let view = sight.as_ref().map(Sight::view);
        let step = self.candidate.look(view, (self.clock)());
        let acquired = match step {
            Step::Wait { .. } => {
                self.health.set_role(Role::Standby { leader: view.and_then(|view| view.holder.clone()) });
                return Ok(Turn::Waits);
            }
            Step::Lost { to } => return Ok(Turn::Lost(self.lost(to))),
            Step::Acquire { transitions } => Some(transitions),
            Step::Renew => None,
        };
        let asked_at = (self.clock)();
        let written = self.object.write(sight, self.candidate.identity(), acquired).await?;
        let Some(written) = written else { return Ok(Turn::Waits) };
        self.candidate.wrote(written.view(), asked_at, (self.clock)());
        self.known = Some(written);
        match self.candidate.leads_until() {
            Some(until) => {
                self.validity.extend(until);
                Ok(Turn::Leads)
            }
            None => Ok(Turn::Waits),
        }
    }

    fn lost(&self, to: Option<String>) -> LeaseError {
        let lease = self.object.to_string();
        match to {
            Some(holder) => LeaseError::Taken { lease, holder },
            None => LeaseError::NotRenewed {
                lease,
                within: self.timing.renew(),
                detail: self
                    .trouble
                    .clone()
                    .unwrap_or_else(|| "this process was stopped for a while".to_owned()),
            },
        }
    }

    /// Clears the holder, if this process still is it.
    async fn hand_back(&mut self) {
        // A renewal that was on its way may have changed the version.
        for _ in 0..2 {
            let sight = match self.known.take() {
                Some(known) => Ok(Some(known)),
                None => self.object.get().await,
            };
            match sight {
                Ok(Some(sight)) if sight.view().holder.as_deref() == Some(self.candidate.identity()) => {
                    if let Ok(Some(_)) = self.object.clear(sight).await {
                        tracing::info!("the lease {} was handed back", self.object);
                        return;
                    }
                }
                Ok(_) => return,
                Err(_) => {}
            }
        }
        tracing::warn!("the lease {} could not be handed back: others wait until it runs out", self.object);
    }
}

#[cfg(test)]
#[path = "shell_tests.rs"]
mod tests;
