//! What lies in the masters folder: which files are masters, and which version of each is there.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use reelpool_protocol::Ladder;
use reelpool_protocol::job::MAX_KEY_BYTES;
use reelpool_spool::masters::etag;

use super::settle::{Seen, Version};

/// What a ladder file's name ends in, after its master's whole name.
const LADDER_SUFFIX: &str = ".ladder";
/// Ends of names that programs give to files they have not finished, and ladder files.
const NOT_MASTERS: [&str; 4] = [LADDER_SUFFIX, ".part", ".tmp", ".crdownload"];
/// The longest ladder file that is read, in bytes; twelve rungs need some seventy.
const MAX_LADDER_BYTES: u64 = 4096;

/// The masters folder.
#[derive(Debug, Clone)]
pub struct Folder {
    /// Its path, absolute and without links.
    pub root: PathBuf,
    /// Folders that may lie in it and hold no masters: the output and the data directory.
    pub except: Vec<PathBuf>,
}

/// What a path in the folder is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Named {
    /// It has the name of a master, with this key.
    Master(String),
    /// It is the ladder file of the master with this key.
    LadderOf(String),
    /// It is hidden, unfinished by its name, or in a folder that holds no masters.
    Other,
    /// It would be a master, but its name cannot be a key.
    Unusable(&'static str),
}

/// What was found in the whole folder.
#[derive(Debug, Default)]
pub struct Found {
    /// The masters, by key.
    pub masters: Vec<(String, Seen)>,
    /// Files that would be masters if their names could be keys, and why they cannot.
    pub unusable: Vec<(PathBuf, &'static str)>,
}

impl Folder {
    /// What `path` is, by its name alone.
    #[must_use]
    pub fn name(&self, path: &Path) -> Named {
        let Ok(inner) = path.strip_prefix(&self.root) else { return Named::Other };
        let hidden = |part: &OsStr| part.as_encoded_bytes().starts_with(b".");
        if inner.as_os_str().is_empty()
            || inner.iter().any(hidden)
            || self.except.iter().any(|not| path.starts_with(not))
        {
            return Named::Other;
        }
        let Some(key) = inner.to_str() else {
            let unfinished = |end: &str| inner.as_os_str().as_encoded_bytes().ends_with(end.as_bytes());
            return if NOT_MASTERS.iter().any(|end| unfinished(end)) {
                Named::Other
            } else {
                Named::Unusable("its name is not UTF-8")
            };
        };
        if let Some(master) = key.strip_suffix(LADDER_SUFFIX) {
            return Named::LadderOf(master.to_owned());
        }
        if NOT_MASTERS.iter().any(|end| key.ends_with(end)) {
            return Named::Other;
        }
        if key.len() > MAX_KEY_BYTES {
            return Named::Unusable("its path is longer than 1024 bytes");
        }
        Named::Master(key.to_owned())
    }

    /// Looks at every file. What cannot be read is passed over: it is looked at again next time.
    pub fn look_at_all(&self) -> io::Result<Found> {
        let mut found = Found::default();
        let mut folders = vec![self.root.clone()];
        // The root must be readable; of what lies in it anything may come and go.
        fs::read_dir(&self.root)?;
        while let Some(folder) = folders.pop() {
            let Ok(entries) = fs::read_dir(&folder) else { continue };
            for entry in entries.flatten() {
                let (path, Ok(kind)) = (entry.path(), entry.file_type()) else { continue };
                match self.name(&path) {
                    // Links to folders are not followed: they may lead in a circle.
                    _ if kind.is_dir() => {
                        if !self.is_excepted(&path) {
                            folders.push(path);
                        }
                    }
                    Named::Master(_) if kind.is_symlink() && self.leads_out(&path) => {
                        found.unusable.push((path, "it is a link that leads out of the masters folder"));
                    }
                    Named::Master(key) => {
                        if let Some(seen) = self.look(&key) {
                            found.masters.push((key, seen));
                        }
                    }
                    Named::Unusable(why) => found.unusable.push((path, why)),
                    Named::LadderOf(_) | Named::Other => {}
                }
            }
        }
        Ok(found)
    }

    fn is_excepted(&self, folder: &Path) -> bool {
        let hidden = folder.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        hidden || self.except.iter().any(|not| folder.starts_with(not))
    }

    /// Looks at one master; `None` when there is no such file in the folder.
    #[must_use]
    pub fn look(&self, key: &str) -> Option<Seen> {
        let path = self.root.join(key);
        let about = fs::metadata(&path).ok().filter(fs::Metadata::is_file)?;
        if self.leads_out(&path) {
            return None;
        }
        let ladder = fs::metadata(self.ladder_path(key)).ok().filter(fs::Metadata::is_file);
        let unchanged_for = last_change(&about).and_then(|at| SystemTime::now().duration_since(at).ok());
        let version = Version { etag: etag(&about), size: about.len(), ladder: ladder.as_ref().map(etag) };
        Some(Seen { version, unchanged_for: unchanged_for.unwrap_or_default() })
    }

    /// Whether `path` is a link to a file elsewhere: workers fetch masters from this folder only.
    fn leads_out(&self, path: &Path) -> bool {
        path.canonicalize().is_ok_and(|real| !real.starts_with(&self.root))
    }

    fn ladder_path(&self, key: &str) -> PathBuf {
        self.root.join(format!("{key}{LADDER_SUFFIX}"))
    }

    /// Reads the ladder file of a master.
    pub fn ladder(&self, key: &str) -> Result<Ladder, LadderFileError> {
        let path = self.ladder_path(key);
        let unreadable = |source| LadderFileError::Unreadable { path: path.clone(), source };
        let mut text = String::new();
        let mut file = fs::File::open(&path).map_err(unreadable)?.take(MAX_LADDER_BYTES + 1);
        file.read_to_string(&mut text).map_err(unreadable)?;
        if text.len() as u64 > MAX_LADDER_BYTES {
            return Err(LadderFileError::TooLong { path });
        }
        text.parse().map_err(|source| LadderFileError::NoLadder { path, source })
    }
}

/// When the file's content, name or attributes last changed. Unlike the time of its last write, this one cannot be
/// set by the programs that keep old times when they copy.
#[cfg(unix)]
fn last_change(about: &fs::Metadata) -> Option<SystemTime> {
    use std::os::unix::fs::MetadataExt;
    let seconds = u64::try_from(about.ctime()).ok()?;
    let nanos = u32::try_from(about.ctime_nsec()).ok()?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::new(seconds, nanos))
}

/// Nothing vouches for the past here: the file is watched for as long as is needed.
#[cfg(not(unix))]
fn last_change(_about: &fs::Metadata) -> Option<SystemTime> {
    None
}

/// Why a ladder file could not be used.
#[derive(Debug, thiserror::Error)]
pub enum LadderFileError {
    /// It could not be read.
    #[error("{} could not be read ({source})", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is far longer than a ladder.
    #[error("{} has more than {MAX_LADDER_BYTES} bytes", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
    },
    /// Its content is not a ladder.
    #[error("{}: {source}", path.display())]
    NoLadder {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: reelpool_protocol::ladder::LadderError,
    },
}

/// The keys among what was found.
#[must_use]
pub fn keys(found: &Found) -> BTreeSet<String> {
    found.masters.iter().map(|(key, _)| key.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(root: &Path) -> Folder {
        let root = root.canonicalize().unwrap();
        Folder { except: vec![root.join("renditions")], root }
    }

    #[test]
    fn names() {
        let folder = Folder { root: "/m".into(), except: vec!["/m/out".into()] };
        for (path, expected) in [
            ("/m/a.mp4", Named::Master("a.mp4".into())),
            ("/m/b/c d.mov", Named::Master("b/c d.mov".into())),
            ("/m/noextension", Named::Master("noextension".into())),
            ("/m/a.mp4.ladder", Named::LadderOf("a.mp4".into())),
            ("/m/.hidden.mp4", Named::Other),
            ("/m/.rsync/a.mp4", Named::Other),
            ("/m/a.mp4.part", Named::Other),
            ("/m/a.tmp", Named::Other),
            ("/m/a.crdownload", Named::Other),
            ("/m/out/a.mp4/720p.mp4", Named::Other),
            ("/m", Named::Other),
            ("/elsewhere/a.mp4", Named::Other),
        ] {
            assert_eq!(folder.name(Path::new(path)), expected, "{path}");
        }
        let long = format!("/m/{}", "x/".repeat(600));
        assert!(matches!(folder.name(Path::new(&long)), Named::Unusable(_)));
    }

    #[cfg(unix)]
    #[test]
    fn a_name_that_is_not_utf8_cannot_be_a_key() {
        use std::os::unix::ffi::OsStrExt;
        let folder = Folder { root: "/m".into(), except: Vec::new() };
        let named = |bytes: &[u8]| folder.name(&Path::new("/m").join(OsStr::from_bytes(bytes)));
        assert!(matches!(named(b"\xff.mp4"), Named::Unusable(_)));
        assert_eq!(named(b"\xff.part"), Named::Other);
    }

    #[test]
    fn looks_at_all_masters_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let folder = folder(dir.path());
        for name in
            ["a.mp4", "a.mp4.ladder", "sub/b.mp4", ".hid/c.mp4", "renditions/a.mp4/720p.mp4", "d.part"]
        {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "720p, 480p").unwrap();
        }
        let found = folder.look_at_all().unwrap();
        assert_eq!(keys(&found), ["a.mp4".to_owned(), "sub/b.mp4".to_owned()].into());
        let a = folder.look("a.mp4").unwrap();
        assert_eq!(a.version.size, 10);
        assert!(a.version.ladder.is_some());
        assert!(a.unchanged_for < Duration::from_secs(3600));
        assert_eq!(folder.ladder("a.mp4").unwrap().to_string(), "720p,480p");
        assert!(folder.look("sub/b.mp4").unwrap().version.ladder.is_none());
        assert!(folder.look("none.mp4").is_none());
    }

    #[cfg(unix)]
    #[test]
    fn a_link_that_leads_out_is_no_master() {
        let (dir, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let folder = folder(dir.path());
        fs::write(elsewhere.path().join("a.mp4"), "a").unwrap();
        fs::write(dir.path().join("b.mp4"), "b").unwrap();
        std::os::unix::fs::symlink(elsewhere.path().join("a.mp4"), dir.path().join("out.mp4")).unwrap();
        std::os::unix::fs::symlink("b.mp4", dir.path().join("in.mp4")).unwrap();
        let found = folder.look_at_all().unwrap();
        assert_eq!(keys(&found), ["b.mp4".to_owned(), "in.mp4".to_owned()].into());
        assert_eq!(found.unusable.len(), 1);
        assert!(folder.look("out.mp4").is_none());
    }

    #[test]
    fn a_ladder_file_that_is_none_is_said_so() {
        let dir = tempfile::tempdir().unwrap();
        let folder = folder(dir.path());
        fs::write(dir.path().join("a.ladder"), "720p 721p").unwrap();
        let said = folder.ladder("a").unwrap_err().to_string();
        assert!(said.ends_with("a.ladder: 721p is odd: video sizes are even, use 722p"), "{said}");
        fs::write(dir.path().join("a.ladder"), "x".repeat(5000)).unwrap();
        assert!(matches!(folder.ladder("a"), Err(LadderFileError::TooLong { .. })));
        assert!(matches!(folder.ladder("b"), Err(LadderFileError::Unreadable { .. })));
    }
}
