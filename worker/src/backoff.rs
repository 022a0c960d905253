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

/// The delay after which a message is looked at again whose job another worker has in hand for another `left`, as far
/// as is known, and up to half as much again by chance.
///
/// If both have the same message, as a queue that delivers twice may bring about, this hides it from everybody. So it
/// is never less than half of `visibility`: the one who works on it extends its hold before. And it is at most twice
/// `visibility`, doubling with the receives up to 15 min: if that one dies, the job waits no longer than that.
#[must_use]
pub fn wait(left: Duration, visibility: Duration, receives: u32, random: u32) -> Duration {
    let least = visibility / 2;
    let doublings = receives.saturating_sub(1).min(16);
    let most = visibility.saturating_mul(2).saturating_mul(1 << doublings).min(LONGEST).max(least);
    let whole = left.clamp(least, most);
    whole.saturating_add((whole / 2).mul_f64(f64::from(random) / f64::from(u32::MAX)))
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

        #[test]
        fn a_wait_outlives_a_beat_and_hides_a_message_for_a_few_holds_at_most(
            left in 0..100_000_u64, visibility in 3..=43_200_u64, receives in 0..u32::MAX, random: u32,
        ) {
            let (left, visibility) = (Duration::from_secs(left), Duration::from_secs(visibility));
            let wait = wait(left, visibility, receives, random);
            prop_assert!(wait > visibility / 3 && wait <= LONGEST.max(visibility / 2).mul_f64(1.51));
            prop_assert!(receives > 1 || wait <= visibility.mul_f64(3.01), "two holds, and half of that by chance");
            prop_assert!(wait >= left.min(visibility * 2).min(LONGEST));
            prop_assert!(super::wait(left, visibility, receives.saturating_add(1), random) >= wait);
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
