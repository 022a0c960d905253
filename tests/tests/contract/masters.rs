//! What a worker may rely on where masters come from.

use std::path::PathBuf;
use std::sync::Arc;

use reelpool_protocol::Source;
use reelpool_protocol::location::FOLDER_BUCKET;
use reelpool_tests::Emulator;
use reelpool_worker::store::{FolderMasters, Masters, S3Masters, StoreError};
use tempfile::TempDir;

use crate::contract;

contract!(
    MastersUnderTest,
    a_master_is_fetched_whole,
    an_empty_master_is_fetched_too,
    without_an_entity_tag_the_newest_is_fetched,
    a_master_that_was_replaced_is_refused,
    a_master_that_is_not_there,
);

/// One of the two, and a way to put masters there.
struct MastersUnderTest {
    masters: Arc<dyn Masters>,
    backend: Backend,
    scratch: TempDir,
}

enum Backend {
    Folder(TempDir),
    S3(Box<Emulator>),
}

impl MastersUnderTest {
    fn embedded() -> Self {
        let folder = TempDir::new().unwrap();
        let masters = Arc::new(FolderMasters::open(folder.path()).unwrap());
        Self { masters, backend: Backend::Folder(folder), scratch: TempDir::new().unwrap() }
    }

    async fn aws() -> Self {
        let emulator = Emulator::start();
        emulator.create_bucket("cats").await;
        let config = crate::aws_config(&emulator).await;
        let masters = Arc::new(S3Masters::new(&config));
        Self { masters, backend: Backend::S3(Box::new(emulator)), scratch: TempDir::new().unwrap() }
    }

    /// Uploads a master; the source names the version that is there now.
    async fn upload(&self, key: &str, bytes: &[u8]) -> Source {
        let (bucket, etag) = match &self.backend {
            Backend::Folder(root) => {
                let file = root.path().join(key);
                std::fs::create_dir_all(file.parent().unwrap()).unwrap();
                // As uploads do it: another file takes the name.
                let part = root.path().join("upload.part");
                std::fs::write(&part, bytes).unwrap();
                std::fs::rename(&part, &file).unwrap();
                (FOLDER_BUCKET, reelpool_spool::masters::etag(&file.metadata().unwrap()))
            }
            Backend::S3(emulator) => {
                let body = bytes.to_vec().into();
                let put = emulator.s3.put_object().bucket("cats").key(key).body(body).send().await.unwrap();
                ("cats", put.e_tag.unwrap().trim_matches('"').to_owned())
            }
        };
        Source { bucket: bucket.to_owned(), key: key.to_owned(), version: None, etag: Some(etag), size: None }
    }

    fn target(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }
}

async fn a_master_is_fetched_whole(on: &MastersUnderTest) {
    // Several ranges, and not a round number.
    let bytes: Vec<u8> = (0..20_000_003_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let source = on.upload("day 1/ü+&% (1).mp4", &bytes).await;
    let target = on.target("input");
    assert_eq!(on.masters.fetch(&source, &target).await.unwrap(), bytes.len() as u64);
    assert!(std::fs::read(&target).unwrap() == bytes);
}

async fn an_empty_master_is_fetched_too(on: &MastersUnderTest) {
    let source = on.upload("empty.mp4", b"").await;
    assert_eq!(on.masters.fetch(&source, &on.target("input")).await.unwrap(), 0);
    assert_eq!(std::fs::read(on.target("input")).unwrap(), b"");
}

async fn without_an_entity_tag_the_newest_is_fetched(on: &MastersUnderTest) {
    on.upload("a.mp4", b"first").await;
    let newest = on.upload("a.mp4", b"second").await;
    let source = Source { etag: None, ..newest };
    assert_eq!(on.masters.fetch(&source, &on.target("input")).await.unwrap(), 6);
    assert_eq!(std::fs::read(on.target("input")).unwrap(), b"second");
}

async fn a_master_that_was_replaced_is_refused(on: &MastersUnderTest) {
    let first = on.upload("a.mp4", b"first").await;
    let second = on.upload("a.mp4", b"other").await;
    let refused = on.masters.fetch(&first, &on.target("first")).await.unwrap_err();
    assert!(matches!(refused, StoreError::Changed { .. }), "{refused:?}");
    assert!(refused.is_permanent() && refused.to_string().contains("a.mp4"), "{refused}");
    assert_eq!(on.masters.fetch(&second, &on.target("second")).await.unwrap(), 5);
}

async fn a_master_that_is_not_there(on: &MastersUnderTest) {
    let there = on.upload("a.mp4", b"first").await;
    let source = Source { key: "b.mp4".to_owned(), etag: None, ..there };
    let refused = on.masters.fetch(&source, &on.target("input")).await.unwrap_err();
    assert!(matches!(refused, StoreError::NotFound { .. }), "{refused:?}");
    assert!(refused.is_permanent() && refused.to_string().contains("b.mp4"), "{refused}");
}
