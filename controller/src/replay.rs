//! `reelpool replay`: recorded decisions are made again, and what would be decided otherwise today is told.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;

use reelpool_core::replay::{Difference, Part, Record, VERSION, replay};
use reelpool_core::{check, decide};
use reelpool_protocol::job::printable;
use serde::Deserialize;

use crate::args::ReplayArgs;

/// The longest line that is read: a decision on 600,000 workers.
const MAX_LINE: u64 = 64 * 1024 * 1024;
/// How much is told of each side of a difference, in characters.
const MAX_TOLD: usize = 200;

/// Why recorded decisions could not be made again.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// They could not be read.
    #[error("{file} cannot be read: {source}: name a file of decisions, or - for standard input")]
    Read {
        /// The file.
        file: String,
        /// What was met.
        source: io::Error,
    },
    /// A line is no decision.
    #[error(
        "{file}, line {line}, column {column}: {detail}: each line is to be a decision as `reelpool up` writes it to \
         decisions.jsonl, or the operator to its standard output"
    )]
    Unreadable {
        /// The file.
        file: String,
        /// The line, counted from one.
        line: u64,
        /// The byte in the line, counted from one.
        column: usize,
        /// What is wrong there.
        detail: String,
    },
    /// A line is no decision either.
    #[error("{file}, line {line}: longer than {MAX_LINE} bytes: this is no file of decisions")]
    TooLong {
        /// The file.
        file: String,
        /// The line, counted from one.
        line: u64,
    },
    /// What was found could not be told.
    #[error("standard output cannot be written: {0}")]
    Write(io::Error),
}

impl ReplayError {
    /// A stable category for logs and scripts.
    #[must_use]
    pub fn category(&self) -> &'static str {
        match self {
            Self::Read { .. } => "replay_read",
            Self::Unreadable { .. } => "replay_unreadable",
            Self::TooLong { .. } => "replay_line_too_long",
            Self::Write(_) => "replay_write",
        }
    }
}

/// What came of it. Shown as one line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Decisions that were read.
    pub decisions: u64,
    /// Those that would be otherwise today.
    pub differ: u64,
    /// Those that break a rule which must hold of all, as recorded or today.
    pub break_a_rule: u64,
    /// Whether the last line was cut off, as by a crash, and left out.
    pub torn: bool,
}

impl Summary {
    /// Whether every decision would be the same today, and breaks no rule.
    #[must_use]
    pub fn is_fine(&self) -> bool {
        self.differ == 0 && self.break_a_rule == 0
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let one_or = |number, one, many| if number == 1 { one } else { many };
        let (decisions, differ) =
            (one_or(self.decisions, "decision", "decisions"), one_or(self.differ, "differs", "differ"));
        write!(f, "{} {decisions}, {} {differ}", self.decisions, self.differ)?;
        if self.break_a_rule > 0 {
            let breaks = one_or(self.break_a_rule, "breaks", "break");
            write!(f, ", {} {breaks} a rule", self.break_a_rule)?;
        }
        if self.torn {
            write!(f, "; the last line was cut off and is left out")?;
        }
        Ok(())
    }
}

/// Makes the decisions in `args.file` again and tells what it finds on `out`, a line each and a summary at the end.
pub fn run(args: &ReplayArgs, out: &mut dyn Write) -> Result<Summary, ReplayError> {
    let input: Box<dyn BufRead> = if args.file == Path::new("-") {
        Box::new(io::stdin().lock())
    } else {
        let file = File::open(&args.file)
            .map_err(|source| ReplayError::Read { file: args.file.display().to_string(), source })?;
        Box::new(BufReader::new(file))
    };
    let name =
        if args.file == Path::new("-") { "standard input".into() } else { args.file.display().to_string() };
    let summary = replay_all(input, &name, out)?;
    writeln!(out, "{summary}").and_then(|()| out.flush()).map_err(ReplayError::Write)?;
    Ok(summary)
}

fn replay_all(mut input: impl BufRead, file: &str, out: &mut dyn Write) -> Result<Summary, ReplayError> {
    let mut summary = Summary::default();
    let mut text = Vec::new();
    let mut line = 0;
    loop {
        text.clear();
        let read = (&mut input).take(MAX_LINE).read_until(b'\n', &mut text);
        let length = read.map_err(|source| ReplayError::Read { file: file.to_owned(), source })?;
        if length == 0 {
            return Ok(summary);
        }
        line += 1;
        let is_whole = text.ends_with(b"\n");
        if !is_whole && length as u64 == MAX_LINE {
            return Err(ReplayError::TooLong { file: file.to_owned(), line });
        }
        if text.trim_ascii().is_empty() {
            continue;
        }
        match one(&text) {
            Ok(found) => {
                summary.decisions += 1;
                summary.differ += u64::from(found.differs);
                summary.break_a_rule += u64::from(found.breaks_a_rule);
                for told in found.told {
                    let told = printable(&told);
                    writeln!(out, "line {line}{}: {told}", found.pool).map_err(ReplayError::Write)?;
                }
            }
            // Whoever wrote it was killed, or is still writing.
            Err(error) if !is_whole && error.is_eof() => summary.torn = true,
            Err(error) => return Err(unreadable(file, line, &error)),
        }
    }
}

fn unreadable(file: &str, line: u64, error: &serde_json::Error) -> ReplayError {
    let said = error.to_string();
    // Its own line is always the first.
    let detail = said.rsplit_once(" at line ").map_or(said.as_str(), |(detail, _)| detail);
    ReplayError::Unreadable {
        file: file.to_owned(),
        line,
        column: error.column(),
        detail: printable(detail).into_owned(),
    }
}

/// What there is to tell of one decision.
struct Found {
    /// Its pool after a space, if it names one.
    pool: String,
    told: Vec<String>,
    differs: bool,
    breaks_a_rule: bool,
}

/// What must be known of a line before the rest of it is read: which of both forms it has, and which version.
#[derive(Deserialize)]
#[serde(expecting = "a decision")]
struct Outline {
    version: Option<u32>,
    record: Option<Version>,
}

#[derive(Deserialize)]
#[serde(expecting = "a decision")]
struct Version {
    version: Option<u32>,
}

/// A line of the operator.
#[derive(Deserialize)]
struct OfPool {
    pool: String,
    record: Record,
}

fn one(text: &[u8]) -> Result<Found, serde_json::Error> {
    let outline: Outline = serde_json::from_slice(text)?;
    let version = outline.record.as_ref().map_or(outline.version, |record| record.version);
    if let Some(version) = version.filter(|version| *version != VERSION) {
        let told = vec![Difference::Version(version).to_string()];
        return Ok(Found { pool: String::new(), told, differs: true, breaks_a_rule: false });
    }
    if outline.record.is_some() {
        let OfPool { pool, record } = serde_json::from_slice(text)?;
        let pool = format!(" {}", printable(&pool));
        Ok(Found { pool, ..again(&record) })
    } else {
        Ok(again(&serde_json::from_slice(text)?))
    }
}

fn again(record: &Record) -> Found {
    let Record { policy, memory, observation, now, decision, .. } = record;
    let difference = replay(record).err();
    let mut told: Vec<String> = difference.iter().map(tell).collect();
    let whose = if difference.is_some() { "the recorded" } else { "the" };
    let mut broken: Vec<String> = check(policy, observation, decision, *now)
        .iter()
        .map(|violation| format!("{whose} decision breaks a rule: {violation}"))
        .collect();
    if difference.is_some() {
        let today = decide(policy, memory, observation, *now);
        let violations = check(policy, observation, &today, *now);
        broken.extend(
            violations.iter().map(|violation| format!("today's decision breaks a rule: {violation}")),
        );
    }
    let breaks_a_rule = !broken.is_empty();
    told.extend(broken);
    Found { pool: String::new(), told, differs: difference.is_some(), breaks_a_rule }
}

fn tell(difference: &Difference) -> String {
    match difference {
        Difference::Version(_) => difference.to_string(),
        Difference::Decision(parts) => {
            let parts: Vec<String> = parts
                .iter()
                .map(|Part { name, recorded, today }| {
                    format!("{name}: {} was recorded, today {}", shortened(recorded), shortened(today))
                })
                .collect();
            parts.join("; ")
        }
    }
}

/// The beginning of what is long, such as the names of a thousand workers.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(MAX_TOLD) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
#[path = "replay_tests.rs"]
mod tests;
