//! One instance per data directory.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use crate::SpoolError;

/// Held by the one `reelpool up` of a data directory; let go when dropped, and by the system when the process dies.
///
/// The lock file stays: removing it would let two processes lock two files of the same name.
#[derive(Debug)]
pub struct InstanceLock {
    file: File,
}

impl InstanceLock {
    /// Takes the lock at `path`, creating the file when it is not there, and writes the process id into it.
    ///
    /// Fails with [`SpoolError::AlreadyRunning`] while another process (or another value in this one) holds it.
    pub fn acquire(path: &Path) -> Result<Self, SpoolError> {
        let failed = |source| SpoolError::io("lock", path, source);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                // The holder may be about to write its id: then the message goes without.
                let pid =
                    (&file).take(16).read_to_string(&mut text).ok().and_then(|_| text.trim().parse().ok());
                return Err(SpoolError::AlreadyRunning { path: path.to_owned(), pid });
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        file.set_len(0).map_err(failed)?;
        file.seek(SeekFrom::Start(0)).map_err(failed)?;
        writeln!(file, "{}", std::process::id()).map_err(failed)?;
        Ok(Self { file })
    }
}

impl Drop for InstanceLock {
    fn drop(&mut self) {
        // Unlocked by hand: a child in the middle of being started may still have a copy of the descriptor.
        if let Err(error) = self.file.set_len(0).and_then(|()| self.file.unlock()) {
            tracing::debug!(%error, "the instance lock could not be let go by hand");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_holds_it_and_the_other_learns_who() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("up.lock");
        let held = InstanceLock::acquire(&path).unwrap();
        let error = InstanceLock::acquire(&path).unwrap_err();
        assert!(
            matches!(&error, SpoolError::AlreadyRunning { pid: Some(pid), .. } if *pid == std::process::id()),
            "{error}"
        );
        assert!(error.to_string().contains(&std::process::id().to_string()));
        drop(held);
        let again = InstanceLock::acquire(&path).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap().trim(), std::process::id().to_string());
        drop(again);
    }

    #[test]
    fn a_stale_id_is_overwritten_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("up.lock");
        std::fs::write(&path, "123456789012345\n").unwrap();
        let _held = InstanceLock::acquire(&path).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("{}\n", std::process::id()));
    }

    #[test]
    fn a_folder_that_is_not_there_is_said_so() {
        let dir = tempfile::tempdir().unwrap();
        let error = InstanceLock::acquire(&dir.path().join("none/up.lock")).unwrap_err();
        assert!(matches!(error, SpoolError::NotFound { .. }), "{error}");
    }
}
