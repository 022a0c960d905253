//! What a run has left behind: manifests, renditions, and nothing else.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use reelpool_protocol::Manifest;
use reelpool_protocol::manifest::{FILE_NAME, Rendition};

use crate::probe::{Probed, probe};

/// One finished job.
#[derive(Debug, Clone)]
pub struct Published {
    /// Its manifest.
    pub manifest: Manifest,
    /// The folder that the manifest stands in.
    pub folder: PathBuf,
}

impl Published {
    /// Where a rendition is.
    #[must_use]
    pub fn file(&self, rendition: &Rendition) -> PathBuf {
        self.folder.join(&rendition.path)
    }

    /// Asks ffprobe about every rendition; panics unless each is what the manifest says and what `master` asks for:
    /// its size, its duration, sound when the master has it.
    pub fn assert_matches(&self, master: &Probed) {
        let name = &self.manifest.source.key;
        assert!(!self.manifest.renditions.is_empty(), "{name}: no rendition");
        for named in self.manifest.files() {
            let bytes = self.folder.join(named.path).metadata().map_or(0, |file| file.len());
            assert_eq!(bytes, named.bytes, "{name}: bytes of {}", named.path);
        }
        for rendition in &self.manifest.renditions {
            let what = format!("{name} {}", rendition.name);
            let seen = probe(&self.file(rendition));
            assert_eq!((seen.width, seen.height), (rendition.width, rendition.height), "{what}: size");
            assert!(
                seen.width.is_multiple_of(2) && seen.height.is_multiple_of(2),
                "{what}: odd size {}x{}",
                seen.width,
                seen.height
            );
            assert!(seen.square, "{what}: pixels that are not square");
            assert_eq!(seen.frames, rendition.frames, "{what}: frames");
            assert_eq!(seen.audio, rendition.audio, "{what}: the manifest is wrong about the sound");
            assert_eq!(seen.audio, master.audio, "{what}: sound");
            seen.assert_lasts(master, &what);
        }
    }

    /// The short sides of the renditions, as ffprobe sees them, largest first.
    #[must_use]
    pub fn short_sides(&self) -> Vec<u32> {
        self.manifest.renditions.iter().map(|rendition| probe(&self.file(rendition)).short_side()).collect()
    }
}

/// All finished jobs below an output folder, by the master's key.
#[must_use]
pub fn published(output: &Path) -> Vec<Published> {
    let mut found: Vec<Published> = files(output)
        .into_iter()
        .filter(|file| file.file_name().is_some_and(|name| name == FILE_NAME))
        .map(|file| {
            let bytes = std::fs::read(&file).unwrap();
            let manifest =
                serde_json::from_slice(&bytes).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
            Published { manifest, folder: file.parent().unwrap().to_path_buf() }
        })
        .collect();
    found.sort_by(|a, b| a.manifest.source.key.cmp(&b.manifest.source.key));
    found
}

/// Panics unless the output folder holds the manifests of `jobs` and the renditions they name, all of them, and
/// nothing more: no other attempt, no temporary file, no empty folder.
pub fn assert_nothing_else(output: &Path, jobs: &[Published]) {
    let mut expected = BTreeSet::new();
    for job in jobs {
        expected.insert(job.folder.join(FILE_NAME));
        expected.extend(job.manifest.files().map(|named| job.folder.join(named.path)));
    }
    let found: BTreeSet<PathBuf> = files(output).into_iter().collect();
    assert_eq!(found, expected, "left: what is in {}, right: what the manifests name", output.display());
    let empty: Vec<PathBuf> = empty_folders(output).into_iter().filter(|dir| !is_hidden(dir)).collect();
    assert!(empty.is_empty(), "empty folders are left: {empty:?}");
}

/// Every file below `root`, hidden ones too.
#[must_use]
pub fn files(root: &Path) -> Vec<PathBuf> {
    walk(root).into_iter().filter(|path| !path.is_dir()).collect()
}

fn empty_folders(root: &Path) -> Vec<PathBuf> {
    let folders = walk(root).into_iter().filter(|path| path.is_dir());
    folders.filter(|path| std::fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none())).collect()
}

fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'))
}

fn walk(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let Ok(entries) = std::fs::read_dir(root) else {
        return found;
    };
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            found.extend(walk(&path));
        }
        found.push(path);
    }
    found
}
