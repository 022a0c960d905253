//! The queue: SQS's standard queue in one SQLite file, for several processes at once.
//!
//! A message is **waiting**, **in flight** (received), **delayed** (by its sender) or **dead**. Receiving hides it
//! for the visibility asked for; a receiver that dies lets it appear again. The receive count grows by each
//! receive, also one that ends in a hand-back, as in SQS: so a worker that is stopped over and over with the same
//! message in hand uses up its receives.
//!
//! Time is the machine's wall clock, the only one that processes and restarts share. A jump of it loses nothing:
//! set forward, holds and delays end early and a message may be received twice; set back, each hold and delay
//! starts anew, at full length, from the first look after the jump.

mod dead;
#[cfg(test)]
mod model;
mod schema;
#[cfg(test)]
mod tests;
mod types;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, named_params, params};
use uuid::Uuid;

use crate::SpoolError;
use crate::durable::create_dirs;

use types::{Clock, millis};
pub use types::{
    Counts, DeadLetter, MAX_BODY_BYTES, MessageId, QueueOptions, RECEIVE_COUNT_EXCEEDED, Receipt,
    ReceiptError, Received, Redrive, Sent,
};

/// The database's name in the queue's folder.
pub const FILE_NAME: &str = "queue.db";
/// Bounds of the pause between two looks of [`Queue::receive_wait`], in milliseconds. Drawn anew each time, so that
/// waiting workers do not all look at once.
const LOOK_EVERY_MS: std::ops::Range<u64> = 40..80;

/// A connection to the queue. Threads may share it: each call holds it for one short transaction.
#[derive(Debug)]
pub struct Queue {
    path: PathBuf,
    options: QueueOptions,
    clock: Clock,
    connection: Mutex<Connection>,
}

impl Queue {
    /// Opens the queue in the folder `dir`, making both when they are not there.
    pub fn open(dir: &Path, options: QueueOptions) -> Result<Self, SpoolError> {
        create_dirs(dir)?;
        let path = dir.join(FILE_NAME);
        let connection = schema::open(&path, true)?;
        Ok(Self { path, options, clock: Clock::default(), connection: Mutex::new(connection) })
    }

    /// Opens the queue in the folder `dir`; fails with [`SpoolError::NoQueue`] when there is none.
    pub fn open_existing(dir: &Path, options: QueueOptions) -> Result<Self, SpoolError> {
        let path = dir.join(FILE_NAME);
        if !path.try_exists().map_err(|source| SpoolError::io("open", &path, source))? {
            return Err(SpoolError::NoQueue { path: dir.to_owned() });
        }
        let connection = schema::open(&path, false)?;
        Ok(Self { path, options, clock: Clock::default(), connection: Mutex::new(connection) })
    }

    /// A queue in memory under a clock of the test's own.
    #[cfg(test)]
    fn in_memory(options: QueueOptions, clock: Clock) -> Result<Self, SpoolError> {
        let path = PathBuf::from(":memory:");
        let mut connection =
            Connection::open_in_memory().map_err(|source| SpoolError::sqlite(&path, source))?;
        schema::prepare(&mut connection, &path)?;
        Ok(Self { path, options, clock, connection: Mutex::new(connection) })
    }

    /// The database file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Sends a message that may be received once `delay` has passed.
    pub fn send(&self, body: &str, delay: Duration) -> Result<MessageId, SpoolError> {
        check_length(body)?;
        self.write(|tx, now| insert(tx, now, body, delay))
    }

    /// Sends a message unless one was sent under the same identity before.
    ///
    /// The identity is remembered for ever, together with the message or not at all: whoever is killed at any moment
    /// can simply call again.
    pub fn send_once(&self, identity: &str, body: &str, delay: Duration) -> Result<Sent, SpoolError> {
        check_length(body)?;
        // Most calls come from looking through the same folder again: they need not wait for a write.
        let known = self.read(|connection| {
            connection
                .prepare_cached("SELECT EXISTS (SELECT 1 FROM identities WHERE identity = ?1)")?
                .query_row([identity], |row| row.get::<_, bool>(0))
        })?;
        if known {
            return Ok(Sent::Already);
        }
        self.write(|tx, now| {
            let new = tx.execute(
                "INSERT INTO identities (identity, message, sent_at_ms) VALUES (?1, '', ?2) ON CONFLICT DO NOTHING",
                params![identity, now],
            )?;
            if new == 0 {
                return Ok(Sent::Already);
            }
            let id = insert(tx, now, body, delay)?;
            tx.execute("UPDATE identities SET message = ?2 WHERE identity = ?1", params![identity, id.as_str()])?;
            Ok(Sent::New(id))
        })
    }

    /// Forgets an identity, so that the next [`send_once`](Self::send_once) sends. Says whether it was known.
    pub fn forget(&self, identity: &str) -> Result<bool, SpoolError> {
        self.write(|tx, _| Ok(tx.execute("DELETE FROM identities WHERE identity = ?1", [identity])? > 0))
    }

    /// Receives the oldest visible message and hides it for `visibility`; `None` when there is none.
    ///
    /// A message that was received [`QueueOptions::max_receives`] times already goes to the dead letters instead, with
    /// the reason [`RECEIVE_COUNT_EXCEEDED`], and the next one is tried.
    pub fn receive(&self, visibility: Duration) -> Result<Option<Received>, SpoolError> {
        self.heal_clock()?;
        // Looking needs no lock: idle workers do not stand in the way of those who write.
        let now = self.clock.now();
        let any = self.read(|connection| {
            connection
                .prepare_cached("SELECT EXISTS (SELECT 1 FROM messages WHERE visible_at_ms <= ?1)")?
                .query_row([now], |row| row.get::<_, bool>(0))
        })?;
        if any { self.write(|tx, now| take_oldest(tx, now, visibility, self.options)) } else { Ok(None) }
    }

    /// Receives like [`receive`](Self::receive), waiting up to `wait` for a message to become visible.
    ///
    /// Ends early, within a tenth of a second, once `cancelled` says so. It never strands a message: what it took, it
    /// returns, even when it has been cancelled meanwhile; the caller then hands it back.
    pub fn receive_wait(
        &self,
        visibility: Duration,
        wait: Duration,
        cancelled: impl Fn() -> bool,
    ) -> Result<Option<Received>, SpoolError> {
        let start = Instant::now();
        loop {
            if cancelled() {
                return Ok(None);
            }
            if let Some(received) = self.receive(visibility)? {
                return Ok(Some(received));
            }
            let left = wait.saturating_sub(start.elapsed());
            if left.is_zero() {
                return Ok(None);
            }
            thread::sleep(left.min(Duration::from_millis(fastrand::u64(LOOK_EVERY_MS))));
        }
    }

    /// Hides the message for `visibility` from now. [`SpoolError::HoldLost`] when it is no longer the receipt's: its
    /// visibility ran out (even if nobody has taken it since), or it was received anew, deleted or buried.
    pub fn extend(&self, receipt: &Receipt, visibility: Duration) -> Result<(), SpoolError> {
        let held = self.write(|tx, now| {
            let changed = tx.execute(
                "UPDATE messages SET since_ms = :now, visible_at_ms = :now + :hidden
                 WHERE id = :id AND receipt = :receipt AND visible_at_ms > :now",
                named_params! {
                    ":now": now, ":hidden": millis(visibility), ":id": receipt.id.as_str(), ":receipt": receipt.token,
                },
            )?;
            Ok(changed > 0)
        })?;
        if held { Ok(()) } else { Err(SpoolError::HoldLost { id: receipt.id.clone() }) }
    }

    /// Gives the message back, to be received again once `delay` has passed; zero hands it back at once.
    ///
    /// Until then it counts as in flight, as in SQS. Fails as [`extend`](Self::extend) does.
    pub fn retry_after(&self, receipt: &Receipt, delay: Duration) -> Result<(), SpoolError> {
        self.extend(receipt, delay)
    }

    /// Deletes the message for good. Deleting what is gone already is fine; so is deleting with the newest receipt
    /// after the visibility ran out. [`SpoolError::HoldLost`] when it was received anew or is a dead letter.
    pub fn delete(&self, receipt: &Receipt) -> Result<(), SpoolError> {
        let done = self.write(|tx, _| {
            let id = receipt.id.as_str();
            let deleted = tx
                .execute("DELETE FROM messages WHERE id = ?1 AND receipt = ?2", params![id, receipt.token])?;
            Ok(deleted > 0 || !exists(tx, id)?)
        })?;
        if done { Ok(()) } else { Err(SpoolError::HoldLost { id: receipt.id.clone() }) }
    }

    /// How many messages there are, exactly, all at one moment.
    pub fn counts(&self) -> Result<Counts, SpoolError> {
        self.heal_clock()?;
        self.read(|connection| {
            let now = self.clock.now();
            connection
                .prepare_cached(
                    "SELECT (SELECT count(*) FROM messages WHERE visible_at_ms <= ?1),
                            (SELECT count(*) FROM messages WHERE visible_at_ms > ?1 AND receipt IS NOT NULL),
                            (SELECT count(*) FROM messages WHERE visible_at_ms > ?1 AND receipt IS NULL),
                            (SELECT count(*) FROM dead)",
                )?
                .query_row([now], |row| {
                    Ok(Counts {
                        waiting: unsigned(row.get(0)?),
                        in_flight: unsigned(row.get(1)?),
                        delayed: unsigned(row.get(2)?),
                        dead: unsigned(row.get(3)?),
                    })
                })
        })
    }

    /// How many of the delayed messages become due within `soon`.
    pub fn delayed_due_within(&self, soon: Duration) -> Result<u64, SpoolError> {
        self.heal_clock()?;
        self.read(|connection| {
            let now = self.clock.now();
            connection
                .prepare_cached(
                    "SELECT count(*) FROM messages
                     WHERE visible_at_ms > ?1 AND visible_at_ms <= ?1 + ?2 AND receipt IS NULL",
                )?
                .query_row([now, millis(soon)], |row| row.get(0).map(unsigned))
        })
    }

    /// What SQLite finds wrong with the database, a line each; nothing when it is sound.
    pub fn integrity_check(&self) -> Result<Vec<String>, SpoolError> {
        self.read(|connection| {
            let mut statement = connection.prepare("PRAGMA integrity_check")?;
            let lines = statement.query_map([], |row| row.get::<_, String>(0))?;
            lines.filter(|line| !matches!(line, Ok(text) if text == "ok")).collect()
        })
    }

    /// Where the clock has been set back, lets holds and delays run anew from now: else they would last for as long
    /// as it was set back.
    fn heal_clock(&self) -> Result<(), SpoolError> {
        let now = self.clock.now();
        let set_back = self.read(|connection| {
            connection
                .prepare_cached("SELECT EXISTS (SELECT 1 FROM messages WHERE since_ms > ?1)")?
                .query_row([now], |row| row.get::<_, bool>(0))
        })?;
        if !set_back {
            return Ok(());
        }
        let healed = self.write(|tx, now| {
            tx.execute(
                "UPDATE messages SET visible_at_ms = visible_at_ms - since_ms + ?1, since_ms = ?1 WHERE since_ms > ?1",
                [now],
            )
        })?;
        if healed > 0 {
            tracing::warn!(messages = healed, "the clock was set back: holds and delays run anew from now");
        }
        Ok(())
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        // A transaction whose thread panicked has been rolled back: the connection is as good as before.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, SpoolError> {
        work(&self.connection()).map_err(|source| SpoolError::sqlite(&self.path, source))
    }

    /// Runs `work` in a transaction that no other writer overlaps. Its clock is read inside, so that the times
    /// written follow the order of the transactions.
    fn write<T>(
        &self,
        work: impl FnOnce(&Transaction<'_>, i64) -> rusqlite::Result<T>,
    ) -> Result<T, SpoolError> {
        let mut connection = self.connection();
        let run = || {
            let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let value = work(&tx, self.clock.now())?;
            tx.commit()?;
            Ok(value)
        };
        run().map_err(|source| SpoolError::sqlite(&self.path, source))
    }
}

fn check_length(body: &str) -> Result<(), SpoolError> {
    if body.len() > MAX_BODY_BYTES {
        return Err(SpoolError::BodyTooLong { bytes: body.len(), limit: MAX_BODY_BYTES });
    }
    Ok(())
}

fn insert(tx: &Transaction<'_>, now: i64, body: &str, delay: Duration) -> rusqlite::Result<MessageId> {
    let id = MessageId(Uuid::now_v7().to_string());
    tx.execute(
        "INSERT INTO messages (id, body, sent_at_ms, since_ms, visible_at_ms) VALUES (?1, ?2, ?3, ?3, ?3 + ?4)",
        params![id.as_str(), body, now, millis(delay)],
    )?;
    Ok(id)
}

fn take_oldest(
    tx: &Transaction<'_>,
    now: i64,
    visibility: Duration,
    options: QueueOptions,
) -> rusqlite::Result<Option<Received>> {
    loop {
        // NOT INDEXED: walk in the order of sending and stop at the first, instead of sorting the whole backlog.
        let oldest = tx
            .prepare_cached(
                "SELECT seq, id, body, sent_at_ms, receive_count FROM messages NOT INDEXED
                 WHERE visible_at_ms <= ?1 ORDER BY seq LIMIT 1",
            )?
            .query_row([now], |row| {
                Ok((
                    row.get::<_, i64>(0)?,
                    MessageId(row.get(1)?),
                    row.get::<_, String>(2)?,
                    row.get::<_, i64>(3)?,
                    row.get::<_, u32>(4)?,
                ))
            })
            .optional()?;
        let Some((seq, id, body, sent_at_ms, received)) = oldest else {
            return Ok(None);
        };
        if received >= options.max_receives.max(1) {
            let detail = format!("received {received} times and never finished: look into the workers' logs");
            dead::bury(tx, seq, now, RECEIVE_COUNT_EXCEEDED, &detail)?;
            continue;
        }
        let receipt = Receipt { id: id.clone(), token: Uuid::now_v7().simple().to_string() };
        let receive_count = received.saturating_add(1);
        tx.execute(
            "UPDATE messages SET receipt = :receipt, receive_count = :count, since_ms = :now, visible_at_ms = :now + :hidden
             WHERE seq = :seq",
            named_params! {
                ":receipt": receipt.token, ":count": receive_count, ":now": now, ":hidden": millis(visibility), ":seq": seq,
            },
        )?;
        return Ok(Some(Received { id, receipt, body, receive_count, sent_at_ms: unsigned(sent_at_ms) }));
    }
}

/// Whether the message is still somewhere, waiting, held or dead.
fn exists(tx: &Transaction<'_>, id: &str) -> rusqlite::Result<bool> {
    tx.query_row(
        "SELECT EXISTS (SELECT 1 FROM messages WHERE id = ?1) OR EXISTS (SELECT 1 FROM dead WHERE id = ?1)",
        [id],
        |row| row.get(0),
    )
}

/// Counts and times are never negative; a database that says otherwise is read as zero.
fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
