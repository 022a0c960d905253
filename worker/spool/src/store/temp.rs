//! Files being written, before they get their name.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use crate::SpoolError;

/// How often a new file may be swept between its making and its locking before it is given up.
const MAX_TRIES: u32 = 64;

/// A new file under a name of its own, locked for as long as its writer lives; removed when dropped, unless it has
/// got another name by then.
pub(super) struct TempFile {
    path: PathBuf,
    file: File,
}

impl TempFile {
    /// Makes one in `folder`, and the folder where it is not there.
    pub(super) fn create(folder: &Path) -> Result<Self, SpoolError> {
        let failed = |source| SpoolError::io("write to", folder, source);
        for _ in 0..MAX_TRIES {
            let path = folder.join(Uuid::now_v7().simple().to_string());
            match try_create(&path) {
                Ok(Some(file)) => return Ok(Self { path, file }),
                Ok(None) => {}
                Err(error) if error.kind() == ErrorKind::NotFound => match fs::create_dir(folder) {
                    Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(failed(error)),
                    _ => {}
                },
                Err(error) => return Err(failed(error)),
            }
        }
        Err(failed(io::Error::from(ErrorKind::ResourceBusy)))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn file(&mut self) -> &mut File {
        &mut self.file
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        // Both fail where there is nothing to be done: the file was renamed, or others are still in the folder.
        let _ = fs::remove_file(&self.path);
        if let Some(folder) = self.path.parent() {
            let _ = fs::remove_dir(folder);
        }
    }
}

/// Makes and locks a file; `None` when a sweep took it in between.
fn try_create(path: &Path) -> io::Result<Option<File>> {
    let file = OpenOptions::new().read(true).write(true).create_new(true).open(path)?;
    match file.try_lock() {
        Ok(()) if file.metadata()?.nlink() > 0 => Ok(Some(file)),
        Ok(()) | Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Removes the files in `folder` whose writers are dead.
pub(super) fn sweep(folder: &Path) -> Result<(), SpoolError> {
    let failed = |source| SpoolError::io("read", folder, source);
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        // One that cannot be swept now is swept another time.
        if let Err(error) = sweep_one(&path) {
            tracing::warn!(path = %path.display(), %error, "a leftover file could not be removed");
        }
    }
    let _ = fs::remove_dir(folder);
    Ok(())
}

fn sweep_one(path: &Path) -> io::Result<()> {
    let file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        result => result?,
    };
    match file.try_lock() {
        Ok(()) => match fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        },
        Err(TryLockError::WouldBlock) => Ok(()),
        Err(TryLockError::Error(error)) => Err(error),
    }
}
