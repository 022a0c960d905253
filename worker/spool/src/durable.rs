//! Small steps towards durability that `std` leaves to its callers.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use crate::SpoolError;

/// Makes what happened in a folder (files made, renamed, removed) survive a power cut.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    match File::open(dir)?.sync_all() {
        // Some file systems cannot sync a folder; there is nothing more to be done then.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
        result => result,
    }
}

/// Creates a folder and those above it, durably.
pub(crate) fn create_dirs(dir: &Path) -> Result<(), SpoolError> {
    let failed = |source| SpoolError::io("create the folder", dir, source);
    if dir.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(dir).map_err(failed)?;
    // Which of the folders above are new is not known: syncing them all costs little, and only once.
    for above in dir.ancestors().skip(1).filter(|above| !above.as_os_str().is_empty()) {
        match sync_dir(above) {
            // A folder above may be there to pass through but not to open; then it is not new either.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => break,
            result => result.map_err(failed)?,
        }
    }
    Ok(())
}

/// Creates a folder and those above it where another process may remove empty folders at any moment.
///
/// Fails with `NotFound` when one was removed in between: to be tried again.
pub(crate) fn make_dirs(dir: &Path) -> io::Result<()> {
    match fs::create_dir_all(dir) {
        // Said of a file that stands there, but also of a folder that was there first and is not now.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let blocked = dir.ancestors().any(|dir| fs::metadata(dir).is_ok_and(|found| !found.is_dir()));
            Err(if blocked { error } else { io::ErrorKind::NotFound.into() })
        }
        result => result,
    }
}
