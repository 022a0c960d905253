//! Scratch folders: one for each worker, locked while the worker lives, removed by whoever comes after it.
//!
//! A folder is a worker's only if it has the lock file [`MARK`] in it; nothing else is ever removed, so that a wrong
//! path given on the command line costs nobody any files.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::SpoolError;
use crate::durable::make_dirs;

/// The lock file that makes a folder a worker's scratch.
pub const MARK: &str = ".reelpool-scratch";
/// For how long a claim waits for another claim or a sweep that has the folder in hand.
const PATIENCE: Duration = Duration::from_secs(1);

/// A worker's scratch folder; removed with all that is in it when dropped.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    lock: File,
}

/// The scratch folder of one attempt; removed with all that is in it when dropped.
#[derive(Debug)]
pub struct AttemptDir {
    path: PathBuf,
}

impl Scratch {
    /// Makes `root/<worker_id>` this worker's own and empties it of what a dead worker of the same id left there.
    ///
    /// [`SpoolError::ScratchInUse`] when a living worker has it, [`SpoolError::NotScratch`] when the folder has
    /// content and no mark, [`SpoolError::Key`] when the id is no plain name.
    pub fn claim(root: &Path, worker_id: &str) -> Result<Self, SpoolError> {
        let path = root.join(plain(worker_id)?);
        let failed = |source| SpoolError::io("claim", &path, source);
        let deadline = Instant::now() + PATIENCE;
        loop {
            let claim = match make_dirs(&path) {
                Err(error) if error.kind() == ErrorKind::NotFound => Claim::Gone,
                result => result.and_then(|()| try_claim(&path)).map_err(failed)?,
            };
            let late = Instant::now() >= deadline;
            match claim {
                Claim::Locked(lock) => {
                    empty(&path).map_err(failed)?;
                    return Ok(Self { path, lock });
                }
                Claim::Foreign if late => return Err(SpoolError::NotScratch { path }),
                Claim::Busy | Claim::Gone if late => return Err(SpoolError::ScratchInUse { path }),
                // Another claim or a sweep has it in hand; each look is of one moment only, so look again.
                Claim::Foreign | Claim::Busy | Claim::Gone => thread::sleep(Duration::from_millis(5)),
            }
        }
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes a new, empty folder for an attempt. [`SpoolError::Key`] when its name is no plain name.
    pub fn attempt_dir(&self, attempt: &str) -> Result<AttemptDir, SpoolError> {
        let path = self.path.join(plain(attempt)?);
        fs::create_dir(&path).map_err(|source| SpoolError::io("create", &path, source))?;
        Ok(AttemptDir { path })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = remove(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "the scratch folder could not be removed");
        }
        // By hand: a child in the middle of being started may still have a copy of the descriptor.
        let _ = self.lock.unlock();
    }
}

impl AttemptDir {
    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for AttemptDir {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "an attempt's folder could not be removed");
        }
    }
}

/// Removes the scratch folders of dead workers below `root`. Returns how many. Folders of living workers, folders
/// without [`MARK`] and files are left alone; a root that is not there has none.
pub fn sweep(root: &Path) -> Result<usize, SpoolError> {
    let failed = |source| SpoolError::io("sweep", root, source);
    let entries = match fs::read_dir(root) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(0),
        result => result.map_err(failed)?,
    };
    let mut swept = 0;
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        match sweep_one(&path) {
            Ok(removed) => swept += usize::from(removed),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "a dead worker's scratch could not be removed");
            }
        }
    }
    Ok(swept)
}

fn sweep_one(path: &Path) -> io::Result<bool> {
    let lock = match File::open(path.join(MARK)) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(false);
        }
        result => result?,
    };
    match lock.try_lock() {
        Ok(()) if is_at(&lock, &path.join(MARK))? => {}
        Ok(()) | Err(TryLockError::WouldBlock) => return Ok(false),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    remove(path)?;
    lock.unlock()?;
    Ok(true)
}

enum Claim {
    Locked(File),
    Busy,
    Gone,
    Foreign,
}

fn try_claim(path: &Path) -> io::Result<Claim> {
    let mark = path.join(MARK);
    let opened = OpenOptions::new().read(true).write(true).open(&mark);
    let lock = match opened {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            match fs::read_dir(path).map(|mut entries| entries.next().is_some()) {
                // Not empty, unless another claim made the mark just now.
                Ok(true) if !mark.try_exists()? => return Ok(Claim::Foreign),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Claim::Gone),
                Err(error) => return Err(error),
            }
            match OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&mark) {
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Claim::Gone),
                result => result?,
            }
        }
        result => result?,
    };
    match lock.try_lock() {
        // The file may have been removed before it was locked: then the lock holds nothing.
        Ok(()) if is_at(&lock, &mark)? => Ok(Claim::Locked(lock)),
        Ok(()) => Ok(Claim::Gone),
        Err(TryLockError::WouldBlock) => Ok(Claim::Busy),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Whether the open file is what the path names.
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let opened = file.metadata()?;
    match fs::metadata(path) {
        Ok(named) => Ok((named.dev(), named.ino()) == (opened.dev(), opened.ino())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Removes all in a scratch folder but the mark, by whose lock the caller holds it.
fn empty(path: &Path) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_name() == MARK {
            continue;
        }
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Removes a scratch folder; the mark goes last, so that a sweep that is killed can be done again.
fn remove(path: &Path) -> io::Result<()> {
    empty(path)?;
    fs::remove_file(path.join(MARK))?;
    // A claim of the same id may have come in between: then the folder is its own.
    let _ = fs::remove_dir(path);
    Ok(())
}

/// A name that is one folder below another, whatever it is joined to.
fn plain(name: &str) -> Result<&str, SpoolError> {
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || name.len() > 128 || name.starts_with('.') || !name.chars().all(fine) {
        let problem = "a worker's or attempt's id is made of up to 128 letters, digits, `-`, `_` and `.`, not first a dot";
        return Err(SpoolError::Key { key: name.escape_debug().to_string(), problem });
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn a_claim_is_exclusive_and_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("scratch");
        let scratch = Scratch::claim(&root, "w1").unwrap();
        assert!(matches!(Scratch::claim(&root, "w1"), Err(SpoolError::ScratchInUse { .. })));
        let attempt = scratch.attempt_dir("a1").unwrap();
        fs::write(attempt.path().join("big"), b"x").unwrap();
        let attempt_path = attempt.path().to_owned();
        drop(attempt);
        assert!(!attempt_path.exists());
        let path = scratch.path().to_owned();
        fs::write(path.join("loose"), b"x").unwrap();
        drop(scratch);
        assert!(!path.exists());
        drop(Scratch::claim(&root, "w1").unwrap());
    }

    #[test]
    fn what_a_dead_worker_left_is_gone_after_a_claim() {
        let dir = tempfile::tempdir().unwrap();
        let left = dir.path().join("w1");
        fs::create_dir_all(left.join("attempt/deep")).unwrap();
        fs::write(left.join(MARK), b"").unwrap();
        fs::write(left.join("attempt/deep/file"), b"x").unwrap();
        let scratch = Scratch::claim(dir.path(), "w1").unwrap();
        let names: Vec<_> = fs::read_dir(scratch.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names, [MARK]);
    }

    #[test]
    fn a_sweep_takes_dead_workers_only() {
        let dir = tempfile::tempdir().unwrap();
        let living = Scratch::claim(dir.path(), "living").unwrap();
        fs::create_dir_all(dir.path().join("dead/attempt")).unwrap();
        fs::write(dir.path().join("dead").join(MARK), b"").unwrap();
        fs::create_dir_all(dir.path().join("foreign")).unwrap();
        fs::write(dir.path().join("foreign/thesis.txt"), b"x").unwrap();
        fs::write(dir.path().join("file"), b"x").unwrap();
        assert_eq!(sweep(dir.path()).unwrap(), 1);
        assert!(living.path().join(MARK).exists());
        assert!(!dir.path().join("dead").exists());
        assert!(dir.path().join("foreign/thesis.txt").exists());
        assert!(dir.path().join("file").exists());
        assert_eq!(sweep(&dir.path().join("none")).unwrap(), 0);
    }

    #[test]
    fn a_folder_of_something_else_is_not_touched() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("bob")).unwrap();
        fs::write(dir.path().join("bob/thesis.txt"), b"x").unwrap();
        assert!(matches!(Scratch::claim(dir.path(), "bob"), Err(SpoolError::NotScratch { .. })));
        assert!(dir.path().join("bob/thesis.txt").exists());
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["", ".", "..", "a/b", "/etc", ".hidden", "a\0b", &"x".repeat(129)] {
            assert!(matches!(Scratch::claim(dir.path(), name), Err(SpoolError::Key { .. })), "{name:?}");
        }
        let scratch = Scratch::claim(dir.path(), "host-1.example_2").unwrap();
        assert!(matches!(scratch.attempt_dir("../x"), Err(SpoolError::Key { .. })));
    }

    /// Claims, drops and sweeps race: at no moment do two hold one folder, and none loses it while holding it.
    #[test]
    fn sweeps_and_claims_race_safely() {
        let dir = tempfile::tempdir().unwrap();
        let (holders, done) = (AtomicUsize::new(0), AtomicBool::new(false));
        thread::scope(|scope| {
            let sweeper = scope.spawn(|| {
                while !done.load(Ordering::SeqCst) {
                    sweep(dir.path()).unwrap();
                }
            });
            let claimers: Vec<_> = (0..3)
                .map(|_| {
                    scope.spawn(|| {
                        for _ in 0..200 {
                            let scratch = match Scratch::claim(dir.path(), "w") {
                                Ok(scratch) => scratch,
                                Err(SpoolError::ScratchInUse { .. }) => continue,
                                Err(error) => panic!("{error}"),
                            };
                            assert_eq!(holders.fetch_add(1, Ordering::SeqCst), 0, "two hold one folder");
                            let attempt = scratch.attempt_dir("a").unwrap();
                            fs::write(attempt.path().join("f"), b"x").unwrap();
                            assert_eq!(fs::read(attempt.path().join("f")).unwrap(), b"x");
                            drop(attempt);
                            holders.fetch_sub(1, Ordering::SeqCst);
                        }
                    })
                })
                .collect();
            let results: Vec<_> = claimers.into_iter().map(thread::ScopedJoinHandle::join).collect();
            done.store(true, Ordering::SeqCst);
            sweeper.join().unwrap();
            assert!(results.iter().all(Result::is_ok), "a claimer failed");
        });
        assert_eq!(sweep(dir.path()).unwrap(), 0);
    }
}
