//! The store: a folder that behaves as a bucket does.
//!
//! Objects appear whole or not at all, and have reached the disk when a call returns. Keys map to paths as [`key`]
//! says; an ordinary key is its own path.

pub mod key;
mod list;
mod temp;
#[cfg(test)]
mod tests;

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags};

use crate::SpoolError;
use crate::durable::{create_dirs, make_dirs, sync_dir};
use temp::TempFile;

/// The hidden folder, inside the store's own, in which objects are written before they get their name.
pub const INCOMING: &str = ".incoming";
/// How often a folder may vanish under a write, removed as empty by another process, before the write gives up.
const MAX_TRIES: u32 = 64;

/// What became of a [`Store::put_if_absent`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// The object is ours.
    Created,
    /// There was one already, and it is untouched.
    AlreadyThere,
}

/// A folder as an object store.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
}

impl Store {
    /// Opens the store in the folder `root`, making it when it is not there. Proves that it may be written, and
    /// removes what killed processes left half-written.
    pub fn open(root: &Path) -> Result<Self, SpoolError> {
        create_dirs(root)?;
        let root = root.canonicalize().map_err(|source| SpoolError::io("open", root, source))?;
        let incoming = root.join(INCOMING);
        temp::sweep(&incoming)?;
        TempFile::create(&incoming)?;
        Ok(Self { root })
    }

    /// The folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where an object of this key is or would be.
    pub fn path(&self, key: &str) -> Result<PathBuf, SpoolError> {
        let mut path = self.root.clone();
        path.extend(key::to_components(key)?);
        Ok(path)
    }

    /// Copies a file into the store, in place of an object of the same key.
    pub fn put_file(&self, file: &Path, key: &str) -> Result<(), SpoolError> {
        let target = self.path(key)?;
        let mut source = File::open(file).map_err(|source| SpoolError::io("read", file, source))?;
        let mut temp = TempFile::create(&self.root.join(INCOMING))?;
        let written = |source| SpoolError::io("write", &target, source);
        io::copy(&mut source, temp.file()).map_err(written)?;
        temp.file().sync_all().map_err(written)?;
        self.rename(temp.path(), key, &target)
    }

    /// Moves a file into the store, in place of an object of the same key: a rename where both are on one file
    /// system, else a copy after which the file is removed.
    ///
    /// Nothing else may be writing to the file.
    pub fn move_file(&self, file: &Path, key: &str) -> Result<(), SpoolError> {
        let target = self.path(key)?;
        let synced = File::open(file).and_then(|source| source.sync_all());
        synced.map_err(|source| SpoolError::io("read", file, source))?;
        match self.rename(file, key, &target) {
            Err(SpoolError::Io { source, .. }) if source.kind() == ErrorKind::CrossesDevices => {
                self.put_file(file, key)?;
                fs::remove_file(file).map_err(|source| SpoolError::io("remove", file, source))
            }
            result => result,
        }
    }

    /// Writes an object, in place of one of the same key.
    pub fn put(&self, key: &str, bytes: &[u8]) -> Result<(), SpoolError> {
        let target = self.path(key)?;
        let mut temp = TempFile::create(&self.root.join(INCOMING))?;
        let written = |source| SpoolError::io("write", &target, source);
        temp.file().write_all(bytes).map_err(written)?;
        temp.file().sync_all().map_err(written)?;
        self.rename(temp.path(), key, &target)
    }

    /// Writes an object unless there is one of this key. Of any number of writers in any number of processes exactly
    /// one creates it.
    pub fn put_if_absent(&self, key: &str, bytes: &[u8]) -> Result<Put, SpoolError> {
        let target = self.path(key)?;
        let mut temp = TempFile::create(&self.root.join(INCOMING))?;
        let written = |source| SpoolError::io("write", &target, source);
        temp.file().write_all(bytes).map_err(written)?;
        temp.file().sync_all().map_err(written)?;
        let put = self.in_folder_of(key, &target, || match link_new(temp.path(), &target) {
            Ok(()) => Ok(Put::Created),
            Err(error) if error.kind() == ErrorKind::AlreadyExists && !target.is_dir() => {
                Ok(Put::AlreadyThere)
            }
            Err(error) => Err(error),
        })?;
        Ok(put)
    }

    /// Reads an object whole; `None` when there is none, [`SpoolError::TooLarge`] beyond `limit` bytes.
    pub fn get(&self, key: &str, limit: u64) -> Result<Option<Vec<u8>>, SpoolError> {
        let Some(file) = self.open_object(key)? else {
            return Ok(None);
        };
        let path = self.path(key)?;
        let failed = |source| SpoolError::io("read", &path, source);
        let length = file.metadata().map_err(failed)?.len();
        if length > limit {
            return Err(SpoolError::TooLarge { path, bytes: length, limit });
        }
        let mut bytes = Vec::new();
        file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(failed)?;
        let read = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if read > limit {
            return Err(SpoolError::TooLarge { path, bytes: read, limit });
        }
        Ok(Some(bytes))
    }

    /// Copies an object to the file `into`, which must not exist. Says whether there is such an object.
    pub fn copy_out(&self, key: &str, into: &Path) -> Result<bool, SpoolError> {
        let Some(mut object) = self.open_object(key)? else { return Ok(false) };
        let written = |source| SpoolError::io("write", into, source);
        let mut copy = File::create_new(into).map_err(written)?;
        io::copy(&mut object, &mut copy).map_err(written)?;
        Ok(true)
    }

    /// Opens an object for reading; `None` when there is none.
    pub fn open_object(&self, key: &str) -> Result<Option<File>, SpoolError> {
        let path = self.path(key)?;
        // Looked at before it is opened: opening something that is no file, such as a pipe, may block for ever.
        match fs::metadata(&path) {
            Ok(found) if found.is_file() => {}
            Ok(_) => return Ok(None),
            Err(error) if is_absent(&error) => return Ok(None),
            Err(source) => return Err(SpoolError::io("read", &path, source)),
        }
        match File::open(&path) {
            Ok(file) => Ok(Some(file)),
            Err(error) if is_absent(&error) => Ok(None),
            Err(source) => Err(SpoolError::io("read", &path, source)),
        }
    }

    /// Deletes an object and the folders that this leaves empty. Says whether there was one.
    pub fn delete(&self, key: &str) -> Result<bool, SpoolError> {
        let path = self.path(key)?;
        let deleted = match fs::remove_file(&path) {
            Ok(()) => true,
            Err(error) if is_absent(&error) || error.kind() == ErrorKind::IsADirectory => false,
            Err(source) => return Err(SpoolError::io("delete", &path, source)),
        };
        if deleted {
            self.prune(path.parent());
        }
        Ok(deleted)
    }

    /// Removes empty folders from `dir` upwards, up to the store's own.
    fn prune(&self, dir: Option<&Path>) {
        let below_root = |dir: &&Path| dir.starts_with(&self.root) && *dir != self.root;
        for dir in dir.into_iter().flat_map(Path::ancestors).take_while(below_root) {
            // Fails where something is left, which is the point; any other failure only leaves a folder.
            if fs::remove_dir(dir).is_err() {
                break;
            }
        }
    }

    fn rename(&self, from: &Path, key: &str, target: &Path) -> Result<(), SpoolError> {
        self.in_folder_of(key, target, || fs::rename(from, target))
    }

    /// Runs `place`, which gives a finished file the name `target`, in a folder that is there; then makes the name
    /// and the folders durable, whoever made them.
    fn in_folder_of<T>(
        &self,
        key: &str,
        target: &Path,
        place: impl Fn() -> io::Result<T>,
    ) -> Result<T, SpoolError> {
        let folder = target.parent().unwrap_or(&self.root);
        let mut result = Err(io::Error::from(ErrorKind::NotFound));
        for _ in 0..MAX_TRIES {
            result = make_dirs(folder).and_then(|()| place());
            // Another process may remove the folder as empty in between.
            if !matches!(&result, Err(error) if error.kind() == ErrorKind::NotFound) {
                break;
            }
        }
        let placed = result.map_err(|source| match source.kind() {
            ErrorKind::NotADirectory
            | ErrorKind::IsADirectory
            | ErrorKind::AlreadyExists
            | ErrorKind::DirectoryNotEmpty => {
                SpoolError::KeyClash { key: key.to_owned(), path: target.to_owned() }
            }
            _ => SpoolError::io("write", target, source),
        })?;
        for dir in folder.ancestors().take_while(|dir| dir.starts_with(&self.root)) {
            sync_dir(dir).map_err(|source| SpoolError::io("write", dir, source))?;
        }
        Ok(placed)
    }
}

/// Gives a finished file a second name, failing when something has that name.
fn link_new(from: &Path, to: &Path) -> io::Result<()> {
    match fs::hard_link(from, to) {
        // File systems without hard links (FAT and its kin) can still rename without replacing.
        Err(error) if matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::Unsupported) => {
            Ok(rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE)?)
        }
        result => result,
    }
}

/// Whether an error says that there is no such object: no such name, or a file where a folder would be.
fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}
