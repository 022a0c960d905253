//! Folders on this machine.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use reelpool_protocol::Source;
use reelpool_spool::{Put, SpoolError, Store};
use tokio::task::spawn_blocking;

use super::{Listed, MAX_READ, Masters, Outputs, PutIfAbsent, StoreError, check_room};

/// Masters in a folder.
#[derive(Debug, Clone)]
pub struct FolderMasters {
    folder: Arc<reelpool_spool::Masters>,
}

/// Outputs in a folder.
#[derive(Debug, Clone)]
pub struct FolderOutputs {
    store: Arc<Store>,
}

impl FolderMasters {
    /// Opens the folder, which must exist.
    ///
    /// # Errors
    /// When it does not, or cannot be read.
    pub fn open(root: &Path) -> Result<Self, StoreError> {
        let folder = reelpool_spool::Masters::open(root).map_err(|error| failed(&error))?;
        Ok(Self { folder: Arc::new(folder) })
    }
}

impl FolderOutputs {
    /// Opens the folder, making it if need be.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn open(root: &Path) -> Result<Self, StoreError> {
        let store = Store::open(root).map_err(|error| failed(&error))?;
        Ok(Self { store: Arc::new(store) })
    }

    /// Runs `work` where it may block.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> Result<T, SpoolError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let store = Arc::clone(&self.store);
        blocking(move || work(&store)).await.map_err(StoreError::of_outputs)
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SpoolError> + Send + 'static,
) -> Result<T, StoreError> {
    match spawn_blocking(work).await {
        Ok(done) => done.map_err(|error| failed(&error)),
        Err(error) => Err(StoreError::Unavailable { what: "a folder".to_owned(), detail: error.to_string() }),
    }
}

impl FolderMasters {
    /// A master that is not there is gone for good only if its folder is there.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&reelpool_spool::Masters) -> Result<T, SpoolError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let folder = Arc::clone(&self.folder);
        blocking(move || {
            work(&folder).map_err(|error| match error {
                SpoolError::NotFound { .. } if !folder.root().is_dir() => SpoolError::Io {
                    action: "read",
                    path: folder.root().to_owned(),
                    source: std::io::ErrorKind::NotFound.into(),
                },
                other => other,
            })
        })
        .await
    }
}

#[async_trait]
impl Masters for FolderMasters {
    async fn identify(&self, source: &Source) -> Result<Source, StoreError> {
        let key = source.key.clone();
        let stat = self.blocking(move |folder| folder.stat(&key)).await?;
        Ok(Source { etag: Some(stat.etag), size: Some(stat.bytes), ..source.clone() })
    }

    async fn fetch(&self, source: &Source, into: &Path) -> Result<u64, StoreError> {
        let key = source.key.clone();
        let bytes = self.blocking(move |folder| folder.stat(&key)).await?.bytes;
        check_room(into.parent().unwrap_or(into), bytes)?;
        let (source, into) = (source.clone(), into.to_path_buf());
        let fetch =
            move |folder: &reelpool_spool::Masters| folder.fetch(&source.key, source.etag.as_deref(), &into);
        self.blocking(fetch).await.map(|stat| stat.bytes)
    }

    async fn check(&self, source: &Source) -> Result<(), StoreError> {
        let Some(etag) = source.etag.clone() else { return Ok(()) };
        let key = source.key.clone();
        self.blocking(move |folder| folder.check(&key, &etag)).await
    }
}

#[async_trait]
impl Outputs for FolderOutputs {
    async fn publish(&self, file: &Path, key: &str) -> Result<(), StoreError> {
        let (file, key) = (file.to_path_buf(), key.to_owned());
        self.blocking(move |store| store.move_file(&file, &key)).await
    }

    async fn retrieve(&self, key: &str, into: &Path) -> Result<bool, StoreError> {
        let (key, into) = (key.to_owned(), into.to_path_buf());
        self.blocking(move |store| store.copy_out(&key, &into)).await
    }

    async fn put_if_absent(&self, key: &str, bytes: &[u8]) -> Result<PutIfAbsent, StoreError> {
        let (key, bytes) = (key.to_owned(), bytes.to_vec());
        let put = self.blocking(move |store| store.put_if_absent(&key, &bytes)).await?;
        Ok(match put {
            Put::Created => PutIfAbsent::Created,
            Put::AlreadyThere => PutIfAbsent::AlreadyThere,
        })
    }

    async fn read(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let key = key.to_owned();
        self.blocking(move |store| store.get(&key, MAX_READ)).await
    }

    async fn put(&self, key: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let (key, bytes) = (key.to_owned(), bytes.to_vec());
        self.blocking(move |store| store.put(&key, &bytes)).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Listed>, StoreError> {
        let prefix = prefix.to_owned();
        let found = self.blocking(move |store| store.list_aged(&prefix)).await?;
        Ok(found.into_iter().map(|(key, age)| Listed { key, age }).collect())
    }

    async fn remove(&self, key: &str) -> Result<(), StoreError> {
        let key = key.to_owned();
        self.blocking(move |store| store.delete(&key).map(drop)).await
    }

    async fn remove_all_but(&self, prefix: &str, keep: Option<&str>) -> Result<(), StoreError> {
        let (prefix, keep) = (prefix.to_owned(), keep.map(str::to_owned));
        self.blocking(move |store| {
            for key in store.list(&prefix)? {
                if !keep.as_deref().is_some_and(|keep| key.starts_with(keep)) {
                    store.delete(&key)?;
                }
            }
            Ok(())
        })
        .await
    }
}

/// What a failure of a folder means.
pub(crate) fn failed(error: &SpoolError) -> StoreError {
    let detail = error.to_string();
    match error {
        SpoolError::NotFound { path } => StoreError::NotFound { what: path.display().to_string() },
        SpoolError::Changed { path, .. } => StoreError::Changed { what: path.display().to_string() },
        SpoolError::NoSpace { path } => StoreError::NoSpace { place: path.display().to_string(), detail },
        SpoolError::NotWritable { path, .. } => {
            StoreError::Denied { what: path.display().to_string(), detail }
        }
        SpoolError::Key { key, .. } | SpoolError::KeyClash { key, .. } => {
            StoreError::BadKey { what: key.clone(), detail }
        }
        _ => StoreError::Unavailable { what: "a folder".to_owned(), detail },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_folder_that_is_gone_is_no_verdict_on_the_master() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("masters");
        std::fs::create_dir(&root).unwrap();
        let masters = FolderMasters::open(&root).unwrap();
        let source =
            Source { bucket: "masters".into(), key: "a.mp4".into(), version: None, etag: None, size: None };
        let gone = masters.identify(&source).await.unwrap_err();
        assert!(matches!(gone, StoreError::NotFound { .. }) && gone.is_permanent(), "{gone}");
        std::fs::remove_dir(&root).unwrap();
        for gone in [
            masters.identify(&source).await.unwrap_err(),
            masters.fetch(&source, &dir.path().join("into")).await.unwrap_err(),
        ] {
            assert!(!gone.is_permanent(), "{gone}");
        }
    }

    #[test]
    fn nothing_that_outputs_say_is_a_verdict_on_the_master() {
        let what = || "renditions".to_owned();
        for error in [StoreError::NotFound { what: what() }, StoreError::Changed { what: what() }] {
            assert!(!error.of_outputs().is_permanent());
        }
    }
}
