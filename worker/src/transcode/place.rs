//! The folder where outputs go, and what is half made meanwhile.

use std::fs;
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use reelpool_protocol::Manifest;
use reelpool_protocol::manifest::{FILE_NAME, Named};
use reelpool_spool::{Scratch, SpoolError, scratch};
use tokio::time::sleep;

use super::error::TranscodeError;
use crate::store::{FolderOutputs, Outputs, PutIfAbsent, StoreError, of_spool};

/// What the names of folders of unfinished outputs begin with; the process's id follows.
const UNFINISHED: &str = "unfinished-";
/// How often it is tried to empty the folder of unfinished outputs: an ffmpeg that was killed may still be writing.
const TRIES: u32 = 100;

/// The output folder. Dropped before [`Place::publish`], it leaves nothing that was not there before.
#[derive(Debug)]
pub struct Place {
    root: PathBuf,
    outputs: FolderOutputs,
    scratch: Option<Scratch>,
    /// The folders that were made for it, outermost first.
    made: Vec<PathBuf>,
    force: bool,
}

impl Place {
    /// Refuses a folder in which an earlier run was finished, unless its outputs may be replaced.
    pub fn check(root: &Path, force: bool) -> Result<(), TranscodeError> {
        if root.metadata().is_ok_and(|root| !root.is_dir()) {
            return Err(TranscodeError::NotAFolder(root.to_owned()));
        }
        let manifest = root.join(FILE_NAME);
        if force || fs::symlink_metadata(&manifest).is_err() {
            Ok(())
        } else {
            Err(TranscodeError::Exists(manifest))
        }
    }

    /// Makes the folder where it is not there, and a folder in it for what is unfinished. Removes what killed runs
    /// have left.
    pub fn open(root: &Path, force: bool) -> Result<Self, TranscodeError> {
        let mut made: Vec<PathBuf> = root
            .ancestors()
            .take_while(|folder| !folder.as_os_str().is_empty() && fs::symlink_metadata(folder).is_err())
            .map(Path::to_owned)
            .collect();
        made.reverse();
        let made = Made(made);
        let failed = |source| TranscodeError::Out { path: root.to_owned(), source };
        let outputs = FolderOutputs::open(root).map_err(failed)?;
        let of_scratch = |error: SpoolError| failed(of_spool(&error));
        scratch::sweep(root).map_err(of_scratch)?;
        let name = format!("{UNFINISHED}{}", std::process::id());
        let scratch = Scratch::claim(root, &name).map_err(of_scratch)?;
        Ok(Self { root: root.to_owned(), outputs, scratch: Some(scratch), made: made.keep(), force })
    }

    /// Refuses to begin what would end in taking the place of `master`, or of someone else's files.
    pub fn check_names<'a>(
        &self,
        names: impl Iterator<Item = &'a str>,
        master: &Path,
    ) -> Result<(), TranscodeError> {
        for path in names.map(|name| self.root.join(name)) {
            if path.canonicalize().is_ok_and(|path| path == master) {
                return Err(TranscodeError::OntoItself(path));
            }
            if !self.force && fs::symlink_metadata(&path).is_ok() {
                return Err(TranscodeError::Exists(path));
            }
        }
        Ok(())
    }

    /// A new, empty folder for ffmpeg; an absolute path.
    pub fn workshop(&self) -> Result<PathBuf, TranscodeError> {
        let failed = |source| TranscodeError::System { what: "make a folder for unfinished outputs", source };
        let scratch = self.scratch.as_ref().map_or(self.root.as_path(), Scratch::path);
        let path = scratch.canonicalize().map_err(failed)?.join("out");
        fs::create_dir(&path).map_err(failed)?;
        Ok(path)
    }

    /// Moves the files to their names and writes the manifest, which is there only when all is.
    pub async fn publish(
        mut self,
        files: &[(PathBuf, String)],
        manifest: &[u8],
    ) -> Result<(), TranscodeError> {
        let failed = |path: &Path, source| match source {
            StoreError::NoSpace { .. } => TranscodeError::NoSpace(path.to_owned()),
            source => TranscodeError::Out { path: path.to_owned(), source },
        };
        let root = self.root.clone();
        if self.force {
            self.forget(files.iter().map(|(_, name)| name.as_str()))
                .await
                .map_err(|error| failed(&root, error))?;
        }
        let mut there = Vec::new();
        let put = async {
            for (file, name) in files {
                there.push(name);
                self.outputs.publish(file, name).await?;
            }
            self.outputs.put_if_absent(FILE_NAME, manifest).await
        };
        match put.await {
            Ok(PutIfAbsent::Created) => {
                self.made.clear();
                Ok(())
            }
            // Another run was faster; these files have taken the place of its own.
            Ok(PutIfAbsent::AlreadyThere) => Err(TranscodeError::Exists(root.join(FILE_NAME))),
            Err(error) => {
                for name in there {
                    // What cannot be removed either is named by no manifest.
                    let _ = self.outputs.remove(name).await;
                }
                Err(failed(&root, error))
            }
        }
    }

    /// Removes the manifest of an earlier run, and of its files those that this one does not replace.
    async fn forget(&self, names: impl Iterator<Item = &str>) -> Result<(), StoreError> {
        let Some(text) = self.outputs.read(FILE_NAME).await? else { return Ok(()) };
        self.outputs.remove(FILE_NAME).await?;
        // What is no manifest of ours names no files of ours.
        let Ok(earlier) = serde_json::from_slice::<Manifest>(&text) else { return Ok(()) };
        let names: Vec<_> = names.collect();
        let is_old = |path: &str| !names.contains(&path);
        for Named { path, bytes, .. } in earlier.files().filter(|old| is_old(old.path)) {
            // Only what is still as that run left it, and nothing outside of the folder.
            let is_inside = Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
            let file = self.root.join(path).metadata();
            if is_inside && file.is_ok_and(|file| file.is_file() && file.len() == bytes) {
                self.outputs.remove(path).await?;
            }
        }
        Ok(())
    }

    /// Removes what is unfinished, also while an ffmpeg that was just killed still writes.
    pub async fn clear(&self) {
        let Some(scratch) = &self.scratch else { return };
        let out = scratch.path().join("out");
        for _ in 0..TRIES {
            match fs::remove_dir_all(&out) {
                Err(error) if error.kind() != ErrorKind::NotFound => sleep(Duration::from_millis(50)).await,
                _ => return,
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // It removes itself, and must do so before the folders around it can go.
        self.scratch = None;
        drop(Made(std::mem::take(&mut self.made)));
    }
}

/// Folders that go again unless they are kept.
struct Made(Vec<PathBuf>);

impl Made {
    fn keep(mut self) -> Vec<PathBuf> {
        std::mem::take(&mut self.0)
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        for folder in self.0.iter().rev() {
            // It stays when someone has put something into it.
            let _ = fs::remove_dir(folder);
        }
    }
}
