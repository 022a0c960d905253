//! How the fleet moved: `decisions.jsonl`, one replay record for each decision that differed from the last.

use std::path::Path;

use serde::Deserialize;

/// One recorded decision, as much of it as the tests look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The workers wanted.
    pub target: u32,
    /// Why.
    pub reason: String,
}

#[derive(Deserialize)]
struct Record {
    decision: Decision,
}

#[derive(Deserialize)]
struct Decision {
    target: u32,
    reason: serde_json::Value,
}

/// The recorded decisions of a data directory, oldest first; panics when one cannot be read.
#[must_use]
pub fn read(data: &Path) -> Vec<Step> {
    let file = data.join("decisions.jsonl");
    let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    text.lines()
        .map(|line| {
            let record: Record = serde_json::from_str(line)
                .unwrap_or_else(|error| panic!("{}: {error}: {line}", file.display()));
            let reason = record.decision.reason;
            let reason = reason.as_str().map_or_else(|| reason.to_string(), str::to_owned);
            Step { target: record.decision.target, reason }
        })
        .collect()
}

/// The targets, each once where it changed, beginning with the empty fleet: `[0, 3, 0]`.
#[must_use]
pub fn targets(steps: &[Step]) -> Vec<u32> {
    let mut targets = vec![0];
    targets.extend(steps.iter().map(|step| step.target));
    targets.dedup();
    targets
}

/// Panics unless the fleet went from none to `workers` in one decision, and at the end back to none.
pub fn assert_rose_at_once_and_fell(data: &Path, workers: u32) {
    let steps = read(data);
    let targets = targets(&steps);
    assert_eq!(targets.get(1), Some(&workers), "0 → {workers} should be one decision: {steps:?}");
    assert_eq!(targets.last(), Some(&0), "the fleet should be gone: {steps:?}");
}
