//! A worker in the world: the real driver over fakes.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use reelpool_media::{Engine, Limits, Sandbox, Tools};
use reelpool_protocol::Location;
use reelpool_spool::Scratch;
use reelpool_spool::scratch::MARK;
use reelpool_worker::attempt::Desk;
use reelpool_worker::events::Events;
use reelpool_worker::hold::Heartbeat;
use reelpool_worker::metrics::Metrics;
use reelpool_worker::profile::OwnProfile;
use reelpool_worker::queue::{Queue, QueueError, SpoolQueue};
use reelpool_worker::run::run;
use reelpool_worker::shutdown::Shutdown;
use reelpool_worker::state::State;
use reelpool_worker::store::{FolderMasters, FolderOutputs};
use tokio::time::{sleep, timeout};

use crate::fakes::{FakeMasters, FakeOutputs, FakeQueue};
use crate::script::Script;
use crate::world::{World, files_below, ladder, profile};

/// Longer than any worker takes to come to an end.
const PATIENCE: Duration = Duration::from_secs(60);
/// So short a visibility timeout that its end can be waited for, and so long that it does not end on a busy machine
/// because two beats were late.
pub const SHORT: Duration = Duration::from_secs(3);

/// How a worker is set up.
#[derive(Debug, Clone)]
pub struct Setup {
    pub visibility: Duration,
    pub max_attempts: u32,
    /// How long a job may go on after a SIGTERM; without it the worker hears no signal, which reach every worker of
    /// the process.
    pub grace: Option<Duration>,
}

impl Default for Setup {
    fn default() -> Self {
        Self { visibility: Duration::from_secs(30), max_attempts: 20, grace: None }
    }
}

/// A worker that has not begun.
#[derive(Debug)]
pub struct Worker {
    world: Arc<World>,
    desk: Desk,
    setup: Setup,
    scratch: PathBuf,
}

/// What a worker says of itself.
#[derive(Debug, Clone)]
pub struct Says {
    pub state: Arc<State>,
    pub metrics: Arc<Metrics>,
}

impl Says {
    /// How many jobs ended in its hand.
    pub fn ends(&self) -> u64 {
        let totals = self.state.status().totals;
        totals.committed
            + totals.already_done
            + totals.retried
            + totals.failed
            + totals.handed_back
            + totals.claimed_elsewhere
    }
}

fn engine() -> Engine {
    static TOOLS: LazyLock<Tools> = LazyLock::new(|| Tools::find(None, None).unwrap());
    let sandbox = Sandbox::Via(PathBuf::from(env!("CARGO_BIN_EXE_reelpool-worker")));
    let limits = Limits { threads: 1, ..Limits::default() };
    Engine { tools: TOOLS.clone(), sandbox, limits }
}

impl World {
    /// A worker whose every call goes as `script` says.
    pub fn worker(self: &Arc<Self>, name: &str, setup: &Setup, script: &Arc<Script>) -> Worker {
        let state = Arc::new(State::new(name.to_owned(), tokio::time::Instant::now()));
        script.is_for(&state, setup.visibility);
        let script = || Arc::clone(script);
        let inner = SpoolQueue::open(&self.at("queue"), setup.max_attempts, setup.max_attempts).unwrap();
        let queue: Arc<dyn Queue> = Arc::new(FakeQueue { inner, script: script() });
        let masters = FolderMasters::open(&self.at("masters")).unwrap();
        let outputs = FolderOutputs::open(&self.at("outputs")).unwrap();
        let scratch = Scratch::claim(&self.at("scratch"), name).unwrap();
        let path = scratch.path().to_owned();
        let desk = Desk {
            state,
            metrics: Arc::new(Metrics::new().unwrap()),
            events: Events::None,
            heartbeat: Heartbeat::start(Arc::clone(&queue), setup.visibility).unwrap(),
            queue,
            masters: Arc::new(FakeMasters { inner: masters, script: script() }),
            allowed: Location::Folder(self.at("masters")),
            outputs: Arc::new(FakeOutputs { inner: outputs, script: script() }),
            scratch,
            engine: engine(),
            ladder: ladder(),
            profile: OwnProfile::new(profile(), Some("ultrafast".parse().unwrap())).unwrap(),
        };
        Worker { world: Arc::clone(self), desk, setup: setup.clone(), scratch: path }
    }
}

impl Worker {
    pub fn state(&self) -> Says {
        Says { state: Arc::clone(&self.desk.state), metrics: Arc::clone(&self.desk.metrics) }
    }

    /// Works until `done`, then takes no more, settles what it has in hand and goes. Ends earlier when the worker
    /// ends by itself.
    pub async fn run_until(self, done: impl Fn() -> bool) -> Result<(), QueueError> {
        let Self { world, desk, setup, scratch } = self;
        let state = Arc::clone(&desk.state);
        let shutdown = match setup.grace {
            Some(grace) => Shutdown::listen(grace, Arc::clone(&state)).unwrap(),
            None => deaf(&state),
        };
        let ended = {
            let mut working = pin!(run(desk, setup.visibility, &shutdown));
            let leave = async {
                while !done() {
                    sleep(Duration::from_millis(10)).await;
                }
                state.shut_down();
                while !state.status().drained {
                    sleep(Duration::from_millis(5)).await;
                }
                // What an attempt needs there is gone as soon as the attempt is over.
                let left = files_below(&scratch);
                assert_eq!(left, BTreeSet::from([scratch.join(MARK)]), "{world}");
                Ok(())
            };
            let either = async {
                tokio::select! {
                    ended = &mut working => ended,
                    left = leave => left,
                }
            };
            timeout(PATIENCE, either)
                .await
                .unwrap_or_else(|_| panic!("the worker never came to an end\n{world}"))
        };
        assert!(!scratch.exists(), "the scratch folder is still there\n{world}");
        ended
    }
}

/// A shutdown that is never asked for: who would tell of it has gone.
fn deaf(state: &Arc<State>) -> Shutdown {
    let state = Arc::clone(state);
    let listen = async move { Shutdown::listen(Duration::ZERO, state).unwrap() };
    std::thread::spawn(|| block_on(listen)).join().unwrap()
}

/// Runs a future to its end on a runtime of its own, and ends what it began.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}
