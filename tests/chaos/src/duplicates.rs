//! One message that is delivered to several workers at once, again and again: what is committed, and what it costs.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::Command;
use std::time::{Duration, Instant};

use reelpool_cluster::{Answer, Daemon, Samples};
use reelpool_tests::{Emulator, binaries};
use tempfile::TempDir;
use tokio::time::sleep;

use crate::cloud::{Cloud, MASTERS, RENDITIONS};
use crate::reader::Reader;
use crate::tally::Tally;
use crate::work::Job;

const WORKERS: u8 = 5;
const VISIBILITY: Duration = Duration::from_secs(20);
const STATUS_PORT: u16 = 8080;
/// Ten times what a round takes on a busy machine.
const ROUND_WITHIN: Duration = Duration::from_secs(120);

/// What came of it.
#[derive(Debug, Default)]
pub struct Cost {
    /// How many messages were delivered to all workers at once.
    pub rounds: usize,
    /// How many deliveries there were beyond the first of each.
    pub copies: u64,
    /// How often something was transcoded, to its end or not.
    pub transcodes: u64,
    /// The time that all transcodes took.
    pub spent: Duration,
    /// The time that those took whose outputs were committed.
    pub needed: Duration,
    /// What is wrong with what is in the store, in words.
    pub broken: Vec<String>,
}

impl Cost {
    /// How many transcodes' worth of time a round wasted on average, beyond the one that was needed.
    #[must_use]
    pub fn wasted(&self) -> f64 {
        self.spent.saturating_sub(self.needed).as_secs_f64()
            / self.needed.as_secs_f64().max(f64::MIN_POSITIVE)
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} messages, each delivered to {WORKERS} workers at once ({} copies): {} transcodes, {:.1} s spent of \
             which {:.1} s were needed: {:.3} transcodes wasted on average",
            self.rounds,
            self.copies,
            self.transcodes,
            self.spent.as_secs_f64(),
            self.needed.as_secs_f64(),
            self.wasted()
        )
    }
}

/// Delivers `rounds` messages, one after the other, to five workers at once.
pub async fn run(rounds: usize) -> Cost {
    let tally = Tally::default();
    let cloud = Cloud::start(0, VISIBILITY, tally.clone()).await;
    let folder = TempDir::new().unwrap();
    let addresses: Vec<Ipv4Addr> = (1..=WORKERS).map(|number| Ipv4Addr::new(127, 8, 0, number)).collect();
    let workers: Vec<Daemon> = addresses.iter().map(|address| start(*address, &cloud, &folder)).collect();
    let start = Instant::now();
    while !addresses.iter().all(|address| is_ready(*address)) {
        assert!(start.elapsed() < ROUND_WITHIN, "the workers do not start");
        sleep(Duration::from_millis(50)).await;
    }
    let outputs = cloud.outputs();
    let mut reader = Reader::default();
    for round in 0..rounds {
        let start = Instant::now();
        let job = Job::video(round, format!("{round:03}.mp4"));
        cloud.proxy.copy_next(u64::from(WORKERS) - 1);
        cloud.ask(&job).await;
        while cloud.left().await > 0 || cloud.proxy.holders() > 0 {
            assert!(
                start.elapsed() < ROUND_WITHIN,
                "round {round}: {} messages are left",
                cloud.left().await
            );
            sleep(Duration::from_millis(20)).await;
        }
        reader.look(&outputs).await;
    }
    let mut cost = Cost { rounds, copies: tally.total(), ..Cost::default() };
    for address in &addresses {
        let metrics = metrics(*address);
        let transcoding = [("stage", "transcode")];
        let (seconds, count) = ("reelpool_worker_stage_seconds_sum", "reelpool_worker_stage_seconds_count");
        cost.spent += Duration::from_secs_f64(metrics.sum(seconds, &transcoding));
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small count")]
        let count = metrics.sum(count, &transcoding) as u64;
        cost.transcodes += count;
    }
    let dead = cloud.take_dead_letters().await;
    cost.broken.extend(dead.iter().map(|body| format!("dead: {body}")));
    let found = reader.close(&outputs).await;
    for round in 0..rounds {
        let manifests = found.by_master.get(&format!("in/{round:03}.mp4"));
        if manifests.map_or(0, Vec::len) != 1 {
            cost.broken.push(format!("round {round} has not one manifest: {manifests:?}"));
        }
    }
    let all = found.by_master.values().flatten();
    cost.needed = all.map(|manifest| Duration::from_millis(manifest.timings.transcode_ms)).sum();
    cost.broken.extend(found.strays.into_iter().map(|key| format!("left in the store: {key}")));
    cost.broken.extend(found.unfinished.into_iter().map(|key| format!("an unfinished upload: {key}")));
    cost.broken.extend(found.complaints);
    drop(workers);
    cost
}

fn start(address: Ipv4Addr, cloud: &Cloud, folder: &TempDir) -> Daemon {
    let name = format!("worker-{}", address.octets()[3]);
    let mut command = Command::new(binaries::reelpool_worker());
    Emulator::give_credentials(&mut command);
    command
        .args(["run", "--queue-url", &cloud.queue.url])
        .args(["--endpoint-url", &cloud.proxy.endpoint_of(IpAddr::V4(address))])
        .args(["--masters", &format!("s3://{MASTERS}"), "--output", &format!("s3://{RENDITIONS}")])
        .args(["--ladder", "48p,32p", "--preset", "ultrafast", "--threads", "1"])
        .args(["--visibility-timeout", &VISIBILITY.as_secs().to_string()])
        .args(["--listen", &format!("{address}:{STATUS_PORT}"), "--worker-id", &name])
        .arg("--scratch")
        .arg(folder.path().join("scratch"));
    Daemon::spawn(&name, &command, folder.path().join(format!("{name}.log")))
}

fn is_ready(address: Ipv4Addr) -> bool {
    Answer::of(SocketAddr::from((address, STATUS_PORT)), "/readyz").is_ok_and(|answer| answer.status == 200)
}

fn metrics(address: Ipv4Addr) -> Samples {
    Samples::parse(&Answer::of(SocketAddr::from((address, STATUS_PORT)), "/metrics").unwrap().body)
}
