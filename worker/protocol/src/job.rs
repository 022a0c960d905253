//! The job: one master, one ladder, one profile.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::ladder::Ladder;
use crate::profile::Profile;

/// The longest key S3 allows, in bytes.
pub const MAX_KEY_BYTES: usize = 1024;
/// Keys longer than this get outputs under the job's id alone, so that output keys stay within S3's limit.
const MAX_KEY_BYTES_IN_OUTPUT: usize = 800;

/// The longest bucket name, version or entity tag that is accepted, in bytes; S3's are no longer.
const MAX_BUCKET_BYTES: usize = 255;
const MAX_TAG_BYTES: usize = 1024;

/// Where a master is and which version of it is meant.
///
/// Read from JSON it is checked: bucket and key are such as S3 could send.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "UncheckedSource")]
pub struct Source {
    /// The bucket's name; 1 to 255 bytes, letters, digits, `.`, `-` and `_`.
    pub bucket: String,
    /// The object's key, decoded; 1 to [`MAX_KEY_BYTES`] bytes, no NUL. It is a name and not a path: `..` in it
    /// means nothing, and who makes a path of it must see to that.
    pub key: String,
    /// The object's version, where the bucket keeps versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The object's entity tag without its quotes, where the event told it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// The object's size in bytes, where the event told it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
}

impl Source {
    /// What tells this master from others: bucket, key, the kind of its revision, and the revision.
    pub(crate) fn identity(&self) -> [&str; 4] {
        let (kind, revision) = match (self.version.as_deref(), self.etag.as_deref()) {
            // Objects written while versioning is off all have the version `null`, one after the other.
            (Some(version), _) if version != "null" => ("version", version),
            (_, Some(etag)) => ("etag", etag),
            (_, None) => ("latest", ""),
        };
        [&self.bucket, &self.key, kind, revision]
    }
}

impl fmt::Display for Source {
    /// `bucket/key`, fit for a terminal and a line of a log: see [`printable`].
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.bucket, printable(&self.key))
    }
}

/// A name from outside as one line of plain text: what would break the line, move the cursor or turn the direction
/// of writing is shown as `\u{…}`.
#[must_use]
pub fn printable(name: &str) -> Cow<'_, str> {
    let odd = |c: char| {
        c.is_control()
            || matches!(c, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if !name.contains(odd) {
        return Cow::Borrowed(name);
    }
    let shown = name.chars().map(|c| if odd(c) { c.escape_default().to_string() } else { c.to_string() });
    Cow::Owned(shown.collect())
}

/// What a [`Source`] looks like before its parts are checked.
#[derive(Deserialize)]
struct UncheckedSource {
    bucket: String,
    key: String,
    version: Option<String>,
    etag: Option<String>,
    size: Option<u64>,
}

impl TryFrom<UncheckedSource> for Source {
    type Error = SourceError;

    fn try_from(unchecked: UncheckedSource) -> Result<Self, SourceError> {
        let UncheckedSource { bucket, key, version, etag, size } = unchecked;
        let blame = |field| move |problem| SourceError { field, problem };
        check_bucket(&bucket).map_err(blame("bucket"))?;
        check_key(&key).map_err(blame("key"))?;
        version.as_deref().map_or(Ok(()), check_tag).map_err(blame("version"))?;
        etag.as_deref().map_or(Ok(()), check_tag).map_err(blame("etag"))?;
        Ok(Self { bucket, key, version, etag, size })
    }
}

/// A [`Source`] read from JSON names what no store could have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct SourceError {
    field: &'static str,
    problem: Problem,
}

/// What is wrong with a part of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Problem {
    #[error("expected 1 to {max} bytes, found {found}")]
    Length { max: usize, found: usize },
    #[error("expected a bucket's name: letters, digits, `.`, `-` and `_`, the first a letter or digit")]
    BucketName,
    #[error("expected a key without NUL characters")]
    Nul,
    #[error("expected visible ASCII characters only")]
    NotVisible,
}

fn check_length(text: &str, max: usize) -> Result<(), Problem> {
    if (1..=max).contains(&text.len()) { Ok(()) } else { Err(Problem::Length { max, found: text.len() }) }
}

/// Refuses what S3 would not take as a bucket's name, by its oldest and widest rules.
pub(crate) fn check_bucket(name: &str) -> Result<(), Problem> {
    check_length(name, MAX_BUCKET_BYTES)?;
    let all_allowed = name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'));
    if all_allowed && name.starts_with(|first: char| first.is_ascii_alphanumeric()) {
        Ok(())
    } else {
        Err(Problem::BucketName)
    }
}

/// Refuses what S3 would not take as an object's key.
pub(crate) fn check_key(key: &str) -> Result<(), Problem> {
    check_length(key, MAX_KEY_BYTES)?;
    if key.contains('\0') { Err(Problem::Nul) } else { Ok(()) }
}

/// Refuses versions and entity tags that could not stand in a request: both are sent back to the store.
pub(crate) fn check_tag(text: &str) -> Result<(), Problem> {
    check_length(text, MAX_TAG_BYTES)?;
    if text.bytes().all(|b| b.is_ascii_graphic()) { Ok(()) } else { Err(Problem::NotVisible) }
}

/// The work that one master asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobRequest {
    /// The master.
    pub source: Source,
    /// The renditions asked for; `None` leaves it to the worker's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ladder: Option<Ladder>,
    /// How they are made; `None` leaves it to the worker's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<Profile>,
}

/// What makes two requests the same job: the first 128 bits of a SHA-256 over the source's identity, the ladder and
/// what is not the default of the profile, written as 32 hexadecimal digits.
///
/// The identity is bucket, key, and version (or, without versions, entity tag). The version `null` counts as none:
/// objects written while a bucket's versioning is off share it. Size is not part of the identity: it is told by
/// some events and not by others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct JobId([u8; 16]);

impl JobId {
    /// The id of the job that turns `source` into `ladder` as `profile` says.
    #[must_use]
    pub fn of(source: &Source, ladder: &Ladder, profile: &Profile) -> Self {
        let mut hash = Sha256::new();
        // Each part carries its length, so that no two different jobs give the same bytes.
        let mut part = |text: &str| {
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text.as_bytes());
        };
        part("reelpool job 1");
        source.identity().into_iter().for_each(&mut part);
        part(&ladder.to_string());
        // Nothing for the default: ids from before there were profiles stay what they are.
        if let Some(profile) = profile.identity() {
            part(&profile);
        }
        let digest = hash.finalize();
        let mut id = [0; 16];
        id.copy_from_slice(&digest[..16]);
        Self(id)
    }

    /// The prefix under which this job's outputs stand, relative to the output root; no slash at its end.
    #[must_use]
    pub fn output_prefix(&self, source: &Source) -> String {
        if source.key.len() > MAX_KEY_BYTES_IN_OUTPUT {
            format!("long-keys/{self}")
        } else {
            format!("{}/{self}", source.key)
        }
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for JobId {
    type Err = JobIdError;

    fn from_str(text: &str) -> Result<Self, JobIdError> {
        if text.len() != 32 || !text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(JobIdError);
        }
        let mut id = [0; 16];
        for (byte, pair) in id.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| JobIdError)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| JobIdError)?;
        }
        Ok(Self(id))
    }
}

impl TryFrom<String> for JobId {
    type Error = JobIdError;

    fn try_from(text: String) -> Result<Self, JobIdError> {
        text.parse()
    }
}

impl From<JobId> for String {
    fn from(id: JobId) -> Self {
        id.to_string()
    }
}

/// A text was not a job id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a job id is 32 lower-case hexadecimal digits")]
pub struct JobIdError;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_shown_in_one_plain_line() {
        assert_eq!(printable("Über (1)/bär 100%.mp4"), "Über (1)/bär 100%.mp4");
        assert_eq!(printable("a\nb\u{1b}[31m\u{202e}c"), "a\\nb\\u{1b}[31m\\u{202e}c");
    }
}
