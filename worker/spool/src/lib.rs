//! The embedded durable queue and store of one-machine mode.
//!
//! - [`queue`]: messages in SQLite, with the semantics of an SQS standard queue and exact counts;
//! - [`store`]: a folder as an object store, with a write that only one of many can win;
//! - [`masters`]: the folder of masters, and the identity of each;
//! - [`scratch`]: each worker's scratch folder, removed when its worker is dead;
//! - [`lock`]: one instance per data directory.
//!
//! Everything here is synchronous, may be used by several processes at once, and survives `kill -9` of any of
//! them at any moment. The folders must be on a local file system: SQLite's write-ahead log and file locks do not
//! work over a network.

mod durable;
pub mod error;
pub mod lock;
pub mod masters;
pub mod queue;
pub mod scratch;
pub mod store;

pub use error::SpoolError;
pub use lock::InstanceLock;
pub use masters::Masters;
pub use queue::{Counts, DeadLetter, MessageId, Queue, QueueOptions, Receipt, Received, Redrive, Sent};
pub use scratch::{AttemptDir, Scratch};
pub use store::{Put, Store};
