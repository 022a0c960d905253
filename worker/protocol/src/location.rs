//! Where things are, as both programs' command lines name it: masters and outputs in a folder or a bucket, and
//! the queue.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::job::Source;

/// The bucket name that stands for the masters folder in one-machine mode.
pub const FOLDER_BUCKET: &str = "masters";

/// A place for masters or outputs, as `--masters` and `--output` name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A folder on this machine.
    Folder(PathBuf),
    /// A bucket and a prefix: empty, or ending in a slash.
    Bucket {
        /// The bucket's name.
        bucket: String,
        /// Empty, or a path that ends in a slash.
        prefix: String,
    },
}

impl Location {
    /// Whether a master may be fetched from here.
    #[must_use]
    pub fn holds(&self, source: &Source) -> bool {
        match self {
            Self::Folder(_) => source.bucket == FOLDER_BUCKET,
            Self::Bucket { bucket, prefix } => {
                source.bucket == *bucket && source.key.starts_with(prefix.as_str())
            }
        }
    }

    /// Whether one of the two lies within the other, or both are the same: then what is written to one may appear
    /// in the other. Outputs repeat their master's key below their own place, so neither direction is safe.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Folder(a), Self::Folder(b)) => {
                let (a, b) = (absolute(a), absolute(b));
                a.starts_with(&b) || b.starts_with(&a)
            }
            (Self::Bucket { bucket: a, prefix: in_a }, Self::Bucket { bucket: b, prefix: in_b }) => {
                a == b && (in_a.starts_with(in_b.as_str()) || in_b.starts_with(in_a.as_str()))
            }
            _ => false,
        }
    }
}

fn absolute(path: &Path) -> PathBuf {
    path.canonicalize().or_else(|_| std::path::absolute(path)).unwrap_or_else(|_| path.to_path_buf())
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => write!(f, "{}", path.display()),
            Self::Bucket { bucket, prefix } if prefix.is_empty() => write!(f, "s3://{bucket}"),
            Self::Bucket { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
        }
    }
}

impl FromStr for Location {
    type Err = LocationError;

    fn from_str(text: &str) -> Result<Self, LocationError> {
        if text.is_empty() {
            return Err(LocationError::Empty);
        }
        let Some(rest) = text.strip_prefix("s3://") else {
            return match text.split_once("://") {
                Some((scheme, _)) => Err(LocationError::Scheme(scheme.to_owned())),
                None => Ok(Self::Folder(PathBuf::from(text))),
            };
        };
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let named = bucket.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'));
        if bucket.is_empty() || !named {
            return Err(LocationError::Bucket(bucket.to_owned()));
        }
        let prefix = match prefix.trim_end_matches('/') {
            "" => String::new(),
            prefix => format!("{prefix}/"),
        };
        Ok(Self::Bucket { bucket: bucket.to_owned(), prefix })
    }
}

/// Why a text names no place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LocationError {
    /// The text was empty.
    #[error("expected a folder or s3://bucket/prefix, found nothing")]
    Empty,
    /// The part before `://` was not `s3`.
    #[error("`{0}://` is not understood: write a folder's path or s3://bucket/prefix")]
    Scheme(String),
    /// The bucket's name was empty or had characters no bucket has.
    #[error("`{0}` is not a bucket's name: write s3://bucket/prefix")]
    Bucket(String),
}

/// Which kind of queue, and which one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QueueUrl {
    /// The embedded queue in this folder: `spool:///path/to/queue`.
    Spool(PathBuf),
    /// An SQS queue: its `http` or `https` URL.
    Sqs(String),
}

impl fmt::Display for QueueUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Spool(folder) => write!(f, "spool://{}", folder.display()),
            Self::Sqs(url) => f.write_str(url),
        }
    }
}

impl FromStr for QueueUrl {
    type Err = QueueUrlError;

    fn from_str(text: &str) -> Result<Self, QueueUrlError> {
        if let Some(folder) = text.strip_prefix("spool://") {
            let folder = PathBuf::from(folder);
            let named = folder.is_absolute() && folder.file_name().is_some();
            return if named { Ok(Self::Spool(folder)) } else { Err(QueueUrlError::NoQueue) };
        }
        let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        let (host, path) =
            rest.ok_or(QueueUrlError::Scheme)?.split_once('/').ok_or(QueueUrlError::NoQueue)?;
        // A queue's path is its account and its name.
        let named = path.split('/').filter(|part| !part.is_empty()).count() >= 2;
        let printable = text.bytes().all(|b| b.is_ascii_graphic());
        if host.is_empty() || !named || !printable {
            return Err(QueueUrlError::NoQueue);
        }
        Ok(Self::Sqs(text.to_owned()))
    }
}

/// Why a text is not the URL of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum QueueUrlError {
    /// It has none of the schemes that are understood.
    #[error(
        "not the URL of a queue: an SQS queue's looks like https://sqs.eu-west-1.amazonaws.com/123456789012/masters"
    )]
    Scheme,
    /// It names a host but no queue there.
    #[error(
        "it names no queue: give the whole URL, such as https://sqs.eu-west-1.amazonaws.com/123456789012/masters"
    )]
    NoQueue,
}

/// Reads the URL of a service, `http://host:port` or `https://host`, as a command line gives it.
pub fn endpoint_url(text: &str) -> Result<String, EndpointUrlError> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let host = rest.unwrap_or_default().split('/').next().unwrap_or_default();
    if host.is_empty() || !text.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(EndpointUrlError);
    }
    Ok(text.to_owned())
}

/// A text is not the URL of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an http or https URL: write it as http://host:port")]
pub struct EndpointUrlError;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Location {
        text.parse().unwrap()
    }

    #[test]
    fn reads_folders_and_buckets() {
        assert_eq!(at("a/b"), Location::Folder("a/b".into()));
        let bucket =
            |bucket: &str, prefix: &str| Location::Bucket { bucket: bucket.into(), prefix: prefix.into() };
        assert_eq!(at("s3://cats"), bucket("cats", ""));
        assert_eq!(at("s3://cats/"), bucket("cats", ""));
        assert_eq!(at("s3://cats/in/4k"), bucket("cats", "in/4k/"));
        assert_eq!(
            ["s3://cats", "s3://cats/", "s3://cats/in"].map(|text| at(text).to_string()),
            ["s3://cats", "s3://cats", "s3://cats/in/"]
        );
        assert_eq!("s3:///x".parse::<Location>(), Err(LocationError::Bucket(String::new())));
        assert_eq!("gs://x".parse::<Location>(), Err(LocationError::Scheme("gs".into())));
    }

    #[test]
    fn places_within_one_another_are_seen() {
        let overlap = |a: &str, b: &str| {
            assert_eq!(at(a).overlaps(&at(b)), at(b).overlaps(&at(a)), "{a} {b}");
            at(a).overlaps(&at(b))
        };
        // Outputs at the bucket's root would stand at `in/<key>`, among the masters.
        assert!(overlap("s3://cats", "s3://cats/in"));
        assert!(overlap("s3://cats/in", "s3://cats/in"));
        assert!(!overlap("s3://cats/in", "s3://cats/in-out"));
        assert!(!overlap("s3://cats", "s3://dogs"));
        assert!(overlap("/a/b", "/a/b/c"));
        assert!(!overlap("/a/b", "/a/bc"));
        assert!(!overlap("/a/b", "s3://cats"));
    }

    #[test]
    fn queue_urls() {
        assert_eq!("spool:///a/b".parse(), Ok(QueueUrl::Spool("/a/b".into())));
        let sqs = "https://sqs.eu-west-1.amazonaws.com/123456789012/masters";
        assert_eq!(sqs.parse(), Ok(QueueUrl::Sqs(sqs.to_owned())));
        assert_eq!(sqs.parse::<QueueUrl>().map(|url| url.to_string()).as_deref(), Ok(sqs));
        for bad in [
            "spool://a",
            "spool:///",
            "https://",
            "https://host",
            "https://host/",
            "http:///a/b",
            "http://h/a b/c",
        ] {
            assert_eq!(bad.parse::<QueueUrl>(), Err(QueueUrlError::NoQueue), "{bad}");
        }
        for bad in ["", "masters", "ftp://host/a/b"] {
            assert_eq!(bad.parse::<QueueUrl>(), Err(QueueUrlError::Scheme), "{bad}");
        }
    }
}
