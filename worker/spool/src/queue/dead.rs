//! Dead letters: messages that were given up for good.

use rusqlite::{OptionalExtension, Transaction, params};

use super::{DeadLetter, MessageId, Queue, Receipt, Redrive, unsigned};
use crate::SpoolError;

impl Queue {
    /// Moves the message to the dead letters at once, with the reason (a stable category) and the detail (for a
    /// person). Fails as [`delete`](Self::delete) does, and also when the message is gone.
    pub fn dead_letter(&self, receipt: &Receipt, reason: &str, detail: &str) -> Result<(), SpoolError> {
        let held = self.write(|tx, now| {
            let seq = tx
                .query_row(
                    "SELECT seq FROM messages WHERE id = ?1 AND receipt = ?2",
                    params![receipt.id.as_str(), receipt.token],
                    |row| row.get::<_, i64>(0),
                )
                .optional()?;
            let Some(seq) = seq else { return Ok(false) };
            bury(tx, seq, now, reason, detail)?;
            Ok(true)
        })?;
        if held { Ok(()) } else { Err(SpoolError::HoldLost { id: receipt.id.clone() }) }
    }

    /// The newest dead letters, newest first, at most `limit`.
    pub fn dead_letters(&self, limit: u32) -> Result<Vec<DeadLetter>, SpoolError> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT id, body, reason, detail, receive_count, dead_at_ms FROM dead ORDER BY seq DESC LIMIT ?1",
            )?;
            let letters = statement.query_map([limit], |row| {
                Ok(DeadLetter {
                    id: MessageId(row.get(0)?),
                    body: row.get(1)?,
                    reason: row.get(2)?,
                    detail: row.get(3)?,
                    receive_count: row.get(4)?,
                    dead_at_ms: unsigned(row.get(5)?),
                })
            })?;
            letters.collect()
        })
    }

    /// Sends dead letters anew, behind what waits and with a receive count of zero. Returns how many.
    pub fn redrive(&self, which: Redrive<'_>) -> Result<u64, SpoolError> {
        let one = match which {
            Redrive::One(id) => Some(id.as_str()),
            Redrive::All => None,
        };
        self.write(|tx, now| {
            let moved = tx.execute(
                "INSERT INTO messages (id, body, sent_at_ms, since_ms, visible_at_ms)
                 SELECT id, body, sent_at_ms, ?2, ?2 FROM dead WHERE ?1 IS NULL OR id = ?1 ORDER BY seq",
                params![one, now],
            )?;
            tx.execute("DELETE FROM dead WHERE ?1 IS NULL OR id = ?1", [one])?;
            Ok(u64::try_from(moved).unwrap_or(u64::MAX))
        })
    }
}

/// Moves a message to the dead letters.
pub(super) fn bury(
    tx: &Transaction<'_>,
    seq: i64,
    now: i64,
    reason: &str,
    detail: &str,
) -> rusqlite::Result<()> {
    tx.execute(
        "INSERT INTO dead (id, body, sent_at_ms, receive_count, reason, detail, dead_at_ms)
         SELECT id, body, sent_at_ms, receive_count, ?2, ?3, ?4 FROM messages WHERE seq = ?1",
        params![seq, reason, detail, now],
    )?;
    tx.execute("DELETE FROM messages WHERE seq = ?1", [seq])?;
    Ok(())
}
