//! A run over one of the shells: what is asked comes in, the storm goes over it, then it is calm until all is done.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::outputs::Outputs;
use crate::reader::Reader;
use crate::storm::{self, Blow, Sky};
use crate::verdict::Verdict;
use crate::work::Job;

/// How often a run looks what is due.
const LOOK: Duration = Duration::from_millis(50);
/// How often the reader looks at the outputs.
const READ_EVERY: Duration = Duration::from_secs(2);
/// The storm goes on until so many of a hundred videos are done, and no longer than this.
const UNTIL_PERCENT: usize = 85;
const LONGEST_STORM: Duration = Duration::from_secs(240);
/// The queue is empty when every look for so long said so.
const EMPTY_FOR: Duration = Duration::from_secs(3);
/// Ten times what it takes; what failed often is tried again only after minutes.
const DONE_WITHIN: Duration = Duration::from_secs(1800);
/// How long the fleet may take to go to zero.
const ZERO_WITHIN: Duration = Duration::from_secs(180);
const TELL_EVERY: Duration = Duration::from_secs(15);

/// A fleet under fire, and the hands that do it harm.
pub trait Shell {
    /// What can be done to it.
    fn sky(&self) -> Sky;
    /// Where its renditions end up.
    fn outputs(&self) -> Outputs;
    /// How many workers there are now.
    fn workers(&self) -> usize;
    /// Asks for a job.
    fn ask(&mut self, job: &Job) -> impl Future<Output = ()>;
    /// Does this to it.
    fn strike(&mut self, blow: Blow) -> impl Future<Output = ()>;
    /// Starts again what was killed, wakes what was stopped, mends what was cut, each when its time has come.
    fn look_after(&mut self) -> impl Future<Output = ()>;
    /// Ends whatever is still being done to it.
    fn calm(&mut self) -> impl Future<Output = ()>;
    /// How many messages are in the queue, in whatever state, or on their way there.
    fn left(&mut self) -> impl Future<Output = u64>;
    /// Folders of its logs, for whoever looks into what went wrong.
    fn logs(&self) -> Vec<PathBuf>;
    /// Ends it, and counts what only it can: who was interrupted, what was left behind. Returns the dead letters'
    /// bodies.
    fn close(&mut self, verdict: &mut Verdict) -> impl Future<Output = Vec<String>>;
}

/// Runs `work` over `shell` and fills in the verdict.
pub async fn run<S: Shell>(mut shell: S, work: &[Job], mut verdict: Verdict) -> Verdict {
    let start = Instant::now();
    let outputs = shell.outputs();
    let mut reader = Reader::default();
    let (mut read, mut told) = (Instant::now(), Instant::now());
    let enough = work.iter().filter(|job| job.kind.is_video()).count() * UNTIL_PERCENT / 100;
    let (mut jobs, mut storm) = (work.iter().peekable(), storm::draw(verdict.seed, shell.sky()).peekable());
    while jobs.peek().is_some() || (reader.manifests() < enough && start.elapsed() < LONGEST_STORM) {
        while let Some(job) = jobs.next_if(|job| job.at <= start.elapsed()) {
            shell.ask(job).await;
        }
        while let Some(blow) = storm.next_if(|blow| blow.at <= start.elapsed()) {
            shell.strike(blow).await;
        }
        shell.look_after().await;
        if read.elapsed() >= READ_EVERY {
            reader.look(&outputs).await;
            read = Instant::now();
        }
        if told.elapsed() >= TELL_EVERY {
            told = Instant::now();
            let (done, workers, time) = (reader.manifests(), shell.workers(), start.elapsed().as_secs());
            eprintln!("{} {}: {time} s, {done} done, {workers} workers", verdict.shell, verdict.seed);
        }
        sleep(LOOK).await;
    }
    shell.calm().await;
    let empty_since = until_empty(&mut shell, &mut reader, &outputs, &verdict).await;
    verdict.left = shell.left().await;
    let zero = Instant::now();
    while verdict.left == 0 && zero.elapsed() < ZERO_WITHIN {
        if shell.workers() == 0 {
            verdict.to_zero = Some(empty_since.elapsed());
            break;
        }
        shell.look_after().await;
        sleep(LOOK).await;
    }
    let dead = shell.close(&mut verdict).await;
    let dead: BTreeSet<String> = crate::cloud::names(&dead, work);
    verdict.judge(work, reader.close(&outputs).await, &dead);
    verdict.took = start.elapsed();
    if !verdict.broken().is_empty() {
        let kept = reelpool_tests::repository().join("target/tmp/storms").join(verdict.seed.to_string());
        for folder in shell.logs() {
            keep(&folder, &kept);
        }
        for broken in verdict.broken() {
            eprintln!("{} {}: {broken}", verdict.shell, verdict.seed);
        }
        eprintln!("the logs are kept in {}", kept.display());
    }
    verdict
}

/// Copies the files of `folder` into `kept`.
fn keep(folder: &Path, kept: &Path) {
    std::fs::create_dir_all(kept).unwrap();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        if entry.path().extension().is_some_and(|end| end == "log") {
            std::fs::copy(entry.path(), kept.join(entry.file_name())).unwrap();
        }
    }
}

/// Waits until the queue is empty and stays so, or for long enough. Returns since when it is.
async fn until_empty<S: Shell>(
    shell: &mut S,
    reader: &mut Reader,
    outputs: &Outputs,
    verdict: &Verdict,
) -> Instant {
    let start = Instant::now();
    let mut told = start;
    let mut empty_since = None;
    loop {
        let left = shell.left().await;
        if left > 0 {
            empty_since = None;
        }
        let since = *empty_since.get_or_insert_with(Instant::now);
        if (left == 0 && since.elapsed() >= EMPTY_FOR) || start.elapsed() >= DONE_WITHIN {
            return since;
        }
        if told.elapsed() >= TELL_EVERY {
            told = Instant::now();
            eprintln!(
                "{} {}: {left} messages, {} workers, {:.0} s after the storm",
                verdict.shell,
                verdict.seed,
                shell.workers(),
                start.elapsed().as_secs_f64()
            );
        }
        shell.look_after().await;
        reader.look(outputs).await;
        sleep(READ_EVERY / 8).await;
    }
}
