//! The claim: a word among workers that an attempt on a job is under way, so that the same work is not paid for
//! twice. It is advice and no lock: what counts is which manifest is written first.
//!
//! Claims stand at `<output prefix>/attempts/claims/<number>`, each written only if absent; the one with the highest
//! number counts. Its holder writes it anew while it works. One that has not been written for as long as it says holds
//! no more: whoever finds it so may write the next. They go with the attempts that were not committed; readers that
//! follow the manifest never see them.

use serde::{Deserialize, Serialize};

use crate::manifest::ATTEMPTS;

/// The folder of claims, among those of the attempts; no attempt has this name.
pub const FOLDER: &str = "claims";
/// The longest a claim may hold without being written anew, in milliseconds: as long as SQS lets a message be held.
pub const LONGEST_MS: u64 = 12 * 60 * 60 * 1000;

/// What a claim says. Times are lengths, never instants: only the store's clock tells a claim's age.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The attempt.
    pub attempt: String,
    /// The worker that makes it.
    pub worker: String,
    /// For how long the claim holds after it was last written, in milliseconds; more than [`LONGEST_MS`] counts as that.
    pub holds_for_ms: u64,
    /// How long the attempt will still take, in milliseconds, estimated when this was written; `None` until known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_ms: Option<u64>,
}

/// Where the claims on the job stand whose outputs have this prefix; ends in a slash.
#[must_use]
pub fn folder(output_prefix: &str) -> String {
    format!("{output_prefix}/{ATTEMPTS}/{FOLDER}/")
}

/// The key of claim `number`.
#[must_use]
pub fn key(output_prefix: &str, number: u32) -> String {
    format!("{}{number}", folder(output_prefix))
}

/// The number of the claim at `key`; `None` where the key is no claim's on this job.
#[must_use]
pub fn number(output_prefix: &str, key: &str) -> Option<u32> {
    let number = key.strip_prefix(&folder(output_prefix))?.parse().ok()?;
    (self::key(output_prefix, number) == key).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_lead_back_to_their_numbers() {
        for claim in [0, 1, 10, u32::MAX] {
            assert_eq!(number("a.mp4/1f", &key("a.mp4/1f", claim)), Some(claim));
        }
        for other in
            ["a.mp4/1f/attempts/claims/", "a.mp4/1f/attempts/claims/01", "a.mp4/1f/attempts/claims/+1"]
        {
            assert_eq!(number("a.mp4/1f", other), None, "{other}");
        }
        assert_eq!(number("b.mp4/1f", &key("a.mp4/1f", 1)), None);
    }
}
