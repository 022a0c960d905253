//! What goes into the queue and comes out.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// The longest message the queue takes, in bytes: as SQS.
pub const MAX_BODY_BYTES: usize = 1024 * 1024;
/// The reason of dead letters that were received too often.
pub const RECEIVE_COUNT_EXCEEDED: &str = "receive_count_exceeded";

/// How a process uses the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueOptions {
    /// How often a message may be received; the next receive moves it to the dead letters instead. 0 counts as 1.
    pub max_receives: u32,
}

impl Default for QueueOptions {
    /// Five receives.
    fn default() -> Self {
        Self { max_receives: 5 }
    }
}

/// A message's name; it keeps it all its life, among the dead letters too.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct MessageId(pub(super) String);

impl MessageId {
    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<String> for MessageId {
    fn from(text: String) -> Self {
        Self(text)
    }
}

/// The proof of one receive. The next receive of the same message makes it worthless.
///
/// Its text form can be kept and read back.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Receipt {
    pub(super) id: MessageId,
    pub(super) token: String,
}

impl Receipt {
    /// The message it is for.
    #[must_use]
    pub fn message(&self) -> &MessageId {
        &self.id
    }
}

impl fmt::Display for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.id, self.token)
    }
}

impl FromStr for Receipt {
    type Err = ReceiptError;

    fn from_str(text: &str) -> Result<Self, ReceiptError> {
        match text.split_once('.') {
            Some((id, token)) if !id.is_empty() && !token.is_empty() => {
                Ok(Self { id: MessageId(id.to_owned()), token: token.to_owned() })
            }
            _ => Err(ReceiptError),
        }
    }
}

/// A text was not a receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a receipt of the embedded queue: use the text that a receive gave")]
pub struct ReceiptError;

/// A message in its receiver's hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// Its name.
    pub id: MessageId,
    /// The proof of this receive.
    pub receipt: Receipt,
    /// What was sent.
    pub body: String,
    /// How often it has been received, this time included.
    pub receive_count: u32,
    /// When it was sent, in milliseconds since 1970.
    pub sent_at_ms: u64,
}

/// What became of a [`send_once`](super::Queue::send_once).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sent {
    /// It is a new message.
    New(MessageId),
    /// A message of this identity was sent before: nothing was done.
    Already,
}

/// How many messages there are; exact, all four at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Waiting to be received: the backlog.
    pub waiting: u64,
    /// Received and neither deleted nor due again; a message that waits to be tried again is among them, as in SQS.
    pub in_flight: u64,
    /// Sent with a delay that has not passed.
    pub delayed: u64,
    /// Given up for good.
    pub dead: u64,
}

/// A message that was given up for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Its name.
    pub id: MessageId,
    /// What was sent.
    pub body: String,
    /// A stable category, such as [`RECEIVE_COUNT_EXCEEDED`].
    pub reason: String,
    /// What went wrong, for a person.
    pub detail: String,
    /// How often it had been received.
    pub receive_count: u32,
    /// When it was given up, in milliseconds since 1970.
    pub dead_at_ms: u64,
}

/// Which dead letters to send anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Redrive<'a> {
    /// This one.
    One(&'a MessageId),
    /// All of them.
    All,
}

/// Tells the wall time in milliseconds since 1970: receivers in several processes share no other clock.
#[derive(Clone)]
pub(super) struct Clock(pub(super) Arc<dyn Fn() -> i64 + Send + Sync>);

impl Clock {
    pub(super) fn now(&self) -> i64 {
        (self.0)()
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self(Arc::new(|| {
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            millis(since)
        }))
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

/// A duration in milliseconds, at most what can be added to any time that will come.
pub(super) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).map_or(i64::MAX / 4, |ms| ms.min(i64::MAX / 4))
}
