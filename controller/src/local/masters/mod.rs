//! Watches the masters folder and enqueues each complete master once.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use notify::event::{AccessKind, AccessMode, CreateKind, EventKind, ModifyKind, RenameMode};
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use reelpool_protocol::message::{job_message, s3_event};
use reelpool_protocol::{JobRequest, Source};
use reelpool_spool::{Queue, Sent, SpoolError};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant as TokioInstant;

pub mod settle;
pub mod walk;

use settle::{Notice, Settling, Version};
use walk::{Folder, Named};

/// The bucket name that stands for the masters folder in messages.
pub const BUCKET: &str = "masters";

/// How often the whole folder is looked at, for what the watch cannot notice (writers on other machines).
const LOOK_AT_ALL_EVERY: Duration = Duration::from_secs(15);
/// The same, when the folder cannot be watched at all.
const LOOK_AT_ALL_UNWATCHED: Duration = Duration::from_secs(2);
/// How long a failed send waits before it is tried again.
const SEND_AGAIN_AFTER: Duration = Duration::from_secs(2);
/// Masters that arrive together are enqueued together, so that the fleet grows for all of them in one decision.
const GATHER: Duration = Duration::from_millis(200);
/// How many notices may wait; when there are more, the folder is looked at instead.
const NOTICES: usize = 8192;
/// How many masters are enqueued before notices are read again.
const BATCH: usize = 256;
/// So long before the first look the clock of [`settle`] starts.
const CLOCK_STARTS_AT: Duration = Duration::from_secs(3600);

/// Where the watch is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MastersState {
    /// Whether the whole folder has been looked at and every master in it was enqueued or refused.
    pub settled: bool,
    /// How many masters this run has enqueued.
    pub enqueued: u64,
    /// How many files are still being written, or have not been quiet for long enough.
    pub awaited: usize,
    /// How many masters were refused with a warning.
    pub refused: u64,
}

/// A watch that runs; dropping it ends it. What it was enqueuing is enqueued or not, never half.
#[derive(Debug)]
pub struct MastersWatch {
    /// Changes with everything that is enqueued or settled.
    pub state: watch::Receiver<MastersState>,
    task: JoinHandle<()>,
}

impl Drop for MastersWatch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Something noticed in the folder.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Noticed {
    /// This happened to the file.
    File(PathBuf, Notice),
    /// Something happened to the path: look at it.
    Look(PathBuf),
    /// Look at everything.
    LookAtAll,
}

/// Starts to watch `folder` and to enqueue into `queue`.
#[must_use]
pub fn start(folder: Folder, queue: Arc<Queue>) -> MastersWatch {
    let (notices_in, notices) = mpsc::channel(NOTICES);
    let lost = Arc::new(AtomicBool::new(false));
    let watcher = watcher(&folder.root, notices_in, Arc::clone(&lost));
    let watcher = watcher
        .inspect_err(|error| {
            tracing::warn!(
                "the masters folder {} cannot be watched ({error}): it is looked at every {LOOK_AT_ALL_UNWATCHED:?}",
                folder.root.display()
            );
        })
        .ok();
    let (state_in, state) = watch::channel(MastersState::default());
    let closing_is_told = watcher.is_some() && cfg!(target_os = "linux");
    let work = Work {
        folder: Arc::new(folder),
        queue,
        files: Settling::new(closing_is_told),
        started: Instant::now(),
        state: MastersState::default(),
        state_in,
        warned: HashSet::new(),
        send_failed: None,
    };
    let task = tokio::spawn(work.run(notices, lost, watcher));
    MastersWatch { state, task }
}

fn watcher(
    root: &Path,
    notices: mpsc::Sender<Noticed>,
    lost: Arc<AtomicBool>,
) -> notify::Result<RecommendedWatcher> {
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        let found = match event {
            Ok(event) if event.need_rescan() => {
                lost.store(true, Ordering::SeqCst);
                vec![Noticed::LookAtAll]
            }
            Ok(event) => read_event(event),
            Err(_) => {
                lost.store(true, Ordering::SeqCst);
                vec![Noticed::LookAtAll]
            }
        };
        for found in found {
            if notices.try_send(found).is_err() {
                lost.store(true, Ordering::SeqCst);
            }
        }
    })?;
    watcher.watch(root, RecursiveMode::Recursive)?;
    Ok(watcher)
}

/// What an event of the file system means here.
fn read_event(event: notify::Event) -> Vec<Noticed> {
    let notice = match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => Some(Notice::Closed),
        EventKind::Modify(ModifyKind::Name(RenameMode::To)) => Some(Notice::MovedIn),
        EventKind::Modify(ModifyKind::Data(_) | ModifyKind::Any) => Some(Notice::Written),
        EventKind::Create(CreateKind::File | CreateKind::Any) => Some(Notice::Created),
        // What was put into a folder before the watch reached into it went unnoticed.
        EventKind::Create(_) | EventKind::Any | EventKind::Other => return vec![Noticed::LookAtAll],
        // Told once as from and once as to.
        EventKind::Modify(ModifyKind::Name(RenameMode::Both)) | EventKind::Access(_) => return Vec::new(),
        EventKind::Modify(_) | EventKind::Remove(_) => None,
    };
    event
        .paths
        .into_iter()
        .map(|path| {
            notice.map_or_else(|| Noticed::Look(path.clone()), |notice| Noticed::File(path.clone(), notice))
        })
        .collect()
}

struct Work {
    folder: Arc<Folder>,
    queue: Arc<Queue>,
    files: Settling,
    started: Instant,
    state: MastersState,
    state_in: watch::Sender<MastersState>,
    warned: HashSet<PathBuf>,
    /// When to send again after a send has failed.
    send_failed: Option<Duration>,
}

impl Work {
    fn now(&self) -> Duration {
        CLOCK_STARTS_AT + self.started.elapsed()
    }

    async fn run(
        mut self,
        mut notices: mpsc::Receiver<Noticed>,
        lost: Arc<AtomicBool>,
        watcher: Option<RecommendedWatcher>,
    ) {
        let look_every = if watcher.is_some() { LOOK_AT_ALL_EVERY } else { LOOK_AT_ALL_UNWATCHED };
        let mut look_again = true;
        let mut looked = false;
        let mut next_look = self.now();
        loop {
            if lost.swap(false, Ordering::SeqCst) {
                self.files.lost(self.now());
                look_again = true;
            }
            while let Ok(noticed) = notices.try_recv() {
                look_again |= self.take(noticed);
            }
            if look_again || self.now() >= next_look {
                look_again = false;
                looked |= self.look_at_all().await;
                next_look = self.now() + look_every;
            }
            let more = self.enqueue_complete().await;
            let awaited = self.files.unsettled();
            let quiet = looked && awaited == 0 && notices.is_empty() && !lost.load(Ordering::SeqCst);
            self.state = MastersState { settled: quiet, awaited, ..self.state };
            self.state_in.send_if_modified(|state| std::mem::replace(state, self.state) != self.state);
            if more {
                continue;
            }
            let wake = self.files.next().map_or(next_look, |first| next_look.min(first + GATHER));
            // After a failed send what is due stays due: it must not be tried in a busy loop.
            let wake = self.send_failed.map_or(wake, |at| wake.max(at));
            let wake = TokioInstant::from_std(self.started + wake.saturating_sub(CLOCK_STARTS_AT));
            tokio::select! {
                () = tokio::time::sleep_until(wake) => {}
                next = notices.recv(), if watcher.is_some() => {
                    look_again |= next.is_none_or(|next| self.take(next));
                }
            }
        }
    }

    /// Takes what was noticed; returns whether everything must be looked at.
    fn take(&mut self, noticed: Noticed) -> bool {
        let now = self.now();
        let (path, notice) = match noticed {
            Noticed::LookAtAll => return true,
            Noticed::Look(path) => (path, None),
            Noticed::File(path, notice) => (path, Some(notice)),
        };
        match (self.folder.name(&path), notice) {
            (Named::Master(key), Some(notice)) => {
                // A folder that was moved in brings files of which no notice tells.
                if notice == Notice::MovedIn && path.is_dir() {
                    return true;
                }
                self.files.notice(&key, notice, now);
            }
            (Named::Master(key) | Named::LadderOf(key), _) => match self.folder.look(&key) {
                Some(seen) => self.files.look(&key, seen, now),
                // Gone, or a folder with all that was in it.
                None if notice.is_none() => {
                    self.files.gone(&key);
                    return true;
                }
                None => {}
            },
            (Named::Unusable(why), _) => self.warn_unusable(&path, why),
            (Named::Other, _) => {}
        }
        false
    }

    fn warn_unusable(&mut self, path: &Path, why: &'static str) {
        if self.warned.insert(path.to_path_buf()) {
            self.state.refused += 1;
            tracing::warn!("{} is not taken as a master: {why}: rename it", path.display());
        }
    }

    async fn look_at_all(&mut self) -> bool {
        let folder = Arc::clone(&self.folder);
        let found = match tokio::task::spawn_blocking(move || folder.look_at_all()).await {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => {
                tracing::warn!(
                    "the masters folder {} cannot be read ({error}): it is tried again",
                    self.folder.root.display()
                );
                return false;
            }
            Err(_) => return false,
        };
        let now = self.now();
        self.files.only(&walk::keys(&found));
        for (key, seen) in found.masters {
            self.files.look(&key, seen, now);
        }
        for (path, why) in found.unusable {
            self.warn_unusable(&path, why);
        }
        true
    }

    /// Enqueues what is complete; returns whether there may be more at once.
    async fn enqueue_complete(&mut self) -> bool {
        if self.files.next().is_none_or(|first| self.now() < first + GATHER) {
            return false;
        }
        let due = self.files.due(self.now(), BATCH);
        if due.is_empty() || self.send_failed.is_some_and(|at| self.now() < at) {
            return false;
        }
        self.send_failed = None;
        let full = due.len() == BATCH;
        let folder = Arc::clone(&self.folder);
        let looked = tokio::task::spawn_blocking(move || {
            due.into_iter().map(|key| (folder.look(&key), key)).collect::<Vec<_>>()
        });
        let Ok(looked) = looked.await else { return false };
        let now = self.now();
        let mut complete = Vec::new();
        for (seen, key) in looked {
            match seen {
                Some(seen) => self.files.look(&key, seen, now),
                None => self.files.gone(&key),
            }
            if let Some(version) = self.files.complete(&key, now) {
                complete.push((key, version.clone()));
            }
        }
        let (folder, queue) = (Arc::clone(&self.folder), Arc::clone(&self.queue));
        let sent = tokio::task::spawn_blocking(move || {
            complete
                .into_iter()
                .map(|(key, version)| {
                    let sent = enqueue(&folder, &queue, &key, &version);
                    (key, version, sent)
                })
                .collect::<Vec<_>>()
        });
        for (key, version, sent) in sent.await.unwrap_or_default() {
            match sent {
                Ok(sent) => {
                    if let Sent::New(_) = sent {
                        self.state.enqueued += 1;
                        tracing::info!(master = %key, bytes = version.size, "enqueued");
                    }
                    self.files.settle(&key, version);
                }
                Err(EnqueueError::Ladder(error)) => {
                    self.state.refused += 1;
                    tracing::warn!("{key} is not enqueued: {error}: write its ladder as 720p,480p");
                    self.files.settle(&key, version);
                }
                Err(EnqueueError::Queue(error)) => {
                    if self.send_failed.is_none() {
                        tracing::warn!("{key} could not be enqueued ({error}): it is tried again");
                    }
                    self.send_failed = Some(self.now() + SEND_AGAIN_AFTER);
                }
            }
        }
        full && self.send_failed.is_none()
    }
}

#[derive(Debug, thiserror::Error)]
enum EnqueueError {
    #[error(transparent)]
    Ladder(#[from] walk::LadderFileError),
    #[error(transparent)]
    Queue(#[from] SpoolError),
}

/// Sends the master's event, unless it was sent before: by this run or by an earlier one.
fn enqueue(folder: &Folder, queue: &Queue, key: &str, version: &Version) -> Result<Sent, EnqueueError> {
    let source = source(key, version);
    let ladder = version.ladder.as_ref().map(|_| folder.ladder(key)).transpose()?;
    // Length first, so that no two masters give the same identity.
    let identity = format!("{BUCKET}/{}:{key}/{}", key.len(), version.etag);
    let (identity, body) = match ladder {
        None => (identity, s3_event(&source, &rfc3339(SystemTime::now()))),
        Some(ladder) => {
            (format!("{identity}/{ladder}"), job_message(&JobRequest { source, ladder: Some(ladder) }))
        }
    };
    Ok(queue.send_once(&identity, &body, Duration::ZERO)?)
}

/// The master as messages name it.
#[must_use]
pub fn source(key: &str, version: &Version) -> Source {
    Source {
        bucket: BUCKET.to_owned(),
        key: key.to_owned(),
        version: None,
        etag: Some(version.etag.clone()),
        size: Some(version.size),
    }
}

/// A time as AWS writes it, `2026-01-31T12:00:00.000Z`. The calendar is from "chrono-Compatible Low-Level Date
/// Algorithms" by Howard Hinnant (`civil_from_days`).
fn rfc3339(at: SystemTime) -> String {
    let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let (days, seconds) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let z = days + 719_468;
    let (era, day_of_era) = (z / 146_097, z % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second, milli) =
        (seconds / 3600, seconds / 60 % 60, seconds % 60, since.subsec_millis());
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
}

#[cfg(test)]
#[path = "watch_tests.rs"]
mod tests;
