//! Where masters are and where outputs go: a folder, or a bucket with an optional prefix.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use reelpool_protocol::Source;

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

    /// Whether what is written to `inner` appears in `self`.
    #[must_use]
    pub fn contains(&self, inner: &Self) -> bool {
        match (self, inner) {
            (Self::Folder(outer), Self::Folder(inner)) => absolute(inner).starts_with(absolute(outer)),
            (Self::Bucket { bucket, prefix }, Self::Bucket { bucket: other, prefix: inner }) => {
                bucket == other && inner.starts_with(prefix.as_str())
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
        assert_eq!("s3:///x".parse::<Location>(), Err(LocationError::Bucket(String::new())));
        assert_eq!("gs://x".parse::<Location>(), Err(LocationError::Scheme("gs".into())));
    }

    #[test]
    fn output_within_masters_is_seen() {
        assert!(at("s3://cats").contains(&at("s3://cats/out")));
        assert!(at("s3://cats/in").contains(&at("s3://cats/in")));
        assert!(!at("s3://cats/in").contains(&at("s3://cats/in-out")));
        assert!(!at("s3://cats").contains(&at("s3://dogs")));
        assert!(at("/a/b").contains(&at("/a/b/c")));
        assert!(!at("/a/b").contains(&at("/a/bc")));
    }
}
