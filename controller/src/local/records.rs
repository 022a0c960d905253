//! The record of decisions: one line of JSON for each that changed something, to be replayed later.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use reelpool_core::replay::Record;

use crate::decisions::Gist;

/// A record longer than this is put aside when a run begins; the one put aside before is dropped.
const PUT_ASIDE_ABOVE: u64 = 16 * 1024 * 1024;

/// The record of decisions.
#[derive(Debug)]
pub struct Records {
    path: PathBuf,
    file: Option<File>,
    last: Option<Gist>,
}

impl Records {
    /// Goes on with the record at `path`.
    #[must_use]
    pub fn open(path: &Path) -> Self {
        let too_long = fs::metadata(path).is_ok_and(|about| about.len() > PUT_ASIDE_ABOVE);
        let put_aside = if too_long { fs::rename(path, path.with_extension("old.jsonl")) } else { Ok(()) };
        let file = put_aside.and_then(|()| open_whole_lines(path));
        let mut records = Self { path: path.to_path_buf(), file: None, last: None };
        match file {
            Ok(file) => records.file = Some(file),
            Err(error) => records.give_up(&error),
        }
        records
    }

    /// Writes `record` when its decision is another one than the last. Returns whether it is.
    pub fn take(&mut self, record: &Record) -> bool {
        let gist = Gist::from(&record.decision);
        if self.last.as_ref() == Some(&gist) {
            return false;
        }
        self.last = Some(gist);
        if let Some(file) = &mut self.file {
            let line = serde_json::to_vec(record).map_err(io::Error::other);
            let written = line.and_then(|mut line| {
                line.push(b'\n');
                file.write_all(&line)
            });
            if let Err(error) = written {
                self.give_up(&error);
            }
        }
        true
    }

    /// A fleet is not stopped because its history cannot be written.
    fn give_up(&mut self, error: &io::Error) {
        self.file = None;
        tracing::warn!("decisions are not recorded in {}: {error}", self.path.display());
    }
}

/// Opens the file to go on after its last whole line: a run that was killed may have left a part of one.
fn open_whole_lines(path: &Path) -> io::Result<File> {
    let mut file = File::options().read(true).create(true).append(true).open(path)?;
    let mut text = Vec::new();
    file.read_to_end(&mut text)?;
    let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    if whole < text.len() {
        file.set_len(whole as u64)?;
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use reelpool_core::{Memory, Observation, Policy, QueueDepth, Sample, Timestamp, replay};

    fn record(backlog: u64, at: i64) -> Record {
        let now = Timestamp::from_millis(at);
        let observation = Observation {
            queue: Sample::Known { value: QueueDepth { backlog, ..QueueDepth::default() }, observed_at: now },
            workers: Sample::Known { value: Vec::new(), observed_at: now },
            current: 0,
            service_time: None,
            start_up_time: None,
        };
        Record::make(Policy::default(), Memory::default(), observation, now)
    }

    #[test]
    fn changes_are_written_and_can_be_replayed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("decisions.jsonl");
        let mut records = Records::open(&path);
        assert!(records.take(&record(0, 1)));
        assert!(!records.take(&record(0, 2)), "nothing new");
        assert!(records.take(&record(1, 3)));
        drop(records);
        let mut torn = fs::read(&path).unwrap();
        torn.extend(b"{\"version\":1,\"pol");
        fs::write(&path, torn).unwrap();
        assert!(Records::open(&path).take(&record(1, 4)), "a new run says where it begins");
        let text = fs::read_to_string(&path).unwrap();
        let read: Vec<Record> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(read.len(), 3);
        assert_eq!(read[1].decision.target, 1);
        for record in &read {
            replay(record).unwrap();
        }
    }

    #[test]
    fn a_record_that_cannot_be_written_stops_nothing() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Records::open(dir.path()).take(&record(1, 1)));
    }
}
