//! What the log says of decisions and jobs.

use reelpool_core::replay::Record;
use reelpool_core::{Millis, WorkerId};
use reelpool_protocol::Source;
use reelpool_protocol::event::Outcome;
use reelpool_protocol::job::printable;

/// Tells a decision.
pub fn decision(record: &Record) {
    let decision = &record.decision;
    let (from, to) = (record.observation.current, decision.target);
    let limits: Vec<&str> = decision.limits.iter().map(|limit| limit.as_str()).collect();
    let limits = (!limits.is_empty()).then(|| limits.join(","));
    let reason = decision.reason.as_str();
    if from == to {
        tracing::info!(reason, limits, "fleet {to}: {decision}");
    } else {
        tracing::info!(reason, limits, "fleet {from} → {to}: {decision}");
    }
}

/// Tells the end of an attempt.
pub fn end(worker: &WorkerId, source: Option<&Source>, outcome: &Outcome, held_for_ms: u64) {
    let master = source.map_or("(unreadable message)".into(), |source| printable(&source.key));
    let master = master.as_ref();
    match outcome {
        Outcome::Committed { renditions, warnings } => {
            let sizes: Vec<String> =
                renditions.iter().map(|r| format!("{} {}x{}", r.name, r.width, r.height)).collect();
            tracing::info!(master, %worker, "done in {}: {}", Millis::new(held_for_ms), sizes.join(", "));
            for warning in warnings {
                tracing::warn!(master, "{warning}");
            }
        }
        Outcome::AlreadyDone => tracing::info!(master, %worker, "was done before"),
        Outcome::Retried { reason, detail, delay_ms } => {
            tracing::warn!(master, %worker, "failed, tried again after {}: {reason}: {}", Millis::new(*delay_ms), first_line(detail));
        }
        Outcome::Failed { reason, detail } => {
            tracing::warn!(master, %worker, "failed for good: {reason}: {}", first_line(detail));
        }
        Outcome::ClaimedElsewhere => {
            tracing::info!(master, %worker, "another worker is at it: looked at again later");
        }
        Outcome::HandedBack => tracing::info!(master, %worker, "handed back"),
        Outcome::HoldLost => tracing::warn!(master, %worker, "the hold was lost: another worker may have it"),
    }
}

/// The sentence that begins a detail; the end of ffmpeg's log below it is in the worker's log and the dead letter.
fn first_line(detail: &str) -> &str {
    detail.lines().next().unwrap_or_default()
}
