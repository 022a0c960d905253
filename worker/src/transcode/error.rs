//! Why a video did not become renditions, and what that means for whoever asked.

use std::error::Error as StdError;
use std::io;
use std::path::{Path, PathBuf};

use reelpool_media::MediaError;
use reelpool_protocol::job::printable;

use crate::profile::ProfileSourceError;
use crate::store::StoreError;

/// Why a video did not become renditions.
#[derive(Debug, thiserror::Error)]
pub enum TranscodeError {
    /// The profile cannot be used.
    #[error(transparent)]
    Profile(#[from] ProfileSourceError),
    /// There are files of an earlier run, or someone else's, where outputs would go.
    #[error("{} is there already: name another folder with --out, or replace it with --force", .0.display())]
    Exists(PathBuf),
    /// The output folder is a file.
    #[error("{} is no folder: name another with --out", .0.display())]
    NotAFolder(PathBuf),
    /// An output would take the place of the master.
    #[error("{} is the master itself: name another folder with --out", .0.display())]
    OntoItself(PathBuf),
    /// There is no such file.
    #[error("{} is not there, or is no file: check the path", .0.display())]
    NoMaster(PathBuf),
    /// The file may not be read.
    #[error("{} cannot be read ({source}): change its owner or mode", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file became another while it was worked on.
    #[error("{} was changed while it was transcoded: start again when it is complete", .0.display())]
    Changed(PathBuf),
    /// The master, ffmpeg, or the limits.
    #[error(transparent)]
    Media(#[from] MediaError),
    /// The disk of the output folder is full.
    #[error("no space left in {}: free some, or name another folder with --out", .0.display())]
    NoSpace(PathBuf),
    /// The output folder.
    #[error("--out {}: {source}: name another folder", path.display())]
    Out {
        /// The folder.
        path: PathBuf,
        /// What is wrong with it.
        source: StoreError,
    },
    /// Someone asked to stop.
    #[error("stopped on request: nothing was left behind")]
    Stopped,
    /// The system refused something.
    #[error("cannot {what} ({source}): check the system's limits and try again")]
    System {
        /// What was refused.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

impl TranscodeError {
    /// The same failure where it says something of the folder `out`, in words for a person who named that.
    #[must_use]
    pub fn in_folder(self, out: &Path) -> Self {
        match self {
            Self::Media(MediaError::DiskFull { .. }) => Self::NoSpace(out.to_owned()),
            Self::Media(MediaError::Cancelled) => Self::Stopped,
            other => other,
        }
    }

    /// A stable name of the kind of failure.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Profile(_) => "bad_profile",
            Self::Exists(_) | Self::NotAFolder(_) | Self::OntoItself(_) => "out_exists",
            Self::NoMaster(_) => "master_not_found",
            Self::Unreadable { .. } => "master_unreadable",
            Self::Changed(_) => "master_replaced",
            Self::Media(error) => error.category(),
            Self::NoSpace(_) => "disk_full",
            Self::Out { source, .. } => source.category(),
            Self::Stopped => "cancelled",
            Self::System { .. } => "system",
        }
    }

    /// The program's exit code: 1 where this master will always fail so, 2 for wrong usage, 3 where another time may
    /// end otherwise.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Profile(_) | Self::Exists(_) | Self::NotAFolder(_) | Self::OntoItself(_) => 2,
            Self::NoMaster(_) => 1,
            Self::Media(error) => {
                if error.is_permanent() {
                    1
                } else {
                    3
                }
            }
            Self::Unreadable { .. }
            | Self::Changed(_)
            | Self::NoSpace(_)
            | Self::Out { .. }
            | Self::Stopped
            | Self::System { .. } => 3,
        }
    }

    /// What is told: the end of ffmpeg's log where there is one, and as the last line
    /// `error: <reason>: <what a person can do>`.
    #[must_use]
    pub fn told(&self) -> String {
        let tail = match self {
            Self::Media(error) => error.log_tail().trim_end(),
            _ => "",
        };
        let tail = tail.lines().map(|line| format!("ffmpeg: {}\n", printable(line)));
        let what = reelpool_aws::chain(self as &(dyn StdError + 'static));
        tail.chain([format!("error: {}: {}\n", self.reason(), printable(&what))]).collect()
    }
}
