//! Many objects at once: those whose keys begin alike.

use std::fs::{self, DirEntry};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::temp::TempFile;
use super::{INCOMING, Store, key};
use crate::SpoolError;

impl Store {
    /// The keys that begin with `prefix`, sorted by their bytes. As in S3 a prefix is text, not a folder: `a/1` also
    /// finds `a/10`.
    ///
    /// Files that no key maps to, and links, are passed over.
    pub fn list(&self, prefix: &str) -> Result<Vec<String>, SpoolError> {
        let mut keys = Vec::new();
        let mut folders = vec![self.folder_of(prefix)?];
        while let Some(folder) = folders.pop() {
            for entry in self.entries(&folder)? {
                let path = entry.path();
                let kind = match entry.file_type() {
                    Err(error) if error.kind() == ErrorKind::NotFound => continue,
                    result => result.map_err(|source| SpoolError::io("list", &path, source))?,
                };
                if kind.is_dir() {
                    folders.push(path);
                } else if kind.is_file() {
                    let key = path.strip_prefix(self.root()).ok().and_then(key::from_path);
                    keys.extend(key.filter(|key| key.starts_with(prefix)));
                }
            }
        }
        keys.sort_unstable();
        Ok(keys)
    }

    /// The keys that begin with `prefix`, as [`list`](Self::list) finds them, each with how long ago its object was
    /// written; `None` where that lies in the future, because the clock has been set back since.
    ///
    /// Both times are the file system's, which may be another machine's: the clock of this process has no say.
    pub fn list_aged(&self, prefix: &str) -> Result<Vec<(String, Option<Duration>)>, SpoolError> {
        let keys = self.list(prefix)?;
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let mut found = Vec::new();
        for key in keys {
            let path = self.path(&key)?;
            let read = |source| SpoolError::io("read", &path, source);
            match fs::metadata(&path).and_then(|metadata| metadata.modified()) {
                Ok(written) => found.push((key, written)),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(read(error)),
            }
        }
        // After the others, so that it is the newest.
        let mut now = TempFile::create(&self.root().join(INCOMING))?;
        let metadata = now.file().metadata().and_then(|metadata| metadata.modified());
        let now = metadata.map_err(|source| SpoolError::io("read", self.root(), source))?;
        Ok(found.into_iter().map(|(key, written)| (key, now.duration_since(written).ok())).collect())
    }

    /// Deletes every object whose key begins with `prefix` (end it with `/` to mean a folder), and the folders this
    /// leaves empty. Returns how many objects there were.
    pub fn delete_prefix(&self, prefix: &str) -> Result<usize, SpoolError> {
        if prefix.is_empty() {
            let problem = "an empty prefix is every object: name a folder";
            return Err(SpoolError::Key { key: String::new(), problem });
        }
        let mut deleted = 0;
        for key in self.list(prefix)? {
            deleted += usize::from(self.delete(&key)?);
        }
        // A writer that was killed may have left folders and nothing in them.
        if prefix.ends_with('/') {
            let folder = self.folder_of(prefix)?;
            self.prune_below(&folder)?;
            self.prune(folder.parent());
        }
        Ok(deleted)
    }

    /// The deepest folder that holds every key of the prefix.
    fn folder_of(&self, prefix: &str) -> Result<PathBuf, SpoolError> {
        match prefix.rsplit_once('/') {
            Some((folder, _)) => {
                // Through a key below it: the folder's own name may be too long, or empty.
                let mut names = key::to_components(&format!("{folder}/x"))?;
                names.pop();
                Ok(self.root().join(names.iter().collect::<PathBuf>()))
            }
            None => Ok(self.root().to_owned()),
        }
    }

    /// Removes a folder and those in it, as far as there is no file in them.
    fn prune_below(&self, folder: &Path) -> Result<(), SpoolError> {
        for entry in self.entries(folder)? {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                self.prune_below(&entry.path())?;
            }
        }
        // Fails where something is left, which is the point.
        let _ = fs::remove_dir(folder);
        Ok(())
    }

    /// What is in a folder, without the store's own; nothing when there is no such folder.
    fn entries(&self, folder: &Path) -> Result<Vec<DirEntry>, SpoolError> {
        let failed = |source| SpoolError::io("list", folder, source);
        let entries = match fs::read_dir(folder) {
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                return Ok(Vec::new());
            }
            result => result.map_err(failed)?,
        };
        let own = self.root().join(INCOMING);
        let mut found = Vec::new();
        for entry in entries {
            let entry = entry.map_err(failed)?;
            if entry.path() != own {
                found.push(entry);
            }
        }
        Ok(found)
    }
}
