//! What a run has come to.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use crate::reader::Found;
use crate::tally::Tally;
use crate::work::Job;

/// Everything that was counted at the end of a run, from outside.
#[derive(Debug, Default)]
pub struct Verdict {
    /// The shell that was under fire.
    pub shell: &'static str,
    /// What the run was drawn from.
    pub seed: u64,
    /// How many jobs were asked for, those that must fail among them.
    pub jobs: usize,
    /// How many of the videos have exactly one manifest.
    pub commits: usize,
    /// Masters of videos without a manifest.
    pub lost: Vec<String>,
    /// Masters with more than one manifest, and what else a reader saw that he never should.
    pub duplicates: Vec<String>,
    /// What no manifest names, and uploads that nobody finishes.
    pub strays: Vec<String>,
    /// Messages that are still in the queue.
    pub left: u64,
    /// Dead letters of what was not made to fail.
    pub wrongly_dead: Vec<String>,
    /// What was made to fail and is no dead letter, or has a manifest.
    pub not_dead: Vec<String>,
    /// Workers that a scaling decision met with a job in hand.
    pub interrupted: Vec<String>,
    /// What else should not be: processes, scratch, a database that is not sound.
    pub leftovers: Vec<String>,
    /// From the moment when the queue was empty until nobody was left; `None`: somebody still is.
    pub to_zero: Option<Duration>,
    /// How long the whole run took.
    pub took: Duration,
    /// What was done to the programs.
    pub faults: Tally,
    /// How many workers there were in all.
    pub workers: usize,
    /// How many messages they took, by what says who had which: without any, nobody could have been seen interrupted.
    pub jobs_begun: usize,
}

impl Verdict {
    /// Compares what was asked with what is in the store and with the dead letters: the names of masters, or the body
    /// where a letter names none. The name of a job is the end of its master's key.
    pub fn judge(&mut self, work: &[Job], found: Found, dead: &BTreeSet<String>) {
        self.jobs = work.len();
        let name = |key: &str| key.rsplit('/').next().unwrap_or_default().to_owned();
        let mut manifests = BTreeMap::<String, usize>::new();
        for (key, found) in &found.by_master {
            *manifests.entry(name(key)).or_default() += found.len();
        }
        for job in work {
            let found = manifests.remove(&job.name).unwrap_or(0);
            let is_dead = dead.contains(&job.name);
            match (job.kind.is_video(), found) {
                (true, 0) => self.lost.push(job.name.clone()),
                (true, 1) => self.commits += 1,
                (true, more) => self.duplicates.push(format!("{} has {more} manifests", job.name)),
                (false, 0) => {}
                (false, _) => self.not_dead.push(format!("{} has a manifest", job.name)),
            }
            match (job.kind.is_video(), is_dead) {
                (true, true) => self.wrongly_dead.push(job.name.clone()),
                (false, false) => self.not_dead.push(format!("{} {:?}", job.name, job.kind)),
                _ => {}
            }
        }
        self.duplicates.extend(manifests.keys().map(|name| format!("nobody asked for {name}")));
        let asked: BTreeSet<&String> = work.iter().map(|job| &job.name).collect();
        self.wrongly_dead.extend(dead.iter().filter(|name| !asked.contains(name)).cloned());
        self.duplicates.extend(found.complaints);
        self.strays.extend(found.strays);
        self.strays.extend(found.unfinished.into_iter().map(|key| format!("{key}, an unfinished upload")));
    }

    /// Every promise that was broken, in words; none when all is well.
    #[must_use]
    pub fn broken(&self) -> Vec<String> {
        let lists = [
            ("lost", &self.lost),
            ("seen twice or mixed", &self.duplicates),
            ("left in the store", &self.strays),
            ("dead without a reason", &self.wrongly_dead),
            ("not dead", &self.not_dead),
            ("interrupted by scaling", &self.interrupted),
            ("left behind", &self.leftovers),
        ];
        let mut broken: Vec<String> = lists
            .into_iter()
            .filter(|(_, list)| !list.is_empty())
            .map(|(what, list)| format!("{what}: {}", list.join("; ")))
            .collect();
        if self.left > 0 {
            broken.push(format!("{} messages are left in the queue", self.left));
        }
        if self.jobs_begun < self.commits {
            let seen = format!("{} jobs were seen in hands, {} were done", self.jobs_begun, self.commits);
            broken.push(format!("the witness is blind: {seen}"));
        }
        if self.to_zero.is_none() {
            broken.push("the fleet never came to zero".to_owned());
        }
        broken
    }

    /// The head of the table whose rows [`Self`] displays as.
    #[must_use]
    pub fn head() -> String {
        "| shell | seed | jobs | commits | duplicates | lost | interrupted | strays | dead wrongly | s to zero | s in all | workers | faults |\n\
         |---|---|---|---|---|---|---|---|---|---|---|---|---|"
            .to_owned()
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let to_zero =
            self.to_zero.map_or_else(|| "never".to_owned(), |time| format!("{:.1}", time.as_secs_f64()));
        write!(
            f,
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {to_zero} | {:.0} | {} | {}: {} |",
            self.shell,
            self.seed,
            self.jobs,
            self.commits,
            self.duplicates.len(),
            self.lost.len(),
            self.interrupted.len(),
            self.strays.len(),
            self.wrongly_dead.len() + self.not_dead.len(),
            self.took.as_secs_f64(),
            self.workers,
            self.faults.total(),
            self.faults,
        )
    }
}

#[cfg(test)]
#[path = "verdict_tests.rs"]
mod tests;
