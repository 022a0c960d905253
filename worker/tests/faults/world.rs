//! One machine: a folder of masters, a queue, a folder of outputs; the workers in it; and what must be true of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use reelpool_protocol::claim::{self, FOLDER as CLAIMS};
use reelpool_protocol::location::FOLDER_BUCKET;
use reelpool_protocol::manifest::{ATTEMPTS, FILE_NAME, FORMAT, Manifest};
use reelpool_protocol::message::s3_event;
use reelpool_protocol::{JobId, Ladder, Profile, Source};
use reelpool_spool::{QueueOptions, Redrive};
use reelpool_worker::hex::hex;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::script::Script;
use crate::worker::Setup;

const LADDER: &str = "120p,60p";

/// One machine.
#[derive(Debug)]
pub struct World {
    dir: TempDir,
    queue: reelpool_spool::Queue,
    begun: Instant,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// The videos, as they are now, that some message asked for.
    videos: Vec<Source>,
    /// Other masters that some message asked for.
    others: Vec<Source>,
    /// Each manifest as a reader first saw it.
    seen: BTreeMap<PathBuf, Vec<u8>>,
    calls: Vec<String>,
    violations: Vec<String>,
    received_at: Option<Instant>,
}

/// One second of 160x120 with sound.
fn clip() -> &'static Path {
    static CLIP: OnceLock<PathBuf> = OnceLock::new();
    CLIP.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        fs::create_dir_all(folder).unwrap();
        let clip = folder.join("faults-160x120.mp4");
        // Another test process may be making it too.
        let part = folder.join(format!("faults-{}.part", std::process::id()));
        let mut command = Command::new("ffmpeg");
        command.args(["-v", "error", "-y", "-f", "lavfi", "-i", "testsrc2=size=160x120:rate=25:duration=1"]);
        command.args(["-f", "lavfi", "-i", "sine=frequency=440:duration=1", "-c:v", "libx264"]);
        command.args(["-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac", "-f", "mp4"]);
        let output = command.arg(&part).output().expect("ffmpeg is installed");
        assert!(output.status.success(), "ffmpeg: {}", String::from_utf8_lossy(&output.stderr));
        fs::rename(&part, &clip).unwrap();
        clip
    })
}

pub fn ladder() -> Ladder {
    LADDER.parse().unwrap()
}

/// The worker's: a file beside the renditions, and no more, so that there are not too many steps to fail.
pub fn profile() -> Profile {
    Profile::from_json(r#"{"packaging":["mp4"],"poster":true,"storyboard":false}"#).unwrap()
}

fn id_of(source: &Source) -> JobId {
    JobId::of(source, &ladder(), &profile())
}

impl World {
    pub fn new() -> Arc<Self> {
        let dir = TempDir::new().unwrap();
        fs::create_dir(dir.path().join("masters")).unwrap();
        let options = QueueOptions { max_receives: 1000 };
        let queue = reelpool_spool::Queue::open(&dir.path().join("queue"), options).unwrap();
        Arc::new(Self { dir, queue, begun: Instant::now(), inner: Mutex::default() })
    }

    /// The path of a part of the world.
    pub fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A master that is a video.
    pub fn video(&self, key: &str) -> Source {
        fs::copy(clip(), self.at("masters").join(key)).unwrap();
        let source = self.source(key);
        self.inner.lock().unwrap().videos.push(source.clone());
        source
    }

    /// A video of which the message will not tell the version.
    pub fn untagged(&self, key: &str) -> Source {
        Source { etag: None, size: None, ..self.video(key) }
    }

    /// A master that is not a video.
    pub fn text(&self, key: &str) -> Source {
        fs::write(self.at("masters").join(key), "Buy milk.\n".repeat(100)).unwrap();
        let source = self.source(key);
        self.inner.lock().unwrap().others.push(source.clone());
        source
    }

    fn source(&self, key: &str) -> Source {
        let metadata = fs::metadata(self.at("masters").join(key)).unwrap();
        Source {
            bucket: FOLDER_BUCKET.to_owned(),
            key: key.to_owned(),
            version: None,
            etag: Some(reelpool_spool::masters::etag(&metadata)),
            size: Some(metadata.len()),
        }
    }

    /// Sends one message that asks for all of `sources`.
    pub fn send(&self, sources: &[Source]) {
        let records: Vec<Value> = sources
            .iter()
            .map(|source| {
                let event: Value =
                    serde_json::from_str(&s3_event(source, "2026-01-31T12:00:00.000Z")).unwrap();
                event["Records"][0].clone()
            })
            .collect();
        self.send_text(&json!({ "Records": records }).to_string());
    }

    /// Sends a message.
    pub fn send_text(&self, body: &str) {
        self.queue.send(body, Duration::ZERO).unwrap();
    }

    /// A fresh, healthy worker works until the queue is empty.
    pub async fn finish(self: &Arc<Self>) {
        if !self.is_empty() {
            let script = Script::new(self, Vec::new());
            let worker = self.worker("healthy", &Setup::default(), &script);
            worker.run_until(|| self.is_empty()).await.unwrap();
        }
        assert!(self.is_empty(), "the queue is not empty\n{self}");
    }

    /// Whether no message waits, is delayed or is in hand.
    pub fn is_empty(&self) -> bool {
        let counts = self.queue.counts().unwrap();
        counts.waiting + counts.in_flight + counts.delayed == 0
    }

    /// How many messages wait to be received.
    pub fn waiting(&self) -> u64 {
        self.queue.counts().unwrap().waiting
    }

    /// Gives a message in hand to someone else, who gives it back at once.
    pub fn steal(&self, receipt: &str) {
        loop {
            // When it is held no more, it is visible or gone already.
            let was_held = self.queue.extend(&receipt.parse().unwrap(), Duration::ZERO).is_ok();
            if let Some(stolen) = self.queue.receive(Duration::from_secs(30)).unwrap() {
                return self.queue.extend(&stolen.receipt, Duration::ZERO).unwrap();
            }
            // Where it was held, a beat has come in between and holds it again.
            if !was_held {
                return;
            }
        }
    }

    /// Sends all dead letters anew.
    pub fn redrive(&self) {
        assert_eq!(self.queue.redrive(Redrive::All).unwrap(), 1, "{self}");
    }

    /// Makes all claims as old as those of workers that died long ago.
    pub fn lapse_claims(&self) {
        for claim in self.claims() {
            let long_ago = SystemTime::now() - Duration::from_secs(24 * 3600);
            // Its holder may remove it just now.
            let _ = fs::File::options().append(true).open(claim).and_then(|file| file.set_modified(long_ago));
        }
    }

    /// The claims that stand.
    pub fn claims(&self) -> BTreeSet<PathBuf> {
        let claims = |file: &PathBuf| file.parent().is_some_and(|folder| folder.ends_with(CLAIMS));
        files_below(&self.at("outputs")).into_iter().filter(claims).collect()
    }

    /// Another worker, of whom nothing more is heard, claims the job of `source` for `holds_for` from now.
    pub fn claim_for_another(&self, source: &Source, holds_for: Duration) -> PathBuf {
        let prefix = id_of(source).output_prefix(source);
        let path = self.at("outputs").join(claim::key(&prefix, 1));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let holds_for = holds_for.as_millis();
        fs::write(&path, format!(r#"{{"attempt":"a","worker":"w","holds_for_ms":{holds_for}}}"#)).unwrap();
        path
    }

    pub fn note(&self, worker: &str, text: &str) {
        let line = format!("{:7.3} s  {worker:<8} {text}", self.begun.elapsed().as_secs_f64());
        self.inner.lock().unwrap().calls.push(line);
    }

    /// Something was done that must not be; told when all is over.
    pub fn violated(&self, text: String) {
        self.note("!", &text);
        self.inner.lock().unwrap().violations.push(text);
    }

    /// A message has just been received.
    pub fn received(&self) {
        self.inner.lock().unwrap().received_at = Some(Instant::now());
    }

    /// When a message was received last.
    pub fn received_at(&self) -> Option<Instant> {
        self.inner.lock().unwrap().received_at
    }

    /// A worker is about to delete the message: all it asked for must be there.
    pub fn about_to_delete(&self) {
        let (videos, others) = {
            let inner = self.inner.lock().unwrap();
            (inner.videos.clone(), inner.others.clone())
        };
        if let Some(source) = others.first() {
            self.violated(format!("the message is deleted though {source} failed"));
        }
        for source in videos {
            if let Err(problem) = self.committed(&source) {
                self.violated(format!("the message is deleted and {problem}"));
            }
        }
    }

    /// Sees the store as a reader does: where there is a manifest, all of it is there, and stays the same.
    pub fn look(&self) {
        let videos = self.inner.lock().unwrap().videos.clone();
        for source in videos {
            let manifest = self.manifest_of(&source);
            let Ok(bytes) = fs::read(&manifest) else { continue };
            if let Err(problem) = self.committed(&source) {
                self.violated(format!("a reader sees that {problem}"));
            }
            let first = self.inner.lock().unwrap().seen.entry(manifest).or_insert(bytes.clone()).clone();
            if first != bytes {
                self.violated(format!("the manifest of {source} changed"));
            }
        }
    }

    fn job_folder(&self, source: &Source) -> PathBuf {
        self.at("outputs").join(id_of(source).output_prefix(source))
    }

    fn manifest_of(&self, source: &Source) -> PathBuf {
        self.job_folder(source).join(FILE_NAME)
    }

    /// The files that are the outputs of a committed job; what is wrong where it is not committed as it should be.
    fn committed(&self, source: &Source) -> Result<BTreeSet<PathBuf>, String> {
        let path = self.manifest_of(source);
        let problem = |text: String| format!("{source}: {text}");
        let text = fs::read(&path).map_err(|error| problem(format!("{}: {error}", path.display())))?;
        let manifest: Manifest = serde_json::from_slice(&text).map_err(|error| problem(error.to_string()))?;
        let Manifest { format, job_id, attempt, ladder: rungs, renditions, .. } = &manifest;
        if (*format, *job_id, rungs) != (FORMAT, id_of(source), &ladder()) {
            return Err(problem("the manifest is another job's".to_owned()));
        }
        let names: Vec<_> = renditions.iter().map(|rendition| rendition.name.as_str()).collect();
        if names != ["120p", "60p"] {
            return Err(problem(format!("the renditions are {names:?}")));
        }
        let mut files = BTreeSet::from([path]);
        for named in manifest.files() {
            if !named.path.starts_with(&format!("{ATTEMPTS}/{attempt}/")) {
                return Err(problem(format!("{} is another attempt's", named.path)));
            }
            let file = self.job_folder(source).join(named.path);
            let bytes = fs::read(&file).map_err(|error| problem(format!("{}: {error}", file.display())))?;
            let sha256 = hex(&Sha256::digest(&bytes));
            if (bytes.len() as u64, sha256.as_str()) != (named.bytes, named.sha256) {
                return Err(problem(format!("{} is not what the manifest says", named.path)));
            }
            files.insert(file);
        }
        Ok(files)
    }

    /// The message is gone, each video is committed, and nothing else is left anywhere.
    pub fn assert_committed(&self) {
        self.assert_settled(0);
        self.assert_outputs_of_videos();
    }

    /// Each video is committed, and there is no other file.
    pub fn assert_outputs_of_videos(&self) {
        let mut expected = BTreeSet::new();
        for source in &self.inner.lock().unwrap().videos {
            expected.extend(self.committed(source).unwrap_or_else(|problem| panic!("{problem}")));
        }
        self.assert_files(&expected);
    }

    /// The message is a dead letter for `reason`.
    pub fn assert_dead(&self, reason: &str) {
        self.assert_settled(1);
        let letters = self.queue.dead_letters(10).unwrap();
        assert_eq!(letters[0].reason, reason, "{letters:?}\n{self}");
        assert!(!letters[0].detail.is_empty(), "{letters:?}");
    }

    pub fn assert_no_outputs(&self) {
        self.assert_files(&BTreeSet::new());
    }

    fn assert_settled(&self, dead: u64) {
        assert!(self.is_empty(), "{self}");
        assert_eq!(self.queue.counts().unwrap().dead, dead, "{:?}\n{self}", self.queue.dead_letters(10));
        assert_eq!(files_below(&self.at("scratch")), BTreeSet::new(), "scratch is not empty\n{self}");
    }

    fn assert_files(&self, expected: &BTreeSet<PathBuf>) {
        let found = files_below(&self.at("outputs"));
        let missing: Vec<_> = expected.difference(&found).collect();
        let stray: Vec<_> = found.difference(expected).collect();
        assert!(missing.is_empty() && stray.is_empty(), "missing {missing:#?}, stray {stray:#?}\n{self}");
    }

    pub fn assert_no_violation(&self) {
        let violations = self.inner.lock().unwrap().violations.clone();
        assert!(violations.is_empty(), "{violations:#?}\n{self}");
    }
}

impl fmt::Display for World {
    /// The calls in their order.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = self.inner.lock().unwrap();
        writeln!(f, "in the queue: {:?}", self.queue.counts())?;
        inner.calls.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

pub fn files_below(folder: &Path) -> BTreeSet<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return BTreeSet::new() };
    let mut files = BTreeSet::new();
    for entry in entries {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            files.extend(files_below(&entry.path()));
        } else {
            files.insert(entry.path());
        }
    }
    files
}
