//! When is a master complete? A pure state machine, told what is noticed and what is seen, and the time of each.
//!
//! Writers do not say when they are done, so it is read from what they do:
//! - **moved in**: complete at once, the usual way to put a whole file somewhere;
//! - **closed** after it was written: complete when it then stays unchanged for [`QUIET_AFTER_CLOSE`] (some writers
//!   close and open again);
//! - **being written**: not complete, however long the writer pauses, until it is closed;
//! - **found** (when watching began, or after notices were lost): complete when it is unchanged for
//!   [`QUIET_WHEN_FOUND`], by the file system's own record of its last change.
//!
//! Times are counted from any moment that lies more than [`QUIET_WHEN_FOUND`] before the first call.

use std::collections::BTreeMap;
use std::time::Duration;

/// For how long a closed file must stay unchanged.
pub const QUIET_AFTER_CLOSE: Duration = Duration::from_secs(1);
/// For how long a file must be unchanged of which it is not known how it came there.
pub const QUIET_WHEN_FOUND: Duration = Duration::from_secs(3);

/// What the watch noticed of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// It was moved to this name.
    MovedIn,
    /// It appeared; nothing was written yet.
    Created,
    /// It was written to.
    Written,
    /// A writer closed it.
    Closed,
}

/// One version of a master, and of the ladder file beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// The master's entity tag.
    pub etag: String,
    /// Its size in bytes.
    pub size: u64,
    /// The entity tag of the ladder file, when there is one.
    pub ladder: Option<String>,
}

/// What a look at the file saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The version there.
    pub version: Version,
    /// For how long it has been unchanged by the file system's own record, when that can be believed.
    pub unchanged_for: Duration,
}

/// How a file came to be what it is, as far as is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    Found,
    MovedIn,
    Created,
    Writing,
    Closed,
}

#[derive(Debug, Clone)]
struct File {
    origin: Origin,
    /// The version last seen; `None` after a notice, until the next look.
    seen: Option<Version>,
    /// Since when it has been unchanged.
    quiet_since: Duration,
    /// The version that was enqueued, or refused with a warning.
    settled: Option<Version>,
}

impl File {
    /// From when on it counts as complete, if nothing more happens; `None`: something more must happen.
    fn complete_at(&self, closing_is_told: bool) -> Option<Duration> {
        let found = self.quiet_since.saturating_add(QUIET_WHEN_FOUND);
        match self.origin {
            Origin::MovedIn => Some(self.quiet_since),
            Origin::Closed => Some(self.quiet_since.saturating_add(QUIET_AFTER_CLOSE)),
            Origin::Found => Some(found),
            // A hard link is created whole: there will be no write and no close. An empty file awaits its writer.
            Origin::Created => {
                let empty = self.seen.as_ref().is_some_and(|seen| seen.size == 0);
                (!empty || !closing_is_told).then_some(found)
            }
            Origin::Writing => (!closing_is_told).then_some(found),
        }
    }

    fn is_settled(&self) -> bool {
        self.seen.is_some() && self.seen == self.settled
    }
}

/// All files of the masters folder, by key.
#[derive(Debug, Clone)]
pub struct Settling {
    files: BTreeMap<String, File>,
    closing_is_told: bool,
}

impl Settling {
    /// No files yet. `closing_is_told`: whether the watch notices that a writer has closed its file.
    #[must_use]
    pub fn new(closing_is_told: bool) -> Self {
        Self { files: BTreeMap::new(), closing_is_told }
    }

    /// Takes a notice.
    pub fn notice(&mut self, key: &str, notice: Notice, now: Duration) {
        let origin = match notice {
            Notice::MovedIn => Origin::MovedIn,
            Notice::Created => Origin::Created,
            Notice::Written => Origin::Writing,
            Notice::Closed => Origin::Closed,
        };
        let settled = self.files.remove(key).and_then(|file| file.settled);
        let file = File { origin, seen: None, quiet_since: now, settled };
        self.files.insert(key.to_owned(), file);
    }

    /// Takes a look: the file is there, like this.
    pub fn look(&mut self, key: &str, seen: Seen, now: Duration) {
        let unchanged_since = now.saturating_sub(seen.unchanged_for);
        let Some(file) = self.files.get_mut(key) else {
            let file = File {
                origin: Origin::Found,
                seen: Some(seen.version),
                quiet_since: unchanged_since,
                settled: None,
            };
            self.files.insert(key.to_owned(), file);
            return;
        };
        match &file.seen {
            None => file.seen = Some(seen.version),
            Some(before) if *before == seen.version => {}
            Some(_) => {
                // It changed and no notice told so: only silence can tell when it is complete.
                if file.origin != Origin::Writing {
                    file.origin = Origin::Found;
                }
                file.seen = Some(seen.version);
                file.quiet_since = unchanged_since;
            }
        }
    }

    /// Takes a look that found no file of this key.
    pub fn gone(&mut self, key: &str) {
        self.files.remove(key);
    }

    /// Takes the end of a look at the whole folder: files not among `keys` are gone.
    pub fn only(&mut self, keys: &std::collections::BTreeSet<String>) {
        self.files.retain(|key, _| keys.contains(key));
    }

    /// Notices were lost: what is not settled may have been written or closed unnoticed.
    pub fn lost(&mut self, now: Duration) {
        for file in self.files.values_mut().filter(|file| !file.is_settled()) {
            file.origin = Origin::Found;
            file.quiet_since = now;
        }
    }

    /// The keys that count as complete at `now` if one more look sees them unchanged, at most `limit`.
    #[must_use]
    pub fn due(&self, now: Duration, limit: usize) -> Vec<String> {
        let due = self.files.iter().filter(|(_, file)| {
            !file.is_settled() && file.complete_at(self.closing_is_told).is_some_and(|at| at <= now)
        });
        due.map(|(key, _)| key.clone()).take(limit).collect()
    }

    /// The version of `key`, when it is complete at `now`; to be asked right after a look.
    #[must_use]
    pub fn complete(&self, key: &str, now: Duration) -> Option<&Version> {
        let file = self.files.get(key)?;
        let complete =
            !file.is_settled() && file.complete_at(self.closing_is_told).is_some_and(|at| at <= now);
        file.seen.as_ref().filter(|_| complete)
    }

    /// The version of `key` has been dealt with; another version of it will be a new master.
    pub fn settle(&mut self, key: &str, version: Version) {
        if let Some(file) = self.files.get_mut(key) {
            file.settled = Some(version);
        }
    }

    /// When to look at the next file; `None`: nothing is awaited.
    #[must_use]
    pub fn next(&self) -> Option<Duration> {
        let open = self.files.values().filter(|file| !file.is_settled());
        open.filter_map(|file| file.complete_at(self.closing_is_told)).min()
    }

    /// The keys of the files that are still being written, as far as is known.
    pub fn open(&self) -> impl Iterator<Item = &str> {
        let open = self
            .files
            .iter()
            .filter(|(_, file)| !file.is_settled() && file.complete_at(self.closing_is_told).is_none());
        open.map(|(key, _)| key.as_str())
    }

    /// How many files are not dealt with yet, those that are still being written included.
    #[must_use]
    pub fn unsettled(&self) -> usize {
        self.files.values().filter(|file| !file.is_settled()).count()
    }
}

#[cfg(test)]
#[path = "settle_tests.rs"]
mod tests;
