//! How long a failed attempt waits before the next.

use std::time::Duration;

/// The first delay, before jitter.
const FIRST: Duration = Duration::from_secs(5);
/// The longest delay, before jitter.
const LONGEST: Duration = Duration::from_secs(900);

/// The delay after the `receives`-th receive has failed: doubling from 5 s to 15 min, of which a random part between
/// a half and the whole is taken, so that jobs that failed together do not come back together.
///
/// `random` is any number; the shell draws it. Source of the form: "equal jitter", AWS Architecture Blog,
/// "Exponential Backoff And Jitter".
#[must_use]
pub fn delay(receives: u32, random: u32) -> Duration {
    let doublings = receives.saturating_sub(1).min(16);
    let whole = FIRST.saturating_mul(1 << doublings).min(LONGEST);
    let half = whole / 2;
    half + half.mul_f64(f64::from(random) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn grows_to_a_bound_and_keeps_its_jitter(receives in 0..u32::MAX, random: u32) {
            let delay = delay(receives, random);
            prop_assert!(delay >= FIRST / 2 && delay <= LONGEST);
            prop_assert!(super::delay(receives.saturating_add(1), random) >= delay);
        }
    }

    #[test]
    fn figures() {
        assert_eq!(delay(1, u32::MAX), Duration::from_secs(5));
        assert_eq!(delay(1, 0), Duration::from_millis(2500));
        assert_eq!(delay(4, u32::MAX), Duration::from_secs(40));
        assert_eq!(delay(100, u32::MAX), LONGEST);
    }
}
