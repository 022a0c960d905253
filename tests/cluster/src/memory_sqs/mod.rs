//! SQS queues in memory, for tests of a size at which an emulator would be what is measured: the operator asks for
//! their lengths over SQS's own protocol, and the simulated workers take their messages directly.

mod queue;
mod server;

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};

use reelpool_worker::queue::Queue;

use crate::background::Background;
pub use queue::Counts;
use queue::MemoryQueue;

/// The account in the queues' URLs.
const ACCOUNT: &str = "000000000000";

/// SQS, as far as the operator asks it: `GetQueueAttributes` in the JSON protocol, on a port of the loopback. It ends
/// when this is dropped.
#[derive(Debug)]
pub struct MemorySqs {
    address: SocketAddr,
    queues: Arc<Queues>,
    _server: Background,
}

/// All queues by their names.
#[derive(Debug, Default)]
pub(crate) struct Queues(Mutex<HashMap<String, Arc<MemoryQueue>>>);

impl Queues {
    /// The queue at a URL, or of a name.
    fn find(&self, url: &str) -> Option<Arc<MemoryQueue>> {
        let name = url.rsplit('/').next().unwrap_or_default();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// The same, for a worker.
    pub(crate) fn for_worker(&self, url: &str) -> Option<Arc<dyn Queue>> {
        Some(self.find(url)?)
    }
}

impl MemorySqs {
    /// Starts with no queue.
    #[must_use]
    pub fn start() -> Self {
        let server = Background::new("memory-sqs");
        let queues = Arc::new(Queues::default());
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        server.handle().spawn(server::serve(listener, Arc::clone(&queues)));
        Self { address, queues, _server: server }
    }

    /// Where it listens: what `--endpoint-url` takes.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Makes a queue, unless it is there, and returns its URL.
    pub fn create(&self, name: &str) -> String {
        let url = format!("{}/{ACCOUNT}/{name}", self.endpoint());
        let mut queues = self.queues.0.lock().unwrap_or_else(PoisonError::into_inner);
        queues.entry(name.to_owned()).or_default();
        url
    }

    /// Sends `count` messages that say `body`. They may be received, and are counted, when this returns.
    pub fn send(&self, url: &str, count: usize, body: &str) {
        self.at(url).send(count, body);
    }

    /// Throws away what is in the queue, also what is in flight: the holds on it are lost.
    pub fn purge(&self, url: &str) {
        self.at(url).purge();
    }

    /// What is in the queue now.
    #[must_use]
    pub fn counts(&self, url: &str) -> Counts {
        self.at(url).counts()
    }

    /// What the queue says of its length from now on, whatever is in it; `None`: the truth. Of several answers one after
    /// the other, again and again.
    pub fn say(&self, url: &str, answers: &[Option<Counts>]) {
        self.at(url).say(answers);
    }

    /// How often the length of this queue has been asked for.
    #[must_use]
    pub fn asked(&self, url: &str) -> u64 {
        self.at(url).asked()
    }

    /// How often the length of any queue has been asked for.
    #[must_use]
    pub fn asked_in_all(&self) -> u64 {
        let queues = self.queues.0.lock().unwrap_or_else(PoisonError::into_inner);
        queues.values().map(|queue| queue.asked()).sum()
    }

    /// What workers take their messages from.
    pub(crate) fn queues(&self) -> Arc<Queues> {
        Arc::clone(&self.queues)
    }

    fn at(&self, url: &str) -> Arc<MemoryQueue> {
        self.queues.find(url).unwrap_or_else(|| panic!("no queue {url}: create it first"))
    }
}
