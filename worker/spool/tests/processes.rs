//! Several processes on one spool, killed at any moment.
//!
//! Each test starts this binary again with its own name and [`ROLE`] set, and so becomes its own children.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use reelpool_spool::store::INCOMING;
use reelpool_spool::{Put, Queue, QueueOptions, Scratch, SpoolError, Store, scratch};

const ROLE: &str = "REELPOOL_SPOOL_TEST_CHILD";
/// Before each line of a child's own; the test harness prints lines too.
const MARK: &str = "@ ";
const MINUTE: Duration = Duration::from_mins(1);

/// What a child was told; `None` in the parent.
fn child() -> Option<(PathBuf, u64)> {
    let text = env::var(ROLE).ok()?;
    let (number, dir) = text.split_once(' ').unwrap();
    Some((PathBuf::from(dir), number.parse().unwrap()))
}

/// Says a line to the parent, at once: what has been said was true even if the child is killed now.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    // The harness may have left a line open.
    out.write_all(format!("\n{MARK}{line}\n").as_bytes()).unwrap();
    out.flush().unwrap();
}

struct Running {
    process: Child,
    lines: JoinHandle<Vec<String>>,
}

/// Starts a child and returns once it has said its first line.
fn start(test: &str, dir: &Path, number: u64) -> Running {
    let mut process = Command::new(env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(ROLE, format!("{number} {}", dir.display()))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(process.stdout.take().unwrap());
    let whole_lines = std::iter::from_fn(move || {
        let mut line = String::new();
        // A line cut off by the kill has no end and says nothing.
        out.read_line(&mut line).ok()?;
        line.pop().filter(|end| *end == '\n').map(|_| line)
    });
    let mut lines = whole_lines.filter_map(|line| line.strip_prefix(MARK).map(str::to_owned));
    assert_eq!(lines.next().as_deref(), Some("ready"), "the child did not start");
    Running { process, lines: thread::spawn(move || lines.collect()) }
}

impl Running {
    /// Kills it and returns all it said.
    fn kill(mut self) -> Vec<String> {
        self.process.kill().unwrap();
        let status = self.process.wait().unwrap();
        assert_eq!(status.signal(), Some(9), "the child failed by itself before it was killed: {status}");
        self.lines.join().unwrap()
    }

    /// Waits for its good end and returns all it said.
    fn finish(mut self) -> Vec<String> {
        let lines = self.lines.join().unwrap();
        assert!(self.process.wait().unwrap().success());
        lines
    }
}

/// The kill's random moment: up to `ms` after the children began.
fn some_time(ms: u64) {
    thread::sleep(Duration::from_micros(fastrand::u64(0..ms * 1000)));
}

fn open_queue(dir: &Path) -> Queue {
    Queue::open(dir, QueueOptions { max_receives: 1000 }).unwrap()
}

/// Sends, receives, hands back, deletes and buries for ever. Several children use the same identities.
fn churn(dir: &Path, base: u64) {
    say("ready");
    let queue = open_queue(dir);
    for n in base.. {
        let identity = format!("once-{n}");
        queue.send_once(&identity, &identity, Duration::ZERO).unwrap();
        say(&format!("sent {identity}"));
        let own = format!("own-{}-{n}", std::process::id());
        queue.send(&own, Duration::ZERO).unwrap();
        say(&format!("sent {own}"));
        for turn in 0..2 {
            let Some(held) = queue.receive(MINUTE).unwrap() else {
                continue;
            };
            match (n + turn) % 4 {
                0 => queue.retry_after(&held.receipt, Duration::ZERO).unwrap(),
                1 => {
                    queue.dead_letter(&held.receipt, "test", "test").unwrap();
                    say(&format!("buried {}", held.body));
                }
                // Kept: it stays in flight when this process is killed.
                2 if n % 8 == 0 => {}
                _ => {
                    say(&format!("deleting {}", held.body));
                    queue.delete(&held.receipt).unwrap();
                    say(&format!("deleted {}", held.body));
                }
            }
        }
    }
}

/// The values of a column and how often each is there.
fn values(dir: &Path, column: &str, table: &str) -> BTreeMap<String, usize> {
    let connection = rusqlite::Connection::open(dir.join("queue.db")).unwrap();
    let mut statement = connection.prepare(&format!("SELECT {column} FROM {table}")).unwrap();
    let mut counted = BTreeMap::new();
    for value in statement.query_map([], |row| row.get::<_, String>(0)).unwrap() {
        *counted.entry(value.unwrap()).or_default() += 1;
    }
    counted
}

#[test]
fn killed_at_any_moment_the_queue_loses_and_doubles_nothing() {
    if let Some((dir, base)) = child() {
        return churn(&dir, base);
    }
    let dir = tempfile::tempdir().unwrap();
    let mut said: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for round in 0..36 {
        let test = "killed_at_any_moment_the_queue_loses_and_doubles_nothing";
        let children: Vec<_> = (0..3).map(|_| start(test, dir.path(), round * 100_000)).collect();
        some_time(120);
        for line in children.into_iter().flat_map(Running::kill) {
            let (what, body) = line.split_once(' ').unwrap();
            said.entry(what.to_owned()).or_default().insert(body.to_owned());
        }
        assert_eq!(open_queue(dir.path()).integrity_check().unwrap(), Vec::<String>::new(), "round {round}");
    }

    let (live, dead) = (values(dir.path(), "body", "messages"), values(dir.path(), "body", "dead"));
    let none = BTreeSet::new();
    let of = |what: &str| said.get(what).unwrap_or(&none);
    assert!(
        of("sent").len() > 100 && of("deleted").len() > 20 && of("buried").len() > 10,
        "too little was done"
    );
    // An identity is remembered together with its message, whether or not the sender lived to say so.
    let identities = values(dir.path(), "identity", "identities");
    for body in of("sent").iter().chain(identities.keys()) {
        let there = live.contains_key(body) || dead.contains_key(body);
        assert!(there || of("deleting").contains(body), "{body} is lost");
    }
    for body in of("deleted") {
        assert!(!live.contains_key(body) && !dead.contains_key(body), "{body} came back");
    }
    for body in of("buried") {
        assert!(dead.contains_key(body) && !live.contains_key(body), "{body} is not where it was buried");
    }
    for (body, count) in live.iter().chain(&dead) {
        assert!(*count == 1 && !(live.contains_key(body) && dead.contains_key(body)), "{body} is doubled");
    }
    let counts = open_queue(dir.path()).counts().unwrap();
    assert_eq!(counts.waiting + counts.in_flight, u64::try_from(live.len()).unwrap());
    assert_eq!(counts.dead, u64::try_from(dead.len()).unwrap());
}

#[test]
fn killed_while_it_is_made_the_queue_can_be_made_again() {
    if let Some((dir, _)) = child() {
        say("ready");
        let queue = open_queue(&dir);
        queue.send("m", Duration::ZERO).unwrap();
        say("sent");
        thread::sleep(MINUTE);
        return;
    }
    for round in 0..20 {
        let dir = tempfile::tempdir().unwrap();
        let test = "killed_while_it_is_made_the_queue_can_be_made_again";
        let children: Vec<_> = (0..2).map(|n| start(test, &dir.path().join("queue"), n)).collect();
        some_time(12);
        let sent = children.into_iter().flat_map(Running::kill).count();
        let queue = open_queue(&dir.path().join("queue"));
        assert_eq!(queue.integrity_check().unwrap(), Vec::<String>::new());
        let waiting = usize::try_from(queue.counts().unwrap().waiting).unwrap();
        assert!((sent..=2).contains(&waiting), "round {round}: {sent} sent, {waiting} waiting");
    }
}

#[test]
fn racing_processes_receive_each_message_once() {
    if let Some((dir, _)) = child() {
        say("ready");
        let queue = open_queue(&dir);
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while let Some(held) = queue.receive(MINUTE * 10).unwrap() {
                        say(&held.body);
                    }
                });
            }
        });
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let queue = open_queue(dir.path());
    let sent: Vec<String> = (0..300).map(|n| format!("{n:03}")).collect();
    for body in &sent {
        queue.send(body, Duration::ZERO).unwrap();
    }
    let test = "racing_processes_receive_each_message_once";
    let children: Vec<_> = (0..4).map(|n| start(test, dir.path(), n)).collect();
    let mut received: Vec<_> = children.into_iter().flat_map(Running::finish).collect();
    received.sort();
    assert_eq!(received, sent);
    assert_eq!(queue.counts().unwrap().in_flight, 300);
}

#[test]
fn of_racing_processes_one_creates_each_object() {
    if let Some((dir, racer)) = child() {
        let store = Store::open(&dir).unwrap();
        say("ready");
        for n in 0..60 {
            if store.put_if_absent(&format!("{n}/manifest.json"), racer.to_string().as_bytes()).unwrap()
                == Put::Created
            {
                say(&format!("{n} {racer}"));
            }
        }
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let children: Vec<_> =
        (0..8).map(|racer| start("of_racing_processes_one_creates_each_object", dir.path(), racer)).collect();
    let mut winners = BTreeMap::new();
    for line in children.into_iter().flat_map(Running::finish) {
        let (key, racer) = line.split_once(' ').unwrap();
        assert_eq!(winners.insert(key.to_owned(), racer.to_owned()), None, "two created {key}");
    }
    assert_eq!(winners.len(), 60);
    let store = Store::open(dir.path()).unwrap();
    for (key, racer) in winners {
        assert_eq!(store.get(&format!("{key}/manifest.json"), 10).unwrap().unwrap(), racer.as_bytes());
    }
}

/// The content of an object, to be known again whole.
fn content(key: &str) -> Vec<u8> {
    key.as_bytes().repeat(5000)
}

#[test]
fn killed_at_any_moment_the_store_has_whole_objects_only() {
    if let Some((dir, base)) = child() {
        let (root, source) = (dir.join("store"), dir.join(format!("source-{base}")));
        let store = Store::open(&root).unwrap();
        say("ready");
        for n in base.. {
            let (copied, moved, created) = (format!("c/{n}"), format!("m/{n}"), format!("a/{n}/b"));
            fs::write(&source, content(&copied)).unwrap();
            store.put_file(&source, &copied).unwrap();
            say(&copied);
            fs::write(&source, content(&moved)).unwrap();
            store.move_file(&source, &moved).unwrap();
            say(&moved);
            assert_eq!(store.put_if_absent(&created, &content(&created)).unwrap(), Put::Created);
            say(&created);
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged = BTreeSet::new();
    for round in 0..15 {
        let test = "killed_at_any_moment_the_store_has_whole_objects_only";
        let children: Vec<_> = (0..2).map(|n| start(test, dir.path(), (round * 2 + n) * 1_000_000)).collect();
        some_time(60);
        acknowledged.extend(children.into_iter().flat_map(Running::kill));
    }
    let store = Store::open(&dir.path().join("store")).unwrap();
    let found = store.list("").unwrap();
    for key in &found {
        assert_eq!(store.get(key, 1_000_000).unwrap().unwrap(), content(key), "{key} is not whole");
    }
    let found: BTreeSet<_> = found.into_iter().collect();
    assert!(acknowledged.len() > 20, "too little was done");
    assert!(acknowledged.is_subset(&found), "lost: {:?}", acknowledged.difference(&found));
    assert!(!store.root().join(INCOMING).exists(), "leftovers of killed writers are still there");
}

#[test]
fn the_scratch_of_a_killed_worker_is_swept_and_no_other() {
    if let Some((dir, number)) = child() {
        let scratch = Scratch::claim(&dir, &format!("w{number}")).unwrap();
        let attempt = scratch.attempt_dir("a").unwrap();
        fs::write(attempt.path().join("file"), b"x").unwrap();
        say("ready");
        thread::sleep(MINUTE);
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let test = "the_scratch_of_a_killed_worker_is_swept_and_no_other";
    let (dead, living) = (start(test, dir.path(), 1), start(test, dir.path(), 2));
    assert!(matches!(Scratch::claim(dir.path(), "w1"), Err(SpoolError::ScratchInUse { .. })));
    assert_eq!(scratch::sweep(dir.path()).unwrap(), 0);
    dead.kill();
    assert!(dir.path().join("w1/a/file").exists());
    assert_eq!(scratch::sweep(dir.path()).unwrap(), 1);
    assert!(!dir.path().join("w1").exists());
    assert!(dir.path().join("w2/a/file").exists());
    living.kill();
    let claimed = Scratch::claim(dir.path(), "w2").unwrap();
    assert!(!claimed.path().join("a").exists());
}
