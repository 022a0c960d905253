//! One simulated worker.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use reelpool_protocol::event::Outcome;
use reelpool_protocol::status::Stage;
use reelpool_protocol::{JobId, Ladder, Profile, Source as Master};
use reelpool_worker::http::{Served, router};
use reelpool_worker::metrics::Metrics;
use reelpool_worker::queue::{Queue, QueueError, Received, SqsQueue};
use reelpool_worker::state::State;
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::manner::with_manners;
use super::{HELD, Shared, Source};
use crate::memory_sqs::MemorySqs;

/// How long an address may still be another's: of a pod that has just gone.
const BINDS_WITHIN: Duration = Duration::from_secs(30);
/// After a failed receive.
const PAUSE: Duration = Duration::from_millis(500);
/// How often a message is received before the queue gives it up; nothing here fails.
const ATTEMPTS: u32 = 1000;

/// The queues, opened once each.
#[derive(Debug)]
pub(super) enum Queues {
    Memory(Arc<crate::memory_sqs::Queues>),
    Sqs { endpoint: String, opened: Mutex<HashMap<String, Arc<dyn Queue>>> },
}

impl From<Source<'_>> for Queues {
    fn from(source: Source) -> Self {
        match source {
            Source::Memory(memory) => Self::Memory(MemorySqs::queues(memory)),
            Source::Sqs(endpoint) => Self::Sqs { endpoint: endpoint.to_owned(), opened: Mutex::default() },
        }
    }
}

impl Queues {
    async fn open(&self, url: &str) -> Result<Arc<dyn Queue>, QueueError> {
        let (endpoint, opened) = match self {
            Self::Memory(queues) => {
                let missing = || QueueError::NotFound { queue: url.to_owned() };
                return queues.for_worker(url).ok_or_else(missing);
            }
            Self::Sqs { endpoint, opened } => (endpoint, opened),
        };
        let known = || opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(queue) = known().get(url) {
            return Ok(Arc::clone(queue));
        }
        let queue: Arc<dyn Queue> =
            Arc::new(SqsQueue::open(&configuration(endpoint).await, url, None, ATTEMPTS).await?);
        known().insert(url.to_owned(), Arc::clone(&queue));
        Ok(queue)
    }
}

async fn configuration(endpoint: &str) -> SdkConfig {
    let credentials = aws_sdk_sqs::config::Credentials::new("test", "test", None, None, "tests");
    aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(credentials)
        .endpoint_url(endpoint)
        .load()
        .await
}

/// A worker whose container has started.
pub(super) struct Worker {
    pod: String,
    address: Option<SocketAddr>,
    queue_url: String,
    token_hash: String,
    state: Arc<State>,
    shared: Arc<Shared>,
}

/// A worker at work.
pub(super) struct Running {
    pod: String,
    state: Arc<State>,
    shared: Arc<Shared>,
    tasks: [JoinHandle<()>; 2],
    goes: bool,
}

impl Running {
    /// Its pod is told to go: it takes no new job.
    pub(super) fn go(&mut self) {
        if !std::mem::replace(&mut self.goes, true) {
            self.shared.ledger.told_to_go(&self.pod);
            self.state.shut_down();
        }
    }

    /// Its pod is gone.
    pub(super) fn end(&self) {
        self.tasks.iter().for_each(JoinHandle::abort);
        self.shared.ledger.went(&self.pod);
    }
}

impl Worker {
    pub(super) fn of(pod: &Pod, shared: &Arc<Shared>) -> Self {
        let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
        let variables: Vec<_> = containers.flat_map(|container| container.env.iter().flatten()).collect();
        let variable = |name: &str| {
            let found = variables.iter().find(|variable| variable.name == name);
            found.and_then(|variable| variable.value.clone()).unwrap_or_default()
        };
        let ip: Option<IpAddr> =
            pod.status.as_ref().and_then(|status| status.pod_ip.as_deref()).and_then(|ip| ip.parse().ok());
        Self {
            pod: pod.name_any(),
            address: ip.map(|ip| SocketAddr::new(ip, shared.behaviour.port)),
            queue_url: variable("REELPOOL_QUEUE_URL"),
            token_hash: variable("REELPOOL_DRAIN_TOKEN_SHA256"),
            state: Arc::new(State::new(pod.name_any(), Instant::now())),
            shared: Arc::clone(shared),
        }
    }

    /// Begins to work, and to listen.
    pub(super) fn start(self) -> Running {
        self.shared.ledger.came(&self.pod);
        let this = Arc::new(self);
        Running {
            pod: this.pod.clone(),
            state: Arc::clone(&this.state),
            shared: Arc::clone(&this.shared),
            tasks: [tokio::spawn(Arc::clone(&this).serve()), tokio::spawn(this.work())],
            goes: false,
        }
    }

    async fn serve(self: Arc<Self>) {
        let Some(address) = self.address else {
            return self.shared.ledger.failed(format!("{}: it runs without an address", self.pod));
        };
        let Ok(listener) = timeout(BINDS_WITHIN, bind(address)).await else {
            return self.shared.ledger.failed(format!("{}: {address} is in use", self.pod));
        };
        let served = Served {
            state: Arc::clone(&self.state),
            metrics: Arc::new(Metrics::new().unwrap()),
            drain_token: self.token_hash.parse().ok(),
        };
        let router = with_manners(router(served), self.pod.clone(), Arc::clone(&self.shared));
        if let Err(error) = axum::serve(listener, router).await {
            self.shared.ledger.failed(format!("{}: {error}", self.pod));
        }
    }

    /// The real worker's loop, with another job in it.
    async fn work(self: Arc<Self>) {
        let Shared { behaviour, ledger, queues, .. } = &*self.shared;
        sleep(behaviour.starting).await;
        let queue = match queues.open(&self.queue_url).await {
            Ok(queue) => queue,
            Err(error) => return ledger.failed(format!("{}: {error}", self.pod)),
        };
        loop {
            if !self.state.begin_receive() {
                let lapse = self.state.drain_lapses_in().unwrap_or(behaviour.long_poll);
                let _ = timeout(lapse, self.state.changed.notified()).await;
                continue;
            }
            let received =
                queue.receive(behaviour.visibility, behaviour.long_poll, &self.state.stop_receiving).await;
            if let Ok(Some(_)) = received {
                ledger.began(&self.pod);
            }
            self.state.received(matches!(received, Ok(Some(_))));
            match received {
                Ok(message) => {
                    ledger.received();
                    if let Some(message) = message {
                        self.job(&*queue, &message).await;
                    }
                }
                Err(error) => {
                    ledger.could_not_receive(error.category());
                    sleep(PAUSE).await;
                }
            }
        }
    }

    async fn job(&self, queue: &dyn Queue, message: &Received) {
        let start = Instant::now();
        let master = Master {
            bucket: "masters".into(),
            key: message.id.clone(),
            version: None,
            etag: None,
            size: None,
        };
        self.state.begin_job(
            JobId::of(&master, &Ladder::default(), &Profile::default()),
            &message.receipt,
            &master,
        );
        self.state.stage(Stage::Transcoding);
        if let Some(group) = message.body.strip_prefix(HELD) {
            let mut gate = self.shared.gate.clone();
            // When the crowd is gone, so is this task.
            let _ = gate.wait_for(|gate| gate.is_open(group.trim())).await;
        }
        sleep(self.length(&message.body)).await;
        self.state.stage(Stage::Committing);
        let mut deleted = queue.delete(&message.receipt).await;
        while matches!(&deleted, Err(error) if *error != QueueError::HoldLost && error.may_pass()) {
            sleep(PAUSE).await;
            deleted = queue.delete(&message.receipt).await;
        }
        let outcome = match deleted {
            Ok(()) => Outcome::Committed { renditions: Vec::new(), warnings: Vec::new() },
            Err(_) => Outcome::HoldLost,
        };
        self.state.end_job(&outcome, start.elapsed());
        self.shared.ledger.ended(&self.pod, outcome != Outcome::HoldLost);
        self.state.settled();
    }

    fn length(&self, body: &str) -> Duration {
        let (least, most) = (*self.shared.behaviour.job.start(), *self.shared.behaviour.job.end());
        let random = || least + most.saturating_sub(least).mul_f64(fastrand::f64());
        body.trim().parse().map_or_else(|_| random(), Duration::from_secs_f64)
    }
}

/// Listens on an address that another pod may just have left.
async fn bind(address: SocketAddr) -> TcpListener {
    loop {
        let listener = TcpSocket::new_v4().and_then(|socket| {
            socket.set_reuseaddr(true)?;
            socket.bind(address)?;
            socket.listen(64)
        });
        match listener {
            Ok(listener) => return listener,
            Err(_) => sleep(Duration::from_millis(20)).await,
        }
    }
}
