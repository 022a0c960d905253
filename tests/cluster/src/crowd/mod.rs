//! A crowd of simulated workers for kwok's pods: they speak the real status protocol and take real messages, and do
//! nothing with them but to let time pass.
//!
//! What a worker says and when it may take a message is the real worker's own code (`reelpool_worker`'s state and
//! HTTP server); only the job is make-believe. The crowd keeps a ledger of who had a job when, so that an interrupted
//! one is found whoever caused it.

mod ledger;
mod manner;
mod pods;
mod worker;

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::audit::Deletion;
use crate::background::Background;
use crate::control_plane::ControlPlane;
use crate::memory_sqs::MemorySqs;
use ledger::Ledger;
pub use ledger::{CrowdReport, Interruption};
pub use manner::Manner;
use manner::Manners;

/// A message that begins with this is worked on until [`Crowd::release`], and then for as long as any other. What follows
/// it names its group, for [`Crowd::release_group`].
pub const HELD: &str = "held";

/// Where the workers' messages come from.
#[derive(Debug, Clone, Copy)]
pub enum Source<'a> {
    /// Queues in memory.
    Memory(&'a MemorySqs),
    /// An emulator of SQS at this endpoint. Each idle worker is a long poll of its own: it serves some dozens.
    Sqs(&'a str),
}

/// How the workers behave.
#[derive(Debug, Clone)]
pub struct Behaviour {
    /// Which pods are workers.
    pub selector: String,
    /// The port they listen on.
    pub port: u16,
    /// How long one takes from its container's start until it asks the queue.
    pub starting: Duration,
    /// How long a job takes: at random within these, or as many seconds as the message says, when it is a number.
    pub job: RangeInclusive<Duration>,
    /// How long one receive waits.
    pub long_poll: Duration,
    /// For how long a message is hidden; longer than any job, for nothing extends it.
    pub visibility: Duration,
}

impl Default for Behaviour {
    /// The pods of pools, which start at once and take a second or two for a job.
    fn default() -> Self {
        Self {
            selector: "reelpool.dev/pool".to_owned(),
            port: 8080,
            starting: Duration::ZERO,
            job: Duration::from_secs(1)..=Duration::from_secs(2),
            long_poll: Duration::from_secs(2),
            visibility: Duration::from_secs(600),
        }
    }
}

/// The workers of one namespace. They end when this is dropped.
#[derive(Debug)]
pub struct Crowd {
    ledger: Arc<Ledger>,
    gate: watch::Sender<Gate>,
    shared: Arc<Shared>,
    _background: Background,
}

/// What all workers share.
#[derive(Debug)]
struct Shared {
    behaviour: Behaviour,
    ledger: Arc<Ledger>,
    gate: watch::Receiver<Gate>,
    queues: worker::Queues,
    manners: Manners,
}

/// Which held jobs may end.
#[derive(Debug, Default)]
struct Gate {
    all: bool,
    groups: BTreeSet<String>,
}

impl Gate {
    fn is_open(&self, group: &str) -> bool {
        self.all || self.groups.contains(group)
    }
}

impl Crowd {
    /// Watches the pods of `namespace` from now on: each that runs becomes a worker under its own address, on the
    /// queue that its `REELPOOL_QUEUE_URL` names, with the drain token whose hash it has.
    #[must_use]
    pub fn start(plane: &ControlPlane, namespace: &str, source: Source, behaviour: Behaviour) -> Self {
        let background = Background::new("crowd");
        let ledger = Arc::new(Ledger::default());
        let (gate, is_open) = watch::channel(Gate::default());
        let shared = Arc::new(Shared {
            behaviour,
            ledger: Arc::clone(&ledger),
            gate: is_open,
            queues: worker::Queues::from(source),
            manners: Manners::default(),
        });
        let kubeconfig = plane.admin_kubeconfig().to_owned();
        background.handle().spawn(pods::follow(kubeconfig, namespace.to_owned(), Arc::clone(&shared)));
        Self { ledger, gate, shared, _background: background }
    }

    /// Lets the jobs of messages end that said [`HELD`]. Those that come later are held again only after
    /// [`Self::hold`].
    pub fn release(&self) {
        self.gate.send_modify(|gate| gate.all = true);
    }

    /// The same for the messages of one group only, such as `a` of `held a`.
    pub fn release_group(&self, group: &str) {
        self.gate.send_modify(|gate| {
            gate.groups.insert(group.to_owned());
        });
    }

    /// Holds jobs again, those that came since the last release included.
    pub fn hold(&self) {
        self.gate.send_replace(Gate::default());
    }

    /// From now on the worker of this pod answers like this.
    pub fn behaves(&self, pod: &str, manner: Manner) {
        self.shared.manners.set(pod, manner);
    }

    /// Whether the worker of this pod, which [`Manner::Pretends`], was asked to drain.
    #[must_use]
    pub fn pretends(&self, pod: &str) -> bool {
        self.shared.manners.pretends(pod)
    }

    /// What has happened so far.
    ///
    /// Panics when a worker could not do its part, such as listen under its pod's address.
    #[must_use]
    pub fn report(&self) -> CrowdReport {
        self.ledger.report()
    }

    /// Those of `deletions` that met a worker with a job in hand: more exact than [`CrowdReport::interrupted`], for
    /// it rests on the API server's own times.
    #[must_use]
    pub fn interrupted_by(&self, deletions: &[Deletion]) -> Vec<String> {
        self.ledger.interrupted_by(deletions)
    }
}
