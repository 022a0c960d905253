//! What can be wrong with tracks and presentations. The files are our own, so each of these is a fault of ffmpeg,
//! of the disk or of Reelpool, not of the master.

use std::io;

/// Why a file is not a CMAF track that can be served.
#[derive(Debug, thiserror::Error)]
pub enum TrackError {
    /// Reading it failed.
    #[error("the track cannot be read: {0}")]
    Io(#[from] io::Error),
    /// A box is missing, or is not where it belongs.
    #[error(
        "the track has no box `{0}` where one belongs: package it again with this Reelpool's own arguments"
    )]
    Missing(&'static str),
    /// A box contradicts itself, the file or another box.
    #[error("the track's box at byte {at} is damaged: {what}: package it again")]
    Damaged {
        /// Where the box starts, in bytes from the start of the file.
        at: u64,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The file has no or several tracks, or several descriptions of its samples.
    #[error("the file has {found} {what} and must have one: package each stream into a file of its own")]
    NotOne {
        /// What there must be one of.
        what: &'static str,
        /// How many there are.
        found: u64,
    },
    /// The track is shifted in a way that players do not agree on.
    #[error(
        "the track has an edit list beyond one plain offset: package it again from a stream that starts at 0"
    )]
    EditList,
    /// The codec is none that a name in playlists is known for.
    #[error("the track's codec `{0}` cannot be announced in a playlist: use H.264 or AV1 with AAC")]
    Codec(String),
}

/// Why tracks do not make a presentation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PackageError {
    /// There is no picture.
    #[error("a presentation needs at least one video track")]
    NoVideo,
    /// A rung's name cannot be a file's name.
    #[error(
        "a rung cannot be called `{0}`: use up to 64 letters, digits, - and _, and neither `audio` nor `master`"
    )]
    Name(String),
    /// Two rungs have one name.
    #[error("two rungs are called `{0}`: give each a name of its own")]
    SameName(String),
    /// A track is of the other kind.
    #[error("track `{name}` does not hold {expected}")]
    Kind {
        /// The track.
        name: String,
        /// What was expected.
        expected: &'static str,
    },
    /// The rungs' fragments do not start and end at the same moments, so no player could switch between them.
    #[error(
        "the fragments of `{name}` do not lie on the grid of `{first}` (they differ at fragment {fragment}): encode all rungs with the same rate and key frames"
    )]
    OffGrid {
        /// The rung.
        name: String,
        /// The rung that it was compared with.
        first: String,
        /// The first fragment that differs, counted from 0.
        fragment: usize,
    },
    /// Two tracks start more than 50 ms apart.
    #[error(
        "track `{name}` starts {ms} ms apart from `{first}`, more than the 50 ms that pass unnoticed: encode both from 0"
    )]
    Apart {
        /// The track.
        name: String,
        /// The rung that it was compared with.
        first: String,
        /// How far apart, in milliseconds.
        ms: u64,
    },
}
