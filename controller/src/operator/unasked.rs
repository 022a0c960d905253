//! Workers that cannot be asked what they are doing: whatever scales them must be slower to let them go.

use reelpool_core::{Millis, Policy, PolicySpec};

/// The policy for workers that cannot be asked. That they have nothing to do is guessed from the queue being empty,
/// and its counts may be wrong for as long as the last worker is kept: so each is kept for that long.
#[must_use]
pub fn careful(policy: Policy, start_up_time: Option<Millis>) -> Policy {
    let spec = policy.spec();
    let idle = policy.idle_limit(start_up_time).max(spec.zero_after);
    // Only the idle time changes, and any is allowed.
    Policy::try_from(PolicySpec { idle: Some(idle), ..spec.clone() }).unwrap_or(policy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_goes_before_the_queue_was_empty_for_long_enough() {
        let spec = PolicySpec { idle: Some(Millis::ZERO), ..PolicySpec::default() };
        let careful = careful(Policy::try_from(spec).unwrap(), None);
        assert_eq!(careful.spec().idle, Some(Millis::from_secs(60)));
    }
}
