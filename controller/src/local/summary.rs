//! What came of a run, as a table for the end.

use std::collections::BTreeMap;
use std::time::Duration;

use reelpool_protocol::event::Outcome;
use reelpool_protocol::job::printable;
use reelpool_protocol::manifest::{Rendition, Timings};
use reelpool_protocol::{JobId, Source};

use super::earlier::DoneMaster;
use super::screen::clock;

/// The most steps of the fleet's way that are shown.
const MAX_STEPS: usize = 24;

/// What came of one master.
#[derive(Debug, Clone, PartialEq, Eq)]
enum End {
    Done { renditions: Vec<Rendition>, warnings: Vec<String> },
    DoneBefore,
    Failed { reason: String, detail: String },
    NotDone { why: String },
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    master: String,
    end: End,
    held_for_ms: u64,
}

/// What came of a run so far.
#[derive(Debug, Default)]
pub struct Summary {
    rows: BTreeMap<(String, Option<JobId>), Row>,
    /// How many of them were done by earlier runs.
    before: usize,
    refused: usize,
    /// How many workers were asked for, one after the other.
    way: Vec<u32>,
}

impl Summary {
    /// Takes a decision: how many workers there were, and how many there are to be.
    pub fn target(&mut self, from: u32, to: u32) {
        if self.way.is_empty() {
            self.way.push(from);
        }
        if self.way.last() != Some(&to) {
            self.way.push(to);
        }
    }

    /// Takes the end of an attempt. A job that was done stays done, whatever comes later.
    pub fn ended(
        &mut self,
        job: Option<JobId>,
        source: Option<&Source>,
        outcome: &Outcome,
        held_for_ms: u64,
    ) {
        let master = source.map_or_else(
            || "(a message that could not be read)".to_owned(),
            |source| printable(&source.key).into_owned(),
        );
        let end = match outcome {
            Outcome::Committed { renditions, warnings } => {
                End::Done { renditions: renditions.clone(), warnings: warnings.clone() }
            }
            Outcome::AlreadyDone => End::DoneBefore,
            Outcome::Failed { reason, detail } => {
                End::Failed { reason: reason.clone(), detail: detail.clone() }
            }
            Outcome::Retried { reason, detail, .. } => End::NotDone { why: format!("{reason}: {detail}") },
            Outcome::HandedBack => End::NotDone { why: "handed back, the next run goes on".to_owned() },
            Outcome::HoldLost => End::NotDone { why: "another worker may have it".to_owned() },
            Outcome::ClaimedElsewhere => End::NotDone { why: "another worker has it".to_owned() },
        };
        let key = (master.clone(), job);
        let is_settled = self.rows.get(&key).is_some_and(|row| !matches!(row.end, End::NotDone { .. }));
        if !is_settled || matches!(end, End::Done { .. }) {
            self.rows.insert(key, Row { master, end, held_for_ms });
        }
    }

    /// Takes a job that was given up without any worker saying so, because none lived to.
    pub fn given_up(&mut self, job: Option<JobId>, source: Option<&Source>, reason: &str, detail: &str) {
        let failed = Outcome::Failed { reason: reason.to_owned(), detail: detail.to_owned() };
        self.ended(job, source, &failed, 0);
    }

    /// Takes a job that an earlier run has done, unless this run had to do with it and knows better.
    pub fn done_before(&mut self, done: DoneMaster) {
        let DoneMaster { job, source, manifest } = done;
        let master = printable(&source.key).into_owned();
        let key = (master.clone(), Some(job));
        let known = self.rows.get(&key).map(|row| &row.end);
        if known.is_some_and(|end| matches!(end, End::Done { .. } | End::Failed { .. })) {
            return;
        }
        self.before += 1;
        let Timings { fetch_ms, probe_ms, transcode_ms, publish_ms } = manifest.timings;
        let held_for_ms =
            [fetch_ms, probe_ms, transcode_ms, publish_ms].into_iter().fold(0, u64::saturating_add);
        let end = End::Done { renditions: manifest.renditions, warnings: manifest.warnings };
        self.rows.insert(key, Row { master, end, held_for_ms });
    }

    /// Takes how many masters were not enqueued because of their name or their ladder file.
    pub fn refused(&mut self, masters: usize) {
        self.refused = masters;
    }

    /// How many jobs were given up for good.
    #[must_use]
    pub fn failed(&self) -> usize {
        self.rows.values().filter(|row| matches!(row.end, End::Failed { .. })).count()
    }

    /// How many jobs are done.
    #[must_use]
    pub fn done(&self) -> usize {
        self.rows.values().filter(|row| matches!(row.end, End::Done { .. } | End::DoneBefore)).count()
    }

    /// How the fleet moved, such as `0 → 3 → 0`; the middle of a long way is left out.
    #[must_use]
    pub fn way(&self) -> String {
        let step = |workers: &u32| workers.to_string();
        let steps: Vec<String> = if self.way.len() > MAX_STEPS {
            let (head, tail) = (&self.way[..MAX_STEPS / 2], &self.way[self.way.len() - MAX_STEPS / 2..]);
            head.iter().map(step).chain(["…".to_owned()]).chain(tail.iter().map(step)).collect()
        } else {
            self.way.iter().map(step).collect()
        };
        steps.join(" → ")
    }

    /// The whole summary, several lines. `output` is where the renditions are.
    #[must_use]
    pub fn render(&self, output: &str, took: Duration) -> String {
        let mut table = Table::default();
        table.row(["master", "rendition", "size", "bytes", "seconds"].map(str::to_owned));
        let mut notes = Vec::new();
        for row in self.rows.values() {
            let seconds = format!("{}.{}", row.held_for_ms / 1000, row.held_for_ms % 1000 / 100);
            match &row.end {
                End::Done { renditions, warnings } => {
                    for (i, rendition) in renditions.iter().enumerate() {
                        let (master, seconds) =
                            if i == 0 { (row.master.clone(), seconds.clone()) } else { Default::default() };
                        let size = format!("{}x{}", rendition.width, rendition.height);
                        table.row([
                            master,
                            rendition.name.clone(),
                            size,
                            rendition.bytes.to_string(),
                            seconds,
                        ]);
                    }
                    notes.extend(warnings.iter().map(|warning| format!("{}: {warning}", row.master)));
                }
                End::DoneBefore => table.note(&row.master, "done before"),
                End::Failed { reason, .. } => table.note(&row.master, &format!("failed: {reason}")),
                End::NotDone { .. } => table.note(&row.master, "not done"),
            }
            match &row.end {
                End::Failed { reason, detail } => {
                    notes.push(format!("{}: failed: {reason}: {detail}", row.master));
                }
                End::NotDone { why } => notes.push(format!("{}: not done: {why}", row.master)),
                End::Done { .. } | End::DoneBefore => {}
            }
        }
        let not_done = self.rows.len() - self.done() - self.failed();
        let not_done = if not_done > 0 { format!(", {not_done} not done") } else { String::new() };
        let mut lines = Vec::new();
        if !self.rows.is_empty() {
            lines.extend(table.lines());
            lines.push(String::new());
        }
        if !notes.is_empty() {
            lines.extend(notes.iter().map(|note| note.replace('\n', " ")));
            lines.push(String::new());
        }
        let before =
            if self.before > 0 { format!(" ({} before this run)", self.before) } else { String::new() };
        lines.push(format!("jobs:       {} done{before}, {} failed{not_done}", self.done(), self.failed()));
        if self.refused > 0 {
            lines.push(format!("refused:    {} masters, as the log says", self.refused));
        }
        lines.push(format!("fleet:      {}", self.way()));
        lines.push(format!("time:       {}", clock(took)));
        lines.push(format!("renditions: {output}\n"));
        lines.join("\n")
    }
}

/// Columns as wide as what is in them; numbers to the right.
#[derive(Default)]
struct Table(Vec<[String; 5]>);

impl Table {
    fn row(&mut self, cells: [String; 5]) {
        self.0.push(cells.map(|cell| cell.chars().map(|c| if c.is_control() { '?' } else { c }).collect()));
    }

    fn note(&mut self, master: &str, note: &str) {
        self.row([master.to_owned(), note.to_owned(), String::new(), String::new(), String::new()]);
    }

    fn lines(&self) -> Vec<String> {
        let width = |column: usize| self.0.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths = [0, 1, 2, 3, 4].map(width);
        let line = |row: &[String; 5]| {
            let cells = row.iter().zip(widths).enumerate().map(|(column, (cell, width))| {
                if column < 2 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
            });
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        };
        self.0.iter().map(line).collect()
    }
}

#[cfg(test)]
#[path = "summary_tests.rs"]
mod tests;
