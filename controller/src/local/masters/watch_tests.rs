use super::*;
use reelpool_protocol::JobRequest;
use reelpool_protocol::location::FOLDER_BUCKET;
use reelpool_protocol::message::{self, Message};
use reelpool_spool::QueueOptions;
use std::fs;

fn queue(dir: &Path) -> Arc<Queue> {
    Arc::new(Queue::open(&dir.join("queue"), QueueOptions::default()).unwrap())
}

fn folder(dir: &Path) -> Folder {
    let root = dir.join("masters");
    fs::create_dir_all(&root).unwrap();
    Folder { root: root.canonicalize().unwrap(), except: Vec::new() }
}

async fn wait_for(watch: &mut MastersWatch, what: impl Fn(&MastersState) -> bool) -> MastersState {
    let found =
        tokio::time::timeout(Duration::from_secs(20), watch.state.wait_for(|state| what(state))).await;
    *found.expect("in time").expect("the watch lives")
}

fn next_job(queue: &Queue) -> JobRequest {
    let received = queue.receive(Duration::from_secs(60)).unwrap().expect("a message");
    match message::parse(&received.body).unwrap() {
        Message::Jobs(mut jobs) => jobs.remove(0),
        Message::Nothing(why) => panic!("{why:?}"),
    }
}

#[tokio::test]
async fn a_master_that_is_moved_in_is_enqueued_once_over_restarts() {
    let dir = tempfile::tempdir().unwrap();
    let (folder, queue) = (folder(dir.path()), queue(dir.path()));
    let mut watch = start(folder.clone(), Arc::clone(&queue), Defaults::default());
    wait_for(&mut watch, |state| state.settled).await;
    fs::write(dir.path().join("cat ü.mp4"), "meow").unwrap();
    fs::create_dir(folder.root.join("sub")).unwrap();
    fs::rename(dir.path().join("cat ü.mp4"), folder.root.join("sub/cat ü.mp4")).unwrap();
    let state = wait_for(&mut watch, |state| state.enqueued == 1 && state.settled).await;
    assert_eq!(state.refused, 0);
    drop(watch);

    let mut watch = start(folder.clone(), Arc::clone(&queue), Defaults::default());
    let state = wait_for(&mut watch, |state| state.settled).await;
    assert_eq!(state.enqueued, 0);
    assert_eq!(queue.counts().unwrap().waiting, 1);
    let job = next_job(&queue);
    assert_eq!((job.source.bucket.as_str(), job.source.key.as_str()), (FOLDER_BUCKET, "sub/cat ü.mp4"));
    assert_eq!(job.source.size, Some(4));
    assert_eq!(job.source.etag, Some(folder.look("sub/cat ü.mp4").unwrap().version.etag));
    assert_eq!(job.ladder, None);
}

#[tokio::test]
async fn another_profile_asks_for_each_master_again() {
    let dir = tempfile::tempdir().unwrap();
    let (folder, queue) = (folder(dir.path()), queue(dir.path()));
    fs::write(folder.root.join("a.mp4"), "a").unwrap();
    let av1 = Defaults { profile: Profile::built_in("av1").unwrap(), ..Defaults::default() };
    for (defaults, waiting) in
        [(Defaults::default(), 1), (av1.clone(), 2), (av1, 2), (Defaults::default(), 2)]
    {
        let mut watch = start(folder.clone(), Arc::clone(&queue), defaults);
        wait_for(&mut watch, |state| state.settled).await;
        assert_eq!(queue.counts().unwrap().waiting, waiting);
    }
    assert_eq!(next_job(&queue).profile, None, "the workers have it from their command line");
}

#[tokio::test]
async fn a_master_is_not_enqueued_while_it_is_written_and_its_new_content_is_a_new_master() {
    use std::io::Write;
    let dir = tempfile::tempdir().unwrap();
    let (folder, queue) = (folder(dir.path()), queue(dir.path()));
    let mut watch = start(folder.clone(), Arc::clone(&queue), Defaults::default());
    wait_for(&mut watch, |state| state.settled).await;
    let mut file = fs::File::create(folder.root.join("a.mp4")).unwrap();
    file.write_all(b"one").unwrap();
    wait_for(&mut watch, |state| state.awaited == 1).await;
    // A second master that is complete shows that the first one was passed over.
    fs::write(dir.path().join("b.mp4"), "b").unwrap();
    fs::rename(dir.path().join("b.mp4"), folder.root.join("b.mp4")).unwrap();
    let state = wait_for(&mut watch, |state| state.enqueued == 1).await;
    assert!(!state.settled);
    assert_eq!(next_job(&queue).source.key, "b.mp4");
    file.write_all(b" two").unwrap();
    drop(file);
    wait_for(&mut watch, |state| state.enqueued == 2 && state.settled).await;
    assert_eq!(next_job(&queue).source.size, Some(7));
    fs::write(folder.root.join("a.mp4"), "three").unwrap();
    wait_for(&mut watch, |state| state.enqueued == 3).await;
    assert_eq!(next_job(&queue).source.size, Some(5));
}

#[tokio::test]
async fn a_ladder_file_goes_with_its_master_and_a_bad_one_keeps_it_back() {
    let dir = tempfile::tempdir().unwrap();
    let (folder, queue) = (folder(dir.path()), queue(dir.path()));
    for (name, content) in
        [("a.mp4", "a"), ("a.mp4.ladder", "480p 720p"), ("b.mp4", "b"), ("b.mp4.ladder", "tall")]
    {
        fs::write(folder.root.join(name), content).unwrap();
    }
    let mut watch = start(folder.clone(), Arc::clone(&queue), Defaults::default());
    let state = wait_for(&mut watch, |state| state.settled).await;
    assert_eq!((state.enqueued, state.refused), (1, 1));
    let job = next_job(&queue);
    assert_eq!(job.source.key, "a.mp4");
    assert_eq!(job.ladder.unwrap().to_string(), "720p,480p");
    // Set right, it is taken.
    fs::write(folder.root.join("b.mp4.ladder"), "240p").unwrap();
    wait_for(&mut watch, |state| state.enqueued == 2 && state.refused == 0).await;
    assert_eq!(next_job(&queue).ladder.unwrap().to_string(), "240p");
}

#[test]
fn events_of_the_file_system() {
    let event = |kind| read_event(notify::Event::new(kind).add_path("/m/a".into()));
    let file = |notice| vec![Noticed::File("/m/a".into(), notice)];
    assert_eq!(event(EventKind::Access(AccessKind::Close(AccessMode::Write))), file(Notice::Closed));
    assert_eq!(event(EventKind::Modify(ModifyKind::Name(RenameMode::To))), file(Notice::MovedIn));
    assert_eq!(event(EventKind::Create(CreateKind::File)), file(Notice::Created));
    assert_eq!(event(EventKind::Create(CreateKind::Folder)), [Noticed::LookAtAll]);
    assert_eq!(event(EventKind::Modify(ModifyKind::Name(RenameMode::From))), [Noticed::Look("/m/a".into())]);
    // Workers read masters: that is no news.
    assert_eq!(event(EventKind::Access(AccessKind::Open(AccessMode::Any))), []);
    assert_eq!(event(EventKind::Access(AccessKind::Close(AccessMode::Read))), []);
}
