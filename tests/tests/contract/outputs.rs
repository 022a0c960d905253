//! What a worker may rely on where it publishes.

use std::path::PathBuf;
use std::sync::Arc;

use reelpool_tests::{Emulator, results};
use reelpool_worker::store::{FolderOutputs, Outputs, PutIfAbsent, S3Outputs};
use tempfile::TempDir;

use crate::contract;

contract!(
    OutputsUnderTest,
    what_is_published_is_there_whole,
    a_large_file_is_published_whole,
    what_is_not_there_reads_as_nothing,
    the_first_manifest_stays,
    of_many_writers_one_wins,
    one_attempt_is_kept_and_the_others_go,
    keys_are_names_and_no_more,
);

/// One of the two, and a way to see all that is there.
struct OutputsUnderTest {
    outputs: Arc<dyn Outputs>,
    backend: Backend,
    scratch: TempDir,
}

enum Backend {
    Folder(TempDir),
    S3(Box<Emulator>),
}

impl OutputsUnderTest {
    fn embedded() -> Self {
        let folder = TempDir::new().unwrap();
        let outputs = Arc::new(FolderOutputs::open(folder.path()).unwrap());
        Self { outputs, backend: Backend::Folder(folder), scratch: TempDir::new().unwrap() }
    }

    async fn aws() -> Self {
        let emulator = Emulator::start();
        emulator.create_bucket("renditions").await;
        let config = crate::aws_config(&emulator).await;
        let outputs = Arc::new(S3Outputs::open(&config, "renditions", "out/").await.unwrap());
        Self { outputs, backend: Backend::S3(Box::new(emulator)), scratch: TempDir::new().unwrap() }
    }

    /// A file with these bytes, ready to be published.
    fn file(&self, bytes: &[u8]) -> PathBuf {
        let file = self.scratch.path().join("rendition");
        std::fs::write(&file, bytes).unwrap();
        file
    }

    /// Every key that a reader can see, sorted.
    async fn keys(&self) -> Vec<String> {
        let folder = TempDir::new().unwrap();
        let root = match &self.backend {
            Backend::Folder(root) => root.path().to_path_buf(),
            Backend::S3(emulator) => {
                emulator.download_all("renditions", folder.path()).await;
                folder.path().join("out")
            }
        };
        let files = results::files(&root).into_iter();
        let mut keys: Vec<String> =
            files.map(|file| file.strip_prefix(&root).unwrap().to_str().unwrap().to_owned()).collect();
        keys.sort();
        keys
    }
}

async fn what_is_published_is_there_whole(on: &OutputsUnderTest) {
    on.outputs.publish(&on.file(b"seven twenty"), "a.mp4/job/attempts/1/720p.mp4").await.unwrap();
    let read = on.outputs.read("a.mp4/job/attempts/1/720p.mp4").await.unwrap();
    assert_eq!(read.as_deref(), Some(&b"seven twenty"[..]));
    assert_eq!(on.keys().await, ["a.mp4/job/attempts/1/720p.mp4"], "and nothing else");
}

async fn a_large_file_is_published_whole(on: &OutputsUnderTest) {
    // More than one part of a multipart upload, and not a round number.
    let bytes: Vec<u8> = (0..20_000_003_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    on.outputs.publish(&on.file(&bytes), "large.mp4").await.unwrap();
    let found = match &on.backend {
        Backend::Folder(root) => std::fs::read(root.path().join("large.mp4")).unwrap(),
        Backend::S3(emulator) => {
            let folder = TempDir::new().unwrap();
            emulator.download_all("renditions", folder.path()).await;
            std::fs::read(folder.path().join("out/large.mp4")).unwrap()
        }
    };
    assert!(found == bytes, "{} bytes of {}", found.len(), bytes.len());
    assert_eq!(on.keys().await, ["large.mp4"]);
}

async fn what_is_not_there_reads_as_nothing(on: &OutputsUnderTest) {
    assert_eq!(on.outputs.read("a/manifest.json").await.unwrap(), None);
    on.outputs.remove_all_but("a/", None).await.unwrap();
}

async fn the_first_manifest_stays(on: &OutputsUnderTest) {
    let key = "a/manifest.json";
    assert_eq!(on.outputs.put_if_absent(key, b"first").await.unwrap(), PutIfAbsent::Created);
    assert_eq!(on.outputs.put_if_absent(key, b"second").await.unwrap(), PutIfAbsent::AlreadyThere);
    assert_eq!(on.outputs.read(key).await.unwrap().as_deref(), Some(&b"first"[..]));
    assert_eq!(on.keys().await, [key]);
}

async fn of_many_writers_one_wins(on: &OutputsUnderTest) {
    for round in 0..10 {
        let key = format!("{round}/manifest.json");
        let writers: Vec<_> = (0..8_u8)
            .map(|writer| {
                let (outputs, key) = (Arc::clone(&on.outputs), key.clone());
                tokio::spawn(async move { outputs.put_if_absent(&key, &[b'0' + writer]).await.unwrap() })
            })
            .collect();
        let mut winners = Vec::new();
        for (writer, task) in (0..8_u8).zip(writers) {
            if task.await.unwrap() == PutIfAbsent::Created {
                winners.push(b'0' + writer);
            }
        }
        assert_eq!(winners.len(), 1, "round {round}: exactly one writes it");
        assert_eq!(on.outputs.read(&key).await.unwrap(), Some(winners));
    }
}

async fn one_attempt_is_kept_and_the_others_go(on: &OutputsUnderTest) {
    for key in
        ["a/attempts/1/720p.mp4", "a/attempts/2/720p.mp4", "a/attempts/2/360p.mp4", "a/attempts/22/720p.mp4"]
    {
        on.outputs.publish(&on.file(key.as_bytes()), key).await.unwrap();
    }
    on.outputs.publish(&on.file(b"another master's"), "ab/attempts/1/720p.mp4").await.unwrap();
    on.outputs.remove_all_but("a/attempts/", Some("a/attempts/2/")).await.unwrap();
    assert_eq!(on.keys().await, ["a/attempts/2/360p.mp4", "a/attempts/2/720p.mp4", "ab/attempts/1/720p.mp4"]);
    on.outputs.remove_all_but("a/attempts/", None).await.unwrap();
    assert_eq!(on.keys().await, ["ab/attempts/1/720p.mp4"]);
}

async fn keys_are_names_and_no_more(on: &OutputsUnderTest) {
    let keys = ["+ & % # ?.mp4/x", "day 1/ü 🎬 (1).mp4/x", "quote's \"here\"/x", "semi;colon=comma,at@/x"];
    for key in keys {
        on.outputs.publish(&on.file(key.as_bytes()), key).await.unwrap();
    }
    for key in keys {
        assert_eq!(on.outputs.read(key).await.unwrap().as_deref(), Some(key.as_bytes()), "{key}");
    }
    // A folder may write some characters in another way; it may not make two names one.
    assert_eq!(on.keys().await.len(), keys.len());
}
