//! Turns a complete master into the message that AWS would send for it.

use std::time::{Duration, SystemTime};

use reelpool_protocol::location::FOLDER_BUCKET;
use reelpool_protocol::message::{job_message, s3_event};
use reelpool_protocol::{JobRequest, Profile, Source};
use reelpool_spool::{Queue, Sent, SpoolError};

use super::Defaults;
use super::settle::Version;
use super::walk::{Folder, LadderFileError};

/// Why a master was not enqueued.
#[derive(Debug, thiserror::Error)]
pub enum EnqueueError {
    /// Its ladder file cannot be used: it is refused until that changes.
    #[error(transparent)]
    Ladder(#[from] LadderFileError),
    /// The queue failed: it is tried again.
    #[error(transparent)]
    Queue(#[from] SpoolError),
}

/// Sends the master's event, unless it was sent before for the same ladder and profile: by this run or by an earlier
/// one.
pub fn enqueue(
    folder: &Folder,
    queue: &Queue,
    key: &str,
    version: &Version,
    defaults: &Defaults,
) -> Result<Sent, EnqueueError> {
    let source = source(key, version);
    let ladder = version.ladder.as_ref().map(|_| folder.ladder(key)).transpose()?;
    // Length first, so that no two masters give the same identity.
    let wanted = ladder.as_ref().unwrap_or(&defaults.ladder);
    let mut identity = format!("{FOLDER_BUCKET}/{}:{key}/{}/{wanted}", key.len(), version.etag);
    if defaults.profile != Profile::default() {
        identity = format!("{identity}/{}", defaults.profile.differences());
    }
    let body = match ladder {
        None => s3_event(&source, &rfc3339(SystemTime::now())),
        Some(ladder) => job_message(&JobRequest { source, ladder: Some(ladder), profile: None }),
    };
    Ok(queue.send_once(&identity, &body, Duration::ZERO)?)
}

/// The master as messages name it.
#[must_use]
pub fn source(key: &str, version: &Version) -> Source {
    Source {
        bucket: FOLDER_BUCKET.to_owned(),
        key: key.to_owned(),
        version: None,
        etag: Some(version.etag.clone()),
        size: Some(version.size),
    }
}

/// A time as AWS writes it, `2026-01-31T12:00:00.000Z`. The calendar is from "chrono-Compatible Low-Level Date
/// Algorithms" by Howard Hinnant (`civil_from_days`).
fn rfc3339(at: SystemTime) -> String {
    let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let (days, seconds) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let z = days + 719_468;
    let (era, day_of_era) = (z / 146_097, z % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second, milli) =
        (seconds / 3600, seconds / 60 % 60, seconds % 60, since.subsec_millis());
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_as_aws_writes_them() {
        let at = |seconds, millis: u32| {
            rfc3339(SystemTime::UNIX_EPOCH + Duration::new(seconds, millis * 1_000_000))
        };
        assert_eq!(at(0, 0), "1970-01-01T00:00:00.000Z");
        assert_eq!(at(951_782_399, 999), "2000-02-28T23:59:59.999Z");
        assert_eq!(at(951_782_400, 0), "2000-02-29T00:00:00.000Z");
        assert_eq!(at(1_769_860_800, 5), "2026-01-31T12:00:00.005Z");
    }
}
