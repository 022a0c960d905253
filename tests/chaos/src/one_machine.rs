//! The fleet of processes: `reelpool up`, over folders and the embedded queue, or over SQS and S3.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use reelpool_cluster::Daemon;
use reelpool_protocol::manifest::FILE_NAME;
use reelpool_tests::process::{Listed, processes};
use reelpool_tests::{Emulator, Machine, binaries, results};
use rustix::process::{Pid, Signal, kill_process};

use crate::cloud::{Cloud, MASTERS, RENDITIONS};
use crate::lasting::Lasting;
use crate::outputs::Outputs;
use crate::proxy::Weather;
use crate::shell::{self, Shell};
use crate::storm::{Blow, Sky, Strike};
use crate::tally::Tally;
use crate::verdict::Verdict;
use crate::witness::Witness;
use crate::work::{self, Job};

/// Short: a killed worker's job is offered again soon.
const VISIBILITY: Duration = Duration::from_secs(7);
/// The most workers.
const WORKERS: &str = "5";
/// How long `reelpool up` may take to end once it is told to.
const ENDS_WITHIN: Duration = Duration::from_secs(90);
/// How long a master that was put down while nobody watched may take to become a message.
const NOTICED_WITHIN: Duration = Duration::from_secs(60);
/// One that ended by itself is started again after so long, as by systemd.
const AGAIN: Duration = Duration::from_secs(1);

/// Runs `videos` jobs of `seed` over the fleet of processes: with folders when the seed is even, with SQS and S3 when
/// it is odd.
pub async fn run(seed: u64, videos: usize) -> Verdict {
    let cloud = !seed.is_multiple_of(2);
    let tally = Tally::default();
    let work = work::draw(seed, videos, cloud);
    let cloud = if cloud { Some(Cloud::start(seed, VISIBILITY, tally.clone()).await) } else { None };
    let shell = if cloud.is_some() { "processes, SQS and S3" } else { "processes, folders" };
    let verdict = Verdict { shell, seed, faults: tally.clone(), ..Verdict::default() };
    shell::run(OneMachine::start(cloud, tally), &work, verdict).await
}

/// `reelpool up` and what is done to it.
struct OneMachine {
    machine: Machine,
    cloud: Option<Cloud>,
    witness: Witness,
    tally: Tally,
    up: Option<Daemon>,
    /// When it is started again, if it does not run.
    up_at: Instant,
    /// When it was last seen to run.
    up_ran_at: SystemTime,
    /// When each `reelpool up` was told to end or died, by its process id.
    ended: BTreeMap<i32, SystemTime>,
    /// The workers that the storm told to stop.
    told: BTreeSet<i32>,
    /// How many masters lie in the folder.
    masters: u64,
    /// Since when some of them are neither in the queue nor done.
    unnoticed_since: Option<Instant>,
    lasting: Lasting,
}

impl OneMachine {
    fn start(cloud: Option<Cloud>, tally: Tally) -> Self {
        let machine = Machine::new();
        let witness = Witness::new(&machine.root().join("witness"));
        let mut this = Self {
            machine,
            cloud,
            witness,
            tally,
            up: None,
            up_at: Instant::now(),
            up_ran_at: SystemTime::now(),
            ended: BTreeMap::new(),
            told: BTreeSet::new(),
            masters: 0,
            unnoticed_since: None,
            lasting: Lasting::default(),
        };
        this.start_up();
        if let Some(cloud) = &this.cloud {
            let root = this.machine.root().to_path_buf();
            cloud.proxy.killer(move |who| kill_worker_at(who, &root));
            cloud.proxy.weather(Weather::Breeze);
        }
        this
    }

    fn start_up(&mut self) {
        let endpoint = self.cloud.as_ref().map(|cloud| cloud.proxy.endpoint());
        let mut command = Command::new(binaries::reelpool());
        command.arg("up").arg("--data").arg(self.machine.data());
        command.arg("--worker").arg(self.witness.program(endpoint.as_deref()));
        command.args(["--ladder", "48p,32p", "--preset", "ultrafast", "--threads", "1"]);
        command.args(["--max-workers", WORKERS, "--zero-after", "3", "--idle", "1", "--grace", "5"]);
        command.args(["--visibility-timeout", &VISIBILITY.as_secs().to_string(), "--max-attempts", "100"]);
        if let (Some(cloud), Some(endpoint)) = (&self.cloud, &endpoint) {
            command.args(["--queue-url", &cloud.queue.url, "--endpoint-url", endpoint]);
            command.args([
                "--masters",
                &format!("s3://{MASTERS}"),
                "--output",
                &format!("s3://{RENDITIONS}"),
            ]);
        }
        Emulator::give_credentials(&mut command);
        self.up = Some(Daemon::spawn("reelpool up", &command, self.machine.root().join("up.log")));
    }

    fn up_pid(&self) -> Option<i32> {
        self.up.as_ref().map(|up| up.pid().as_raw_nonzero().get())
    }

    /// The workers' processes, past those that have ended.
    fn list(&self, program: &str) -> Vec<Listed> {
        let of_us = |process: &Listed| {
            let is_worker = program != "reelpool-worker" || process.command_line.contains(" --worker-id ");
            process.is(program) && is_worker && !process.zombie && process.bears(self.machine.root())
        };
        let mut found: Vec<Listed> = processes().into_iter().filter(of_us).collect();
        found.sort_by_key(|process| process.pid);
        found
    }

    fn pick(&self, program: &str, whom: usize) -> Option<Pid> {
        let found = self.list(program);
        let one = found.get(whom.checked_rem(found.len())?)?;
        Pid::from_raw(one.pid)
    }

    fn signal(&mut self, program: &str, whom: usize, signal: Signal, name: &'static str) -> Option<Pid> {
        let pid = self.pick(program, whom)?;
        kill_process(pid, signal).ok()?;
        self.tally.count(name);
        Some(pid)
    }

    /// How many manifests are in the output folder.
    fn manifests(&self) -> u64 {
        let files = results::files(&self.machine.output());
        files.iter().map(|file| u64::from(file.ends_with(FILE_NAME))).sum()
    }

    /// `reelpool up` has just been told to end, or is dead.
    fn up_ends(&mut self) {
        if let Some(pid) = self.up_pid() {
            self.ended.entry(pid).or_insert_with(SystemTime::now);
        }
    }
}

/// Kills the worker of this address, unless it is none of the machine in `root`.
fn kill_worker_at(who: IpAddr, root: &Path) -> bool {
    let IpAddr::V4(who) = who else { return false };
    let worker = Witness::worker_at(who);
    let ours = |process: &Listed| Some(process.pid) == worker && process.bears(root);
    let Some(pid) =
        processes().iter().find(|process| ours(process)).and_then(|found| Pid::from_raw(found.pid))
    else {
        return false;
    };
    kill_process(pid, Signal::KILL).is_ok()
}

impl Shell for OneMachine {
    fn sky(&self) -> Sky {
        if self.cloud.is_some() { Sky::Cloud } else { Sky::Folders }
    }

    fn outputs(&self) -> Outputs {
        self.cloud.as_ref().map_or_else(|| Outputs::Folder(self.machine.output()), Cloud::outputs)
    }

    fn workers(&self) -> usize {
        self.list("reelpool-worker").len()
    }

    async fn ask(&mut self, job: &Job) {
        self.masters += 1;
        match &self.cloud {
            Some(cloud) => cloud.ask(job).await,
            None if job.kind.is_video() => self.machine.add(&job.clip(), &job.name),
            None => {
                let text = self.machine.root().join("text");
                std::fs::write(&text, "This is no video.\n".repeat(50)).unwrap();
                self.machine.add(&text, &job.name);
            }
        }
    }

    async fn strike(&mut self, blow: Blow) {
        const WORKER: &str = "reelpool-worker";
        const FFMPEG: &str = "ffmpeg";
        match blow.strike {
            Strike::KillWorker => {
                self.signal(WORKER, blow.whom, Signal::KILL, "worker killed");
            }
            Strike::TermWorker => {
                let told = self.signal(WORKER, blow.whom, Signal::TERM, "worker told to stop");
                self.told.extend(told.map(|pid| pid.as_raw_nonzero().get()));
            }
            Strike::StopWorker(time) => {
                let pid = self.signal(WORKER, blow.whom, Signal::STOP, "worker stopped");
                self.lasting.stop(pid, time);
            }
            Strike::KillFfmpeg => {
                self.signal(FFMPEG, blow.whom, Signal::KILL, "ffmpeg killed");
            }
            Strike::StopFfmpeg(time) => {
                let pid = self.signal(FFMPEG, blow.whom, Signal::STOP, "ffmpeg stopped");
                self.lasting.stop(pid, time);
            }
            Strike::KillController(time) => {
                // Its workers are told by the kernel, before we hear of its end.
                self.up_ends();
                if let Some(mut up) = self.up.take() {
                    self.tally.count("controller killed");
                    up.kill();
                    self.up_at = Instant::now() + time;
                }
            }
            Strike::TermController(time) => {
                if let Some(up) = &mut self.up
                    && up.runs()
                {
                    self.tally.count("controller told to stop");
                    let now = SystemTime::now();
                    up.signal(Signal::TERM);
                    self.ended.entry(up.pid().as_raw_nonzero().get()).or_insert(now);
                    self.up_at = Instant::now() + time;
                }
            }
            Strike::StopController(time) => {
                if let Some(up) = &mut self.up
                    && up.runs()
                {
                    self.tally.count("controller stopped");
                    up.signal(Signal::STOP);
                    let pid = up.pid();
                    self.lasting.stop(Some(pid), time);
                }
            }
            Strike::Partition(time) => {
                if let Some(cloud) = &self.cloud {
                    self.lasting.cut_off(&cloud.proxy, time);
                }
            }
            Strike::Squall(time) => {
                if let Some(cloud) = &self.cloud {
                    self.lasting.squall(&cloud.proxy, &self.tally, time);
                }
            }
            Strike::KillApiServer(_) | Strike::CutOffOperator(_) | Strike::DeletePod => {}
        }
    }

    async fn look_after(&mut self) {
        let now = Instant::now();
        self.lasting.end_due(self.cloud.as_ref().map(|cloud| &cloud.proxy), now);
        let looked_at = SystemTime::now();
        if self.up.as_mut().is_some_and(|up| !up.runs()) {
            // It ended by itself at some time since it was last seen to run.
            let (up, last) = (self.up_pid(), self.up_ran_at);
            self.ended.entry(up.unwrap_or_default()).or_insert(last);
            self.up = None;
            self.up_at = self.up_at.max(now + AGAIN);
        }
        self.up_ran_at = looked_at;
        if self.up.is_none() && self.up_at <= now {
            self.start_up();
        }
    }

    async fn calm(&mut self) {
        self.lasting.end_all(self.cloud.as_ref().map(|cloud| &cloud.proxy));
        self.up_at = Instant::now();
    }

    async fn left(&mut self) -> u64 {
        if let Some(cloud) = &self.cloud {
            return cloud.left().await;
        }
        let counts = self.machine.queue().counts().unwrap();
        let messages = counts.waiting + counts.in_flight + counts.delayed;
        // A master that came while nobody watched is a message only some seconds after somebody does.
        let unnoticed = self.masters.saturating_sub(messages + counts.dead + self.manifests());
        if unnoticed == 0 || messages > 0 {
            self.unnoticed_since = None;
            return messages;
        }
        let since = *self.unnoticed_since.get_or_insert_with(Instant::now);
        if since.elapsed() < NOTICED_WITHIN { unnoticed } else { 0 }
    }

    fn logs(&self) -> Vec<PathBuf> {
        vec![self.machine.root().to_path_buf(), self.machine.root().join("witness")]
    }

    async fn close(&mut self, verdict: &mut Verdict) -> Vec<String> {
        if let Some(mut up) = self.up.take() {
            self.ended.entry(up.pid().as_raw_nonzero().get()).or_insert_with(SystemTime::now);
            up.signal(Signal::TERM);
            let _ = tokio::task::block_in_place(|| up.wait(ENDS_WITHIN));
        }
        verdict.workers = self.witness.workers();
        verdict.jobs_begun = self.witness.jobs();
        verdict.interrupted = self.witness.interrupted(&self.told, &self.ended);
        let processes = processes().into_iter().filter(|one| one.bears(self.machine.root()) && !one.zombie);
        verdict.leftovers.extend(processes.map(|process| process.command_line));
        let scratch = results::files(&self.machine.data().join("scratch"));
        verdict.leftovers.extend(scratch.iter().map(|file| file.display().to_string()));
        if let Some(cloud) = &self.cloud {
            return cloud.take_dead_letters().await;
        }
        let queue = self.machine.queue();
        verdict.leftovers.extend(queue.integrity_check().unwrap());
        let letters = queue.dead_letters(10_000).unwrap();
        letters.into_iter().map(|letter| letter.body).collect()
    }
}
