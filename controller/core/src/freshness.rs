//! Which samples are fresh, and for how long that judgement holds.

use crate::observation::Sample;
use crate::time::{Millis, Timestamp};

/// A sample as judged at one instant.
pub(crate) struct Judged<'a, T> {
    /// The value and when it was taken; without fresh data the cause, for a person.
    pub(crate) fresh: Result<(&'a T, Timestamp), String>,
    /// The judgement of this same sample changes after this time; `None` if it never does.
    pub(crate) changes_in: Option<Millis>,
}

/// Judges `sample` at `now`. It is fresh when it was taken at most `limit` away from `now`.
///
/// A sample from the near future is fresh as well: a shell may note `now` before the answer comes.
pub(crate) fn judge<T>(sample: &Sample<T>, limit: Millis, now: Timestamp) -> Judged<'_, T> {
    let (value, at) = match sample {
        Sample::Known { value, observed_at } => (value, *observed_at),
        Sample::Missing { cause, .. } => {
            return Judged { fresh: Err(cause.clone()), changes_in: None };
        }
    };
    let (age, lead) = (now.since(at), at.since(now));
    if age > limit {
        Judged { fresh: Err(format!("the last sample is older than {limit}")), changes_in: None }
    } else if lead > limit {
        let cause = format!("the last sample is from more than {limit} in the future");
        Judged { fresh: Err(cause), changes_in: Some(lead.minus(limit)) }
    } else {
        // The first instant at which it is older than the limit.
        let stale_in = limit.minus(age).plus(lead).plus(Millis::new(1));
        Judged { fresh: Ok((value, at)), changes_in: Some(stale_in) }
    }
}
