use super::*;
use async_trait::async_trait;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;

use crate::store::FolderOutputs;

const PREFIX: &str = "a.mp4/1f";
const HOLDS: Duration = Duration::from_secs(90);

/// What an object says, and its age.
type Object = (Vec<u8>, Option<Duration>);

/// A store in memory that says of each object how old it is.
#[derive(Debug, Default)]
struct Aged {
    objects: Mutex<BTreeMap<String, Object>>,
    puts: Mutex<u32>,
    /// A conditional write is done, and its answer lost.
    loses_answers: bool,
    never_answers: bool,
}

impl Aged {
    fn with(claims: &[(u32, &str, Option<u64>)]) -> Self {
        let objects = claims.iter().map(|(number, says, age)| {
            (claim::key(PREFIX, *number), (says.as_bytes().to_vec(), age.map(Duration::from_secs)))
        });
        Self { objects: Mutex::new(objects.collect()), ..Self::default() }
    }

    fn keys(&self) -> Vec<String> {
        self.objects.lock().unwrap().keys().cloned().collect()
    }

    fn says(&self, number: u32) -> claim::Claim {
        let objects = self.objects.lock().unwrap();
        serde_json::from_slice(&objects[&claim::key(PREFIX, number)].0).unwrap()
    }
}

#[async_trait]
impl Outputs for Aged {
    async fn publish(&self, _: &Path, _: &str) -> Result<(), StoreError> {
        panic!("a claim publishes nothing")
    }

    async fn retrieve(&self, _: &str, _: &Path) -> Result<bool, StoreError> {
        panic!("a claim is read, not retrieved")
    }

    async fn put_if_absent(&self, key: &str, bytes: &[u8]) -> Result<PutIfAbsent, StoreError> {
        let mut objects = self.objects.lock().unwrap();
        if objects.contains_key(key) {
            return Ok(PutIfAbsent::AlreadyThere);
        }
        objects.insert(key.to_owned(), (bytes.to_vec(), Some(Duration::ZERO)));
        let lost = StoreError::Unavailable { what: key.to_owned(), detail: "reset".to_owned() };
        if self.loses_answers { Err(lost) } else { Ok(PutIfAbsent::Created) }
    }

    async fn read(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.objects.lock().unwrap().get(key).map(|(bytes, _)| bytes.clone()))
    }

    async fn put(&self, key: &str, bytes: &[u8]) -> Result<(), StoreError> {
        self.objects.lock().unwrap().insert(key.to_owned(), (bytes.to_vec(), Some(Duration::ZERO)));
        *self.puts.lock().unwrap() += 1;
        Ok(())
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Listed>, StoreError> {
        if self.never_answers {
            std::future::pending::<()>().await;
        }
        let objects = self.objects.lock().unwrap();
        let under = objects.iter().filter(|(key, _)| key.starts_with(prefix));
        Ok(under.map(|(key, (_, age))| Listed { key: key.clone(), age: *age }).collect())
    }

    async fn remove(&self, key: &str) -> Result<(), StoreError> {
        self.objects.lock().unwrap().remove(key);
        Ok(())
    }

    async fn remove_all_but(&self, _: &str, _: Option<&str>) -> Result<(), StoreError> {
        panic!("a claim removes claims only")
    }
}

fn claim_of<S: Outputs + 'static>(attempt: &str, store: &Arc<S>) -> Claim {
    Claim::new(Arc::clone(store) as Arc<dyn Outputs>, PREFIX.to_owned(), attempt, "worker", HOLDS)
}

fn says(holds_for_s: u64, left_s: Option<u64>) -> String {
    let says = claim::Claim {
        attempt: "other".to_owned(),
        worker: "w".to_owned(),
        holds_for_ms: holds_for_s * 1000,
        left_ms: left_s.map(|left| left * 1000),
    };
    serde_json::to_string(&says).unwrap()
}

/// What a newcomer finds where these claims stand.
async fn taken(claims: &[(u32, &str, Option<u64>)]) -> Taken {
    claim_of("mine", &Arc::new(Aged::with(claims))).take(false).await.unwrap()
}

fn elsewhere(seconds: u64) -> Taken {
    Taken::Elsewhere(Duration::from_secs(seconds))
}

#[tokio::test]
async fn a_claim_keeps_others_away_until_it_lapses() {
    let other = says(100, None);
    assert_eq!(taken(&[]).await, Taken::Ours);
    assert_eq!(taken(&[(1, &other, Some(0))]).await, elsewhere(100));
    assert_eq!(taken(&[(1, &other, Some(99))]).await, elsewhere(1));
    assert_eq!(taken(&[(1, &other, Some(100))]).await, Taken::Ours);
    // The highest number counts, and ten comes after nine.
    assert_eq!(taken(&[(9, &other, Some(0)), (10, &other, Some(100))]).await, Taken::Ours);
    assert_eq!(taken(&[(9, &other, Some(100)), (10, &other, Some(0))]).await, elsewhere(100));
}

#[tokio::test]
async fn no_claim_keeps_others_away_for_ever() {
    // Written in the future, or who knows when.
    assert_eq!(taken(&[(1, &says(100, None), None)]).await, Taken::Ours);
    assert_eq!(taken(&[(1, &says(u64::MAX / 1000, None), Some(60))]).await, elsewhere(12 * 3600 - 60));
    // By a worker that says it in another way.
    assert_eq!(taken(&[(1, "{}", Some(60))]).await, elsewhere(30));
    assert_eq!(taken(&[(1, "", Some(90))]).await, Taken::Ours);
}

#[tokio::test]
async fn an_estimate_lengthens_the_wait_and_not_the_claim() {
    assert_eq!(taken(&[(1, &says(100, Some(400)), Some(60))]).await, elsewhere(340));
    assert_eq!(taken(&[(1, &says(100, Some(10)), Some(60))]).await, elsewhere(40));
    assert_eq!(taken(&[(1, &says(100, Some(1_000_000)), Some(0))]).await, elsewhere(3600));
    assert_eq!(taken(&[(1, &says(100, Some(1_000_000)), Some(100))]).await, Taken::Ours);
}

#[tokio::test]
async fn whoever_takes_over_removes_what_has_lapsed_but_nothing_that_lives() {
    let other = says(100, None);
    let store = Arc::new(Aged::with(&[(3, &other, Some(500)), (4, &other, Some(100))]));
    assert_eq!(claim_of("mine", &store).take(false).await, Ok(Taken::Ours));
    assert_eq!(store.keys(), [claim::key(PREFIX, 5)]);

    let store = Arc::new(Aged::with(&[(4, &other, Some(5))]));
    assert_eq!(claim_of("mine", &store).take(true).await, Ok(Taken::Ours));
    assert_eq!(store.keys(), [claim::key(PREFIX, 4), claim::key(PREFIX, 5)]);
    assert_eq!(store.says(5).attempt, "mine");
}

#[tokio::test]
async fn of_many_that_come_at_once_one_gets_it() {
    for stand in [None, Some("lapsed")] {
        let folder = tempfile::tempdir().unwrap();
        let outputs = Arc::new(FolderOutputs::open(folder.path()).unwrap());
        if stand.is_some() {
            outputs.put(&claim::key(PREFIX, 7), says(0, None).as_bytes()).await.unwrap();
        }
        let tasks: Vec<_> = (0..8)
            .map(|n| {
                let mut claim = claim_of(&n.to_string(), &outputs);
                tokio::spawn(async move { claim.take(false).await.unwrap() })
            })
            .collect();
        let mut ours = 0;
        for task in tasks {
            ours += usize::from(task.await.unwrap() == Taken::Ours);
        }
        assert_eq!(ours, 1, "{stand:?}");
        assert_eq!(outputs.list("").await.unwrap().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_seen_through_and_a_store_that_never_answers_is_not_waited_for() {
    let store = Arc::new(Aged { loses_answers: true, ..Aged::default() });
    assert_eq!(claim_of("mine", &store).take(false).await, Ok(Taken::Ours));
    let store = Arc::new(Aged { never_answers: true, ..Aged::default() });
    assert!(matches!(claim_of("mine", &store).take(false).await, Err(StoreError::Unavailable { .. })));
    claim_of("mine", &store).release().await;
}

#[tokio::test]
async fn a_release_removes_the_own_claim_and_no_other() {
    let store = Arc::new(Aged::default());
    let mut mine = claim_of("mine", &store);
    mine.take(false).await.unwrap();
    let mut other = claim_of("other", &store);
    other.take(true).await.unwrap();
    mine.release().await;
    assert_eq!(store.keys(), [claim::key(PREFIX, 2)]);
    assert_eq!(taken(&[(2, &says(90, None), Some(0))]).await, elsewhere(90));
    // One that was never taken has nothing to release.
    claim_of("third", &store).release().await;
    assert_eq!(store.keys(), [claim::key(PREFIX, 2)]);
}

#[tokio::test]
async fn it_is_renewed_at_each_beat_and_rests_when_told_or_when_the_beats_end() {
    let store = Arc::new(Aged::default());
    let (beat, beats) = watch::channel(0);
    let mut mine = claim_of("mine", &store);
    mine.take(false).await.unwrap();
    mine.keep(&Handle::current(), beats.clone(), || Some(Duration::from_secs(7)));
    for beaten in 1..=3 {
        beat.send(u64::from(beaten)).unwrap();
        while *store.puts.lock().unwrap() < beaten {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!((store.says(1).left_ms, store.says(1).attempt.as_str()), (Some(7000), "mine"));
    mine.rest().await;
    beat.send(4).unwrap();
    tokio::task::yield_now().await;
    assert_eq!(*store.puts.lock().unwrap(), 3);

    mine.keep(&Handle::current(), beats, || None);
    drop(beat);
    let Some(Renewing { task, stop: _stop }) = mine.renewing.take() else { panic!("it is kept") };
    timeout(Duration::from_secs(5), task).await.unwrap().unwrap();
}
