//! Watches the masters folder and enqueues each complete master once.

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use notify::event::{AccessKind, AccessMode, CreateKind, EventKind, ModifyKind, RenameMode};
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use reelpool_protocol::job::printable;
use reelpool_protocol::{Ladder, Profile};
use reelpool_spool::{Queue, Sent};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant as TokioInstant;

pub mod enqueue;
pub mod settle;
pub mod walk;

pub use enqueue::source;
use enqueue::{EnqueueError, enqueue};
use settle::{Notice, Settling};
use walk::{Folder, Named};

/// How often the whole folder is looked at, for what the watch cannot notice (writers on other machines).
const LOOK_AT_ALL_EVERY: Duration = Duration::from_secs(15);
/// The same, when the folder cannot be watched at all.
const LOOK_AT_ALL_UNWATCHED: Duration = Duration::from_secs(2);
/// How long a failed send waits before it is tried again.
const SEND_AGAIN_AFTER: Duration = Duration::from_secs(2);
/// Masters that arrive together are enqueued together, so that the fleet grows for all of them in one decision.
const GATHER: Duration = Duration::from_millis(200);
/// For how long notices are gathered before they are taken.
const TAKE_TOGETHER: Duration = Duration::from_millis(50);
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
    /// How many masters are refused, each with a warning: for their name or their ladder file.
    pub refused: usize,
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

/// What is made of masters that say nothing; the workers have it from their command line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Defaults {
    /// The renditions.
    pub ladder: Ladder,
    /// How they are made.
    pub profile: Profile,
}

/// Starts to watch `folder` and to enqueue into `queue`.
#[must_use]
pub fn start(folder: Folder, queue: Arc<Queue>, defaults: Defaults) -> MastersWatch {
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
        defaults,
        files: Settling::new(closing_is_told),
        started: Instant::now(),
        state: MastersState::default(),
        state_in,
        warned: HashSet::new(),
        open: BTreeSet::new(),
        bad_ladders: BTreeSet::new(),
        unusable: 0,
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
    defaults: Defaults,
    files: Settling,
    started: Instant,
    state: MastersState,
    state_in: watch::Sender<MastersState>,
    warned: HashSet<PathBuf>,
    /// The masters that were being written when all were last looked at.
    open: BTreeSet<String>,
    /// The masters whose ladder files cannot be used.
    bad_ladders: BTreeSet<String>,
    /// How many files could not be masters when all were last looked at.
    unusable: usize,
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
                self.tell_open();
            }
            let more = self.enqueue_complete().await;
            let awaited = self.files.unsettled();
            let quiet = looked && awaited == 0 && notices.is_empty() && !lost.load(Ordering::SeqCst);
            let refused = self.bad_ladders.len() + self.unusable;
            self.state = MastersState { settled: quiet, awaited, refused, ..self.state };
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
                    // A writer makes many notices: they are taken together.
                    tokio::time::sleep(TAKE_TOGETHER).await;
                    look_again |= next.is_none_or(|next| self.take(next));
                }
            }
        }
    }

    /// Tells which masters are waited for because someone is writing them, each once: without a word a run that is to
    /// end when all is done would seem to hang.
    fn tell_open(&mut self) {
        let open: BTreeSet<String> = self.files.open().map(str::to_owned).collect();
        for key in open.difference(&self.open) {
            tracing::info!("waiting for {}: it is still being written", printable(key));
        }
        self.open = open;
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
        let keys = walk::keys(&found);
        self.files.only(&keys);
        self.bad_ladders.retain(|key| keys.contains(key));
        self.unusable = found.unusable.len();
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
        let defaults = self.defaults.clone();
        let sent = tokio::task::spawn_blocking(move || {
            complete
                .into_iter()
                .map(|(key, version)| {
                    let sent = enqueue(&folder, &queue, &key, &version, &defaults);
                    (key, version, sent)
                })
                .collect::<Vec<_>>()
        });
        for (key, version, sent) in sent.await.unwrap_or_default() {
            match sent {
                Ok(sent) => {
                    self.bad_ladders.remove(&key);
                    if let Sent::New(_) = sent {
                        self.state.enqueued += 1;
                        tracing::info!(master = %printable(&key), bytes = version.size, "enqueued");
                    }
                    self.files.settle(&key, version);
                }
                Err(EnqueueError::Ladder(error)) => {
                    self.bad_ladders.insert(key.clone());
                    tracing::warn!(
                        "{} is not enqueued: {error}: write its ladder as 720p,480p",
                        printable(&key)
                    );
                    self.files.settle(&key, version);
                }
                Err(EnqueueError::Queue(error)) => {
                    if self.send_failed.is_none() {
                        tracing::warn!(
                            "{} could not be enqueued ({error}): it is tried again",
                            printable(&key)
                        );
                    }
                    self.send_failed = Some(self.now() + SEND_AGAIN_AFTER);
                }
            }
        }
        full && self.send_failed.is_none()
    }
}

#[cfg(test)]
#[path = "watch_tests.rs"]
mod tests;
