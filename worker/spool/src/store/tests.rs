use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::Barrier;
use std::thread;

use rustix::io::Errno;

use super::*;

fn store() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("store")).unwrap();
    (dir, store)
}

fn put(store: &Store, key: &str, bytes: &[u8]) {
    assert_eq!(store.put_if_absent(key, bytes).unwrap(), Put::Created, "{key}");
}

/// Everything below the store's folder, folders with a `/` at the end.
fn names(store: &Store) -> Vec<String> {
    fn walk(dir: &Path, root: &Path, names: &mut Vec<String>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            if path.is_dir() {
                names.push(format!("{name}/"));
                walk(&path, root, names);
            } else {
                names.push(name);
            }
        }
    }
    let mut found = Vec::new();
    walk(store.root(), store.root(), &mut found);
    found.sort();
    found
}

#[test]
fn objects_are_put_got_and_deleted_without_a_trace() {
    let (dir, store) = store();
    let file = dir.path().join("file");
    fs::write(&file, b"copied").unwrap();
    store.put_file(&file, "a/b/c.mp4").unwrap();
    assert!(file.exists());
    assert_eq!(store.get("a/b/c.mp4", 6).unwrap().unwrap(), b"copied");
    fs::write(&file, b"moved").unwrap();
    store.move_file(&file, "a/b/c.mp4").unwrap();
    assert!(!file.exists());
    assert_eq!(fs::read(store.root().join("a/b/c.mp4")).unwrap(), b"moved");
    assert_eq!(names(&store), ["a/", "a/b/", "a/b/c.mp4"]);
    let mut text = String::new();
    store.open_object("a/b/c.mp4").unwrap().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "moved");
    assert!(store.delete("a/b/c.mp4").unwrap());
    assert!(!store.delete("a/b/c.mp4").unwrap());
    assert_eq!(names(&store), Vec::<String>::new());
    assert!(store.root().is_dir());
}

#[test]
fn what_is_absent_is_none() {
    let (_dir, store) = store();
    put(&store, "a/b", b"x");
    for key in ["a", "a/", "a/b/c", "b", "a/b/", "/a/b", "../x"] {
        assert_eq!(store.get(key, 10).unwrap(), None, "{key}");
        assert!(store.open_object(key).unwrap().is_none(), "{key}");
        assert!(!store.delete(key).unwrap(), "{key}");
    }
    assert!(matches!(store.get("", 10), Err(SpoolError::Key { .. })));
}

#[test]
fn an_object_beyond_the_limit_is_refused() {
    let (_dir, store) = store();
    put(&store, "k", b"12345");
    assert!(matches!(store.get("k", 4), Err(SpoolError::TooLarge { bytes: 5, limit: 4, .. })));
    assert_eq!(store.get("k", 5).unwrap().unwrap(), b"12345");
}

#[test]
fn the_second_write_if_absent_changes_nothing() {
    let (_dir, store) = store();
    put(&store, "m/manifest.json", b"first");
    assert_eq!(store.put_if_absent("m/manifest.json", b"second").unwrap(), Put::AlreadyThere);
    assert_eq!(store.get("m/manifest.json", 10).unwrap().unwrap(), b"first");
    assert_eq!(names(&store), ["m/", "m/manifest.json"]);
}

#[test]
fn an_object_and_a_folder_of_one_name_clash() {
    let (dir, store) = store();
    put(&store, "a", b"x");
    put(&store, "b/c", b"x");
    let file = dir.path().join("file");
    fs::write(&file, b"x").unwrap();
    for key in ["a/b", "b", "a/b/c"] {
        assert!(matches!(store.put_if_absent(key, b"y"), Err(SpoolError::KeyClash { .. })), "{key}");
        assert!(matches!(store.put_file(&file, key), Err(SpoolError::KeyClash { .. })), "{key}");
        assert!(matches!(store.move_file(&file, key), Err(SpoolError::KeyClash { .. })), "{key}");
    }
    assert!(file.exists());
    assert_eq!(names(&store), ["a", "b/", "b/c"]);
}

#[test]
fn strange_keys_are_objects_like_any_other() {
    let (_dir, store) = store();
    let long = "é".repeat(500);
    let mut keys =
        ["../up", "/abs", "a//b", "t/", "c\n\0", "100%", ".incoming/x", "p/./q", "p/../q", long.as_str()];
    for key in keys {
        put(&store, key, key.as_bytes());
    }
    keys.sort_unstable();
    assert_eq!(store.list("").unwrap(), keys);
    for key in keys {
        assert!(store.path(key).unwrap().starts_with(store.root()));
        assert_eq!(store.get(key, 2000).unwrap().unwrap(), key.as_bytes());
        assert!(store.delete(key).unwrap());
    }
    assert_eq!(names(&store), Vec::<String>::new());
}

#[test]
fn a_list_is_by_text_and_sorted() {
    let (_dir, store) = store();
    for key in ["a/10", "a/1/x", "a/1/y", "a!", "b"] {
        put(&store, key, b"");
    }
    assert_eq!(store.list("").unwrap(), ["a!", "a/1/x", "a/1/y", "a/10", "b"]);
    assert_eq!(store.list("a").unwrap(), ["a!", "a/1/x", "a/1/y", "a/10"]);
    assert_eq!(store.list("a/1").unwrap(), ["a/1/x", "a/1/y", "a/10"]);
    assert_eq!(store.list("a/1/").unwrap(), ["a/1/x", "a/1/y"]);
    assert_eq!(store.list("b/").unwrap(), Vec::<String>::new());
    assert_eq!(store.list("c/d").unwrap(), Vec::<String>::new());
}

#[test]
fn foreign_files_and_links_are_not_listed() {
    let (dir, store) = store();
    put(&store, "a/b", b"");
    fs::write(store.root().join("a/%zz"), b"").unwrap();
    symlink(dir.path(), store.root().join("a/link")).unwrap();
    assert_eq!(store.list("").unwrap(), ["a/b"]);
    assert_eq!(store.delete_prefix("a/").unwrap(), 1);
    assert!(store.root().join("a/%zz").exists());
    assert!(dir.path().exists());
}

#[test]
fn a_prefix_is_deleted_with_its_empty_folders() {
    let (_dir, store) = store();
    for key in ["m/j/attempts/1/a", "m/j/attempts/1/b", "m/j/attempts/2/a", "m/k/x"] {
        put(&store, key, b"");
    }
    fs::create_dir_all(store.root().join("m/j/attempts/1/left/by/a/killed/writer")).unwrap();
    assert_eq!(store.delete_prefix("m/j/attempts/1/").unwrap(), 2);
    assert_eq!(store.list("").unwrap(), ["m/j/attempts/2/a", "m/k/x"]);
    assert!(!store.root().join("m/j/attempts/1").exists());
    assert_eq!(store.delete_prefix("m/j/").unwrap(), 1);
    assert_eq!(names(&store), ["m/", "m/k/", "m/k/x"]);
    assert!(matches!(store.delete_prefix(""), Err(SpoolError::Key { .. })));
    assert_eq!(store.delete_prefix("none/").unwrap(), 0);
}

#[test]
fn leftovers_of_the_dead_are_swept_and_those_of_the_living_are_not() {
    let (_dir, store) = store();
    let incoming = store.root().join(INCOMING);
    let mut living = TempFile::create(&incoming).unwrap();
    living.file().write_all(b"half").unwrap();
    fs::write(incoming.join("dead"), b"half").unwrap();
    let other = Store::open(store.root()).unwrap();
    assert!(!incoming.join("dead").exists());
    assert!(living.path().exists());
    assert_eq!(other.list("").unwrap(), Vec::<String>::new(), "unfinished files are no objects");
    drop(living);
    assert!(!incoming.exists());
}

#[test]
fn a_place_that_may_not_be_written_is_said_so() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, b"").unwrap();
    assert!(Store::open(&file.join("store")).is_err());
    // Nobody may write here, root included.
    let proc = Store::open(Path::new("/proc/reelpool"));
    assert!(proc.is_err());
    let locked = dir.path().join("locked");
    fs::create_dir(&locked).unwrap();
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o555)).unwrap();
    // Root may write anywhere: then there is no failure to look at.
    if fs::create_dir(locked.join("probe")).is_err() {
        assert!(matches!(Store::open(&locked.join("store")), Err(SpoolError::NotWritable { .. })));
    }
}

#[test]
fn failures_are_sorted_by_what_a_person_can_do() {
    let path = Path::new("/data/x");
    let error = |errno: Errno| SpoolError::io("write", path, errno.into());
    assert!(matches!(error(Errno::NOSPC), SpoolError::NoSpace { .. }));
    assert!(matches!(error(Errno::DQUOT), SpoolError::NoSpace { .. }));
    assert!(matches!(error(Errno::ACCESS), SpoolError::NotWritable { .. }));
    assert!(matches!(error(Errno::PERM), SpoolError::NotWritable { .. }));
    assert!(matches!(error(Errno::ROFS), SpoolError::NotWritable { .. }));
    assert!(matches!(error(Errno::NOENT), SpoolError::NotFound { .. }));
    assert!(matches!(error(Errno::IO), SpoolError::Io { .. }));
    assert!(error(Errno::NOSPC).to_string().contains("/data/x"));
}

#[test]
fn one_of_eight_racing_threads_creates() {
    let (_dir, store) = store();
    let barrier = Barrier::new(8);
    for round in 0..40 {
        let key = format!("r/{round}/manifest.json");
        let (store, key, barrier) = (&store, key.as_str(), &barrier);
        let winners: Vec<usize> = thread::scope(|scope| {
            let racers: Vec<_> = (0..8)
                .map(|racer: usize| {
                    scope.spawn(move || {
                        barrier.wait();
                        let put =
                            store.put_if_absent(key, racer.to_string().repeat(1000).as_bytes()).unwrap();
                        (put == Put::Created).then_some(racer)
                    })
                })
                .collect();
            racers.into_iter().filter_map(|racer| racer.join().unwrap()).collect()
        });
        assert_eq!(winners.len(), 1, "round {round}");
        let content = store.get(key, 10_000).unwrap().unwrap();
        assert_eq!(content, winners[0].to_string().repeat(1000).as_bytes());
    }
    assert!(!store.root().join(INCOMING).exists());
}

/// Writers and deleters of neighbours race: no write fails because an emptied folder was removed under it.
#[test]
fn folders_come_and_go_under_writers() {
    let (_dir, store) = store();
    thread::scope(|scope| {
        for writer in 0..4 {
            let store = &store;
            scope.spawn(move || {
                for _ in 0..60 {
                    let key = format!("deep/down/here/{writer}");
                    put(store, &key, b"x");
                    assert!(store.delete(&key).unwrap());
                }
            });
        }
    });
    assert_eq!(names(&store), Vec::<String>::new());
}
