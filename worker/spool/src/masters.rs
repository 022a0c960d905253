//! The folder of masters: which version of a master is there, and getting it into a scratch folder.

use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use crate::SpoolError;

/// The identity of a master's present version: `<mtime in ns>-<size>-<inode>`, each in hexadecimal.
///
/// It stands where S3 has the `ETag`. Two versions share one only if someone restores the time of change on purpose.
#[must_use]
pub fn etag(metadata: &Metadata) -> String {
    let nanos = i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec());
    format!("{nanos:x}-{:x}-{:x}", metadata.size(), metadata.ino())
}

/// A master as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MasterStat {
    /// Its size in bytes.
    pub bytes: u64,
    /// Its [`etag`].
    pub etag: String,
}

/// A folder of masters; it is only read.
#[derive(Debug, Clone)]
pub struct Masters {
    root: PathBuf,
}

impl Masters {
    /// Opens the folder, which must be there.
    pub fn open(root: &Path) -> Result<Self, SpoolError> {
        let failed = |source| SpoolError::io("open", root, source);
        let path = root.canonicalize().map_err(failed)?;
        // Also proves that it is a folder and may be read.
        fs::read_dir(&path).map_err(failed)?;
        Ok(Self { root: path })
    }

    /// The folder, without links in its path.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The key of a file in the folder: its path below it, with `/` between the parts. `None` when it is not below
    /// the folder or its name is not UTF-8.
    #[must_use]
    pub fn key_of(&self, path: &Path) -> Option<String> {
        let below = path.strip_prefix(&self.root).ok()?;
        let mut parts = Vec::new();
        for component in below.components() {
            let Component::Normal(part) = component else {
                return None;
            };
            parts.push(part.to_str()?);
        }
        (!parts.is_empty()).then(|| parts.join("/"))
    }

    /// Size and identity of a master; [`SpoolError::NotFound`] when it is not there or no file,
    /// [`SpoolError::Key`] when the key leads out of the folder.
    pub fn stat(&self, key: &str) -> Result<MasterStat, SpoolError> {
        let path = self.resolve(key)?;
        Ok(stat_of(&metadata(&path)?))
    }

    /// Whether the master still is the version `etag`; [`SpoolError::Changed`] when it is another, and else as
    /// [`stat`](Self::stat).
    ///
    /// To be asked once more when the work on a fetched master is done: what was fetched may be a link to it, and
    /// someone may have written into it meanwhile.
    pub fn check(&self, key: &str, etag: &str) -> Result<(), SpoolError> {
        let path = self.resolve(key)?;
        expect(&path, etag, &stat_of(&metadata(&path)?)).map(drop)
    }

    /// Puts the master at `dest`, which must not be there: as a copy that shares its blocks where the file system
    /// can do that, else as a hard link, else as a copy.
    ///
    /// Returns what was fetched. [`SpoolError::Changed`] when the master is not the version `expected`, or when it
    /// changed meanwhile; `dest` is removed then. Else as [`stat`](Self::stat).
    ///
    /// `dest` must be only read: it may be the master itself.
    pub fn fetch(&self, key: &str, expected: Option<&str>, dest: &Path) -> Result<MasterStat, SpoolError> {
        let path = self.resolve(key)?;
        if fs::symlink_metadata(dest).is_ok() {
            return Err(SpoolError::io("write", dest, io::Error::from(ErrorKind::AlreadyExists)));
        }
        // Looked at before it is opened: opening something that is no file, such as a pipe, may block for ever.
        let before = stat_of(&metadata(&path)?);
        if let Some(expected) = expected {
            expect(&path, expected, &before)?;
        }
        let fetched = take(&path, &before, dest).and_then(|()| {
            let after = metadata(&path)?;
            expect(&path, &before.etag, &stat_of(&after))
        });
        if fetched.is_err() {
            // The error already says what matters.
            let _ = fs::remove_file(dest);
        }
        fetched
    }

    /// The file of a key, after all links; it is below the folder.
    fn resolve(&self, key: &str) -> Result<PathBuf, SpoolError> {
        let refuse = |problem| SpoolError::Key { key: key.escape_debug().to_string(), problem };
        let strange = |part: &str| matches!(part, "" | "." | "..") || part.contains('\0');
        if key.split('/').any(strange) {
            return Err(refuse("it is not the plain path of a file below the masters folder"));
        }
        let path = self.root.join(key);
        let resolved = path.canonicalize().map_err(|source| match source.kind() {
            ErrorKind::NotADirectory | ErrorKind::InvalidFilename => {
                SpoolError::NotFound { path: path.clone() }
            }
            _ => SpoolError::io("read", &path, source),
        })?;
        if !resolved.starts_with(&self.root) {
            return Err(refuse(
                "it is a link that leads out of the masters folder: put the file itself there",
            ));
        }
        Ok(resolved)
    }
}

fn metadata(path: &Path) -> Result<Metadata, SpoolError> {
    let metadata = fs::metadata(path).map_err(|source| SpoolError::io("read", path, source))?;
    if metadata.is_file() { Ok(metadata) } else { Err(SpoolError::NotFound { path: path.to_owned() }) }
}

fn stat_of(metadata: &Metadata) -> MasterStat {
    MasterStat { bytes: metadata.size(), etag: etag(metadata) }
}

fn expect(path: &Path, expected: &str, found: &MasterStat) -> Result<MasterStat, SpoolError> {
    if found.etag == expected {
        return Ok(found.clone());
    }
    Err(SpoolError::Changed {
        path: path.to_owned(),
        expected: expected.to_owned(),
        found: found.etag.clone(),
    })
}

/// Makes `dest` from the version `expected` of the file at `path`.
fn take(path: &Path, expected: &MasterStat, dest: &Path) -> Result<(), SpoolError> {
    let mut source = File::open(path).map_err(|source| SpoolError::io("read", path, source))?;
    let opened = source.metadata().map_err(|source| SpoolError::io("read", path, source))?;
    expect(path, &expected.etag, &stat_of(&opened))?;
    let written = |source| SpoolError::io("write", dest, source);
    let mut copy = File::create_new(dest).map_err(written)?;
    if rustix::fs::ioctl_ficlone(&copy, &source).is_ok() {
        return Ok(());
    }
    drop(copy);
    fs::remove_file(dest).map_err(written)?;
    if fs::hard_link(path, dest).is_ok() {
        // The name may have passed to another file since it was opened.
        let linked = fs::metadata(dest).map_err(written)?;
        return expect(path, &expected.etag, &stat_of(&linked)).map(drop);
    }
    // Another file system, or a file that this user may not link to.
    copy = File::create_new(dest).map_err(written)?;
    let copied = io::copy(&mut source, &mut copy).map_err(written)?;
    let found = MasterStat { bytes: copied, ..expected.clone() };
    if found == *expected { Ok(()) } else { Err(changed_length(path, expected, copied)) }
}

fn changed_length(path: &Path, expected: &MasterStat, copied: u64) -> SpoolError {
    let found = format!("{copied} of {} bytes", expected.bytes);
    SpoolError::Changed { path: path.to_owned(), expected: expected.etag.clone(), found }
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::io::Write;
    use std::os::unix::fs::symlink;

    use super::*;

    struct Folder {
        _dir: tempfile::TempDir,
        masters: Masters,
        dest: PathBuf,
    }

    fn folder() -> Folder {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("masters");
        fs::create_dir_all(root.join("sub")).unwrap();
        fs::write(root.join("sub/cat.mp4"), b"meow").unwrap();
        fs::write(dir.path().join("secret"), b"secret").unwrap();
        let dest = dir.path().join("dest");
        Folder { masters: Masters::open(&root).unwrap(), dest, _dir: dir }
    }

    #[test]
    fn a_master_is_fetched_as_it_is() {
        let f = folder();
        let stat = f.masters.stat("sub/cat.mp4").unwrap();
        assert_eq!(stat.bytes, 4);
        assert_eq!(f.masters.fetch("sub/cat.mp4", Some(&stat.etag), &f.dest).unwrap(), stat);
        assert_eq!(fs::read(&f.dest).unwrap(), b"meow");
        assert_eq!(f.masters.stat("sub/cat.mp4").unwrap(), stat, "fetching does not change the identity");
    }

    #[test]
    fn the_identity_is_time_size_and_inode_in_hexadecimal() {
        let f = folder();
        let metadata = fs::metadata(f.masters.root().join("sub/cat.mp4")).unwrap();
        let nanos = metadata.modified().unwrap().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
        assert_eq!(etag(&metadata), format!("{nanos:x}-4-{:x}", metadata.ino()));
    }

    #[test]
    fn a_file_at_the_destination_is_left_alone() {
        let f = folder();
        fs::write(&f.dest, b"mine").unwrap();
        assert!(matches!(f.masters.fetch("sub/cat.mp4", None, &f.dest), Err(SpoolError::Io { .. })));
        assert_eq!(fs::read(&f.dest).unwrap(), b"mine");
    }

    #[test]
    fn another_version_is_refused() {
        let f = folder();
        let old = f.masters.stat("sub/cat.mp4").unwrap().etag;
        let path = f.masters.root().join("sub/cat.mp4");
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"!").unwrap();
        let error = f.masters.fetch("sub/cat.mp4", Some(&old), &f.dest).unwrap_err();
        assert!(matches!(error, SpoolError::Changed { .. }), "{error}");
        assert!(matches!(f.masters.check("sub/cat.mp4", &old), Err(SpoolError::Changed { .. })));
        assert!(!f.dest.exists());
    }

    #[test]
    fn an_expected_master_that_changed_after_the_first_look_is_not_taken() {
        let f = folder();
        let path = f.masters.root().join("sub/cat.mp4");
        let stale = MasterStat { etag: "1-4-1".to_owned(), bytes: 4 };
        assert!(matches!(take(&path, &stale, &f.dest), Err(SpoolError::Changed { .. })));
    }

    #[test]
    fn keys_do_not_leave_the_folder() {
        let f = folder();
        let root = f.masters.root().to_owned();
        symlink("../secret", root.join("link.mp4")).unwrap();
        symlink("..", root.join("up")).unwrap();
        let absolute = root.parent().unwrap().join("secret");
        let absolute = absolute.to_str().unwrap();
        for key in [
            "../secret",
            "sub/../../secret",
            "link.mp4",
            "up/secret",
            absolute,
            "",
            "sub/",
            "/",
            "a\0b",
            "sub//cat.mp4",
        ] {
            let error = f.masters.fetch(key, None, &f.dest).unwrap_err();
            assert!(matches!(error, SpoolError::Key { .. }), "{key:?}: {error}");
            assert!(!f.dest.exists());
        }
    }

    #[test]
    fn a_link_within_the_folder_is_followed() {
        let f = folder();
        symlink("sub/cat.mp4", f.masters.root().join("alias.mp4")).unwrap();
        f.masters.fetch("alias.mp4", None, &f.dest).unwrap();
        assert_eq!(fs::read(&f.dest).unwrap(), b"meow");
        assert!(fs::symlink_metadata(&f.dest).unwrap().is_file());
    }

    #[test]
    fn what_is_no_file_is_not_found() {
        let f = folder();
        for key in ["none.mp4", "sub", "sub/cat.mp4/x"] {
            assert!(matches!(f.masters.stat(key), Err(SpoolError::NotFound { .. })), "{key}");
        }
        assert!(matches!(Masters::open(&f.dest), Err(SpoolError::NotFound { .. })));
    }

    #[test]
    fn keys_are_paths_below_the_folder() {
        let f = folder();
        let root = f.masters.root();
        assert_eq!(f.masters.key_of(&root.join("sub/cat.mp4")).as_deref(), Some("sub/cat.mp4"));
        assert_eq!(f.masters.key_of(root), None);
        assert_eq!(f.masters.key_of(Path::new("/elsewhere/x")), None);
        assert_eq!(f.masters.key_of(&root.join("../x")), None);
    }
}
