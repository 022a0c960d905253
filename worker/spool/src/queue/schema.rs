//! The database: opened, made, and known by its version.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use crate::SpoolError;

/// The version of the schema below, kept in the database's `user_version`.
pub(super) const VERSION: i64 = 1;
/// Says in the file's header that it is Reelpool's: "Reel" in ASCII.
const APPLICATION_ID: i64 = 0x5265_656c;
/// For how long a process waits for others' writes. Each takes milliseconds; a slow disk takes longer.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

/// `receipt` is null until the first receive. `since_ms` is when `visible_at_ms` was set: were it in the future, the
/// clock has been set back since.
const TABLES: &str = "
CREATE TABLE messages (
    seq           INTEGER PRIMARY KEY AUTOINCREMENT,
    id            TEXT    NOT NULL UNIQUE,
    body          TEXT    NOT NULL,
    sent_at_ms    INTEGER NOT NULL,
    since_ms      INTEGER NOT NULL,
    visible_at_ms INTEGER NOT NULL,
    receive_count INTEGER NOT NULL DEFAULT 0,
    receipt       TEXT
) STRICT;
CREATE INDEX messages_by_visibility ON messages (visible_at_ms);
CREATE INDEX messages_by_since ON messages (since_ms);
CREATE TABLE dead (
    seq           INTEGER PRIMARY KEY AUTOINCREMENT,
    id            TEXT    NOT NULL UNIQUE,
    body          TEXT    NOT NULL,
    sent_at_ms    INTEGER NOT NULL,
    receive_count INTEGER NOT NULL,
    reason        TEXT    NOT NULL,
    detail        TEXT    NOT NULL,
    dead_at_ms    INTEGER NOT NULL
) STRICT;
CREATE TABLE identities (
    identity      TEXT    PRIMARY KEY,
    message       TEXT    NOT NULL,
    sent_at_ms    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
";

/// Opens the database at `path`; makes it when it is not there and `create` says so.
pub(super) fn open(path: &Path, create: bool) -> Result<Connection, SpoolError> {
    let deadline = Instant::now() + BUSY_TIMEOUT;
    loop {
        match try_open(path, create) {
            // The change to the write-ahead log does not wait for others by itself.
            Err(SpoolError::Busy { .. }) if Instant::now() < deadline => {
                thread::sleep(Duration::from_millis(fastrand::u64(5..25)));
            }
            result => return result,
        }
    }
}

fn try_open(path: &Path, create: bool) -> Result<Connection, SpoolError> {
    let failed = |source| SpoolError::sqlite(path, source);
    let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    flags.set(OpenFlags::SQLITE_OPEN_CREATE, create);
    let mut connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(failed)?;
    // Before anything is written: is it ours, and not from the future?
    check_owner(&connection, path)?;
    let mode: String = connection.query_row("PRAGMA journal_mode", [], |row| row.get(0)).map_err(failed)?;
    if mode != "wal" {
        connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(())).map_err(failed)?;
    }
    prepare(&mut connection, path)?;
    Ok(connection)
}

/// Sets up an open connection and makes the tables when there are none.
pub(super) fn prepare(connection: &mut Connection, path: &Path) -> Result<(), SpoolError> {
    let failed = |source| SpoolError::sqlite(path, source);
    // FULL: a commit that has returned survives a power cut.
    connection.pragma_update(None, "synchronous", "FULL").map_err(failed)?;
    if version(connection).map_err(failed)? == VERSION {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
    // Another process may have made them meanwhile.
    match version(&transaction).map_err(failed)? {
        0 => {
            transaction.execute_batch(TABLES).map_err(failed)?;
            transaction.pragma_update(None, "application_id", APPLICATION_ID).map_err(failed)?;
            transaction.pragma_update(None, "user_version", VERSION).map_err(failed)?;
            transaction.commit().map_err(failed)
        }
        VERSION => Ok(()),
        found => Err(SpoolError::NewerSchema { path: path.to_owned(), found, supported: VERSION }),
    }
}

fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// Refuses a database of something else, and one that a newer Reelpool has changed.
fn check_owner(connection: &Connection, path: &Path) -> Result<(), SpoolError> {
    // One statement, so one moment: another process may be making the tables.
    let (owner, found, tables) = connection
        .query_row(
            "SELECT (SELECT application_id FROM pragma_application_id), (SELECT user_version FROM pragma_user_version),
                    (SELECT count(*) FROM sqlite_schema)",
            [],
            |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?)),
        )
        .map_err(|source| match source.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => SpoolError::NotAQueue { path: path.to_owned() },
            _ => SpoolError::sqlite(path, source),
        })?;
    match (owner, found, tables) {
        (0, 0, 0) => Ok(()),
        (APPLICATION_ID, found, _) if found > VERSION => {
            Err(SpoolError::NewerSchema { path: path.to_owned(), found, supported: VERSION })
        }
        (APPLICATION_ID, _, _) => Ok(()),
        _ => Err(SpoolError::NotAQueue { path: path.to_owned() }),
    }
}
