//! What a worker may rely on where it publishes.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use reelpool_protocol::claim;
use reelpool_tests::{Emulator, results};
use reelpool_worker::claim::{Claim, Taken};
use reelpool_worker::store::{FolderOutputs, Outputs, PutIfAbsent, S3Outputs};
use tempfile::TempDir;

use crate::contract;

contract!(
    OutputsUnderTest,
    what_is_published_is_there_whole,
    a_large_file_is_published_and_retrieved_whole,
    what_is_not_there_is_not_retrieved,
    what_is_not_there_reads_as_nothing,
    the_first_manifest_stays,
    of_many_writers_one_wins,
    one_attempt_is_kept_and_the_others_go,
    keys_are_names_and_no_more,
    what_is_written_again_is_as_new,
    a_list_tells_ages_by_the_stores_clock,
    what_is_removed_is_gone_and_may_be_gone_already,
    a_claim_is_one_workers_until_it_lapses,
    a_finished_jobs_claims_go_with_its_attempts,
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

async fn a_large_file_is_published_and_retrieved_whole(on: &OutputsUnderTest) {
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
    let into = on.scratch.path().join("retrieved");
    assert!(on.outputs.retrieve("large.mp4", &into).await.unwrap());
    assert!(std::fs::read(&into).unwrap() == bytes);
    // What is written over is not the store's.
    std::fs::write(&into, "other").unwrap();
    let again = on.scratch.path().join("again");
    assert!(on.outputs.retrieve("large.mp4", &again).await.unwrap());
    assert!(std::fs::read(&again).unwrap() == bytes);
    on.outputs.retrieve("large.mp4", &again).await.unwrap_err();
}

async fn what_is_not_there_is_not_retrieved(on: &OutputsUnderTest) {
    let into = on.scratch.path().join("retrieved");
    assert!(!on.outputs.retrieve("a/pieces/00000-720p.mp4", &into).await.unwrap());
    assert!(!into.exists());
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

async fn what_is_written_again_is_as_new(on: &OutputsUnderTest) {
    let key = "a/attempts/claims/1";
    on.outputs.put(key, b"first").await.unwrap();
    tokio::time::sleep(Duration::from_millis(2500)).await;
    let again = std::time::Instant::now();
    on.outputs.put(key, b"second, and longer").await.unwrap();
    assert_eq!(on.outputs.read(key).await.unwrap().as_deref(), Some(&b"second, and longer"[..]));
    let listed = on.outputs.list("a/").await.unwrap();
    // S3 tells whole seconds.
    let oldest = again.elapsed() + Duration::from_secs(1);
    assert!(listed[0].age.is_some_and(|age| age <= oldest), "{listed:?}, written {oldest:?} ago at most");
    assert_eq!(on.keys().await, [key], "and nothing else");
}

async fn a_list_tells_ages_by_the_stores_clock(on: &OutputsUnderTest) {
    assert_eq!(on.outputs.list("a/attempts/claims/").await.unwrap(), []);
    on.outputs.put_if_absent("a/attempts/claims/1", b"one").await.unwrap();
    tokio::time::sleep(Duration::from_millis(3100)).await;
    for key in
        ["a/attempts/claims/2", "a/attempts/claims/10", "a/attempts/claimsmen/1", "ab/attempts/claims/1"]
    {
        on.outputs.put_if_absent(key, key.as_bytes()).await.unwrap();
    }
    let mut listed = on.outputs.list("a/attempts/claims/").await.unwrap();
    listed.sort_by(|a, b| a.key.cmp(&b.key));
    let keys: Vec<_> = listed.iter().map(|listed| listed.key.as_str()).collect();
    assert_eq!(keys, ["a/attempts/claims/1", "a/attempts/claims/10", "a/attempts/claims/2"]);
    let ages: Vec<_> = listed.iter().map(|listed| listed.age.expect("the store tells it")).collect();
    // S3 tells whole seconds.
    let second = Duration::from_secs(1);
    assert!(ages[0] >= 2 * second && ages[0] <= 60 * second, "{ages:?}");
    assert!(ages[1] < ages[0] && ages[2] < ages[0], "{ages:?}");
}

async fn what_is_removed_is_gone_and_may_be_gone_already(on: &OutputsUnderTest) {
    for key in ["a/attempts/claims/1", "a/attempts/claims/10"] {
        on.outputs.put(key, b"x").await.unwrap();
    }
    for _ in 0..2 {
        on.outputs.remove("a/attempts/claims/1").await.unwrap();
        assert_eq!(on.keys().await, ["a/attempts/claims/10"]);
    }
}

fn claim_on(on: &OutputsUnderTest, attempt: &str, holds_for: Duration) -> Claim {
    Claim::new(Arc::clone(&on.outputs), "a.mp4/1f".to_owned(), attempt, "worker", holds_for)
}

async fn a_claim_is_one_workers_until_it_lapses(on: &OutputsUnderTest) {
    let holds_for = Duration::from_secs(6);
    let takers: Vec<_> = (0..8)
        .map(|attempt| {
            let mut claim = claim_on(on, &attempt.to_string(), holds_for);
            tokio::spawn(async move { (claim.take(false).await.unwrap(), claim) })
        })
        .collect();
    let (mut ours, mut others) = (Vec::new(), Vec::new());
    for taker in takers {
        match taker.await.unwrap() {
            (Taken::Ours, claim) => ours.push(claim),
            (Taken::Elsewhere(left), claim) => {
                assert!(left <= holds_for, "{left:?}");
                others.push(claim);
            }
        }
    }
    assert_eq!((ours.len(), others.len()), (1, 7), "exactly one has it");

    // Renewed, it lasts; let rest, it lapses and another takes it over.
    let (beat, beats) = tokio::sync::watch::channel(0);
    ours[0].keep(&tokio::runtime::Handle::current(), beats, || None);
    for beaten in 1..=6 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        beat.send(beaten).unwrap();
        let taken = others[0].take(false).await.unwrap();
        assert!(matches!(taken, Taken::Elsewhere(_)), "after {beaten} s: {taken:?}");
    }
    ours[0].rest().await;
    tokio::time::sleep(holds_for + Duration::from_millis(1100)).await;
    assert_eq!(others[0].take(false).await, Ok(Taken::Ours));
    assert_eq!(on.keys().await, [claim::key("a.mp4/1f", 2)], "the lapsed claim is gone");

    // Released, it is there for the next at once.
    for claim in ours.into_iter().chain(others) {
        claim.release().await;
    }
    assert_eq!(on.keys().await, [""; 0]);
    assert_eq!(claim_on(on, "next", holds_for).take(false).await, Ok(Taken::Ours));
}

async fn a_finished_jobs_claims_go_with_its_attempts(on: &OutputsUnderTest) {
    claim_on(on, "1", Duration::from_secs(60)).take(false).await.unwrap();
    claim_on(on, "2", Duration::from_secs(60)).take(true).await.unwrap();
    on.outputs.publish(&on.file(b"x"), "a.mp4/1f/attempts/2/720p.mp4").await.unwrap();
    on.outputs.remove_all_but("a.mp4/1f/attempts/", Some("a.mp4/1f/attempts/2/")).await.unwrap();
    assert_eq!(on.keys().await, ["a.mp4/1f/attempts/2/720p.mp4"]);
}
