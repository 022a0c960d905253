//! What can go wrong with a master.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Why a master did not become renditions.
///
/// [`category`](Self::category) is stable and for machines, the message is one line for a person, and
/// [`log_tail`](Self::log_tail) is what ffmpeg said last.
#[derive(Debug, thiserror::Error)]
pub enum MediaError {
    /// The file has no bytes.
    #[error("the master is empty (0 bytes): upload it again")]
    Empty,
    /// The file is something else altogether: text, an archive, a picture.
    #[error("the master is not a video file but {seen}: upload a video")]
    NotMedia {
        /// What its first bytes say it is, such as `text`.
        seen: &'static str,
    },
    /// The file may be media, but in a container that is not accepted.
    #[error(
        "the master's container is not supported ({detail}): use MP4, MOV, MKV, WebM, MPEG-TS or -PS, AVI, FLV, MXF, Ogg or ASF"
    )]
    UnsupportedFormat {
        /// What was seen.
        detail: String,
    },
    /// No stream of the file is a moving picture.
    #[error("the master has no video stream ({found}): upload one with a picture")]
    NoVideo {
        /// What there is instead.
        found: String,
    },
    /// The picture's codec is one that this ffmpeg cannot decode.
    #[error(
        "the picture's codec `{codec}` cannot be decoded here: convert the master to H.264, HEVC, VP9 or AV1"
    )]
    UnsupportedCodec {
        /// ffprobe's name of it.
        codec: String,
        /// What ffmpeg said last.
        tail: String,
    },
    /// The file is encrypted (DRM).
    #[error("the master is encrypted: upload it without DRM")]
    Encrypted,
    /// One frame has more pixels than allowed; nothing was decoded.
    #[error(
        "a frame of the master is {width}x{height}, more than the {max} pixels allowed: scale it down, or raise --max-pixels"
    )]
    TooManyPixels {
        /// Width in pixels.
        width: u64,
        /// Height in pixels.
        height: u64,
        /// The limit, in pixels a frame.
        max: u64,
    },
    /// The file ends before its own header says.
    #[error("the master is truncated: {detail}: upload it again, whole")]
    TruncatedInput {
        /// How much is there and how much should be.
        detail: String,
        /// What ffmpeg or ffprobe said last.
        tail: String,
    },
    /// The file is damaged so far that no honest rendition can be made of it.
    #[error("the master is damaged: {detail}: export it again")]
    CorruptInput {
        /// What was found.
        detail: String,
        /// What ffmpeg or ffprobe said last.
        tail: String,
    },
    /// The work took longer than the deadline.
    #[error("{what} was stopped at its deadline of {} s: shorten the master, or raise --deadline", .after.as_secs())]
    Deadline {
        /// Which step.
        what: &'static str,
        /// The deadline.
        after: Duration,
        /// What ffmpeg said last.
        tail: String,
    },
    /// ffmpeg made no progress for too long.
    #[error("transcoding made no progress for {} s and was stopped: the master is probably malformed", .after.as_secs())]
    Stalled {
        /// For how long nothing moved.
        after: Duration,
        /// What ffmpeg said last.
        tail: String,
    },
    /// ffmpeg hit one of the limits set for it: memory, processor time.
    #[error(
        "the master needs more than the limits allow ({detail}): use a smaller master or ladder, or raise the limit"
    )]
    ResourceLimit {
        /// Which limit.
        detail: String,
        /// What ffmpeg said last.
        tail: String,
    },
    /// An output file grew past its limit. Its category is that of the other limits, `resource_limit`.
    #[error("an output file grew past {max} bytes, {why}")]
    OutputTooLarge {
        /// The limit, in bytes.
        max: u64,
        /// Where the limit comes from, and what to do.
        why: &'static str,
        /// What ffmpeg said last.
        tail: String,
    },
    /// The scratch disk is full. Not the master's fault.
    #[error("the scratch disk is full: free space there or name another with --scratch")]
    DiskFull {
        /// What ffmpeg said last.
        tail: String,
    },
    /// Someone else killed ffmpeg, the kernel's out-of-memory killer for one. Not (surely) the master's fault.
    #[error(
        "{program} was killed from outside by signal {signal}: look for the kernel's out-of-memory killer"
    )]
    Killed {
        /// `ffmpeg` or `ffprobe`.
        program: &'static str,
        /// The signal's number.
        signal: i32,
        /// What it said last.
        tail: String,
    },
    /// ffmpeg crashed on this master.
    #[error("{program} crashed on this master (signal {signal}): export the master again with another tool")]
    Crashed {
        /// `ffmpeg` or `ffprobe`.
        program: &'static str,
        /// The signal's number.
        signal: i32,
        /// What it said last.
        tail: String,
    },
    /// ffmpeg is not installed where it was looked for.
    #[error(
        "{program} was not found ({detail}): install it (apt-get install ffmpeg) or name it with --{program}"
    )]
    FfmpegMissing {
        /// `ffmpeg` or `ffprobe`.
        program: &'static str,
        /// Where it was looked for and what came of it.
        detail: String,
    },
    /// This ffmpeg was built without something that is needed.
    #[error(
        "{program} ({path}) lacks {lacks}: install a full build (apt-get install ffmpeg) or name one with --ffmpeg"
    )]
    FfmpegLacks {
        /// `ffmpeg` or `ffprobe`.
        program: &'static str,
        /// Where it is.
        path: PathBuf,
        /// The missing encoder or filter.
        lacks: String,
    },
    /// ffmpeg refused the master for a reason that has no category of its own.
    #[error("{program} failed on this master (exit code {code}): {reason}")]
    FfmpegFailed {
        /// `ffmpeg` or `ffprobe`.
        program: &'static str,
        /// Its exit code.
        code: i32,
        /// The line of its log that says most.
        reason: String,
        /// What it said last.
        tail: String,
    },
    /// ffmpeg said all was well, and it was not.
    #[error("the rendition {name} is not as planned: {detail}: nothing was published")]
    VerificationFailed {
        /// The rendition's name.
        name: String,
        /// What is wrong with it.
        detail: String,
        /// What ffmpeg said last.
        tail: String,
    },
    /// The caller asked to stop.
    #[error("the transcode was stopped on request")]
    Cancelled,
    /// The sandbox could not be set up.
    #[error(
        "the sandbox for ffmpeg could not be set up ({detail}): this is a fault of the machine, not of the master"
    )]
    SandboxFailed {
        /// Which layer, and why.
        detail: String,
    },
    /// A file operation of our own failed.
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        /// What was tried, such as `read`.
        what: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl MediaError {
    /// A stable name of the kind of error, for metrics and the dead-letter queue.
    #[must_use]
    pub fn category(&self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::NotMedia { .. } => "not_media",
            Self::UnsupportedFormat { .. } => "unsupported_format",
            Self::NoVideo { .. } => "no_video",
            Self::UnsupportedCodec { .. } => "unsupported_codec",
            Self::Encrypted => "encrypted",
            Self::TooManyPixels { .. } => "too_many_pixels",
            Self::TruncatedInput { .. } => "truncated_input",
            Self::CorruptInput { .. } => "corrupt_input",
            Self::Deadline { .. } => "deadline",
            Self::Stalled { .. } => "stalled",
            Self::ResourceLimit { .. } | Self::OutputTooLarge { .. } => "resource_limit",
            Self::DiskFull { .. } => "disk_full",
            Self::Killed { .. } => "killed",
            Self::Crashed { .. } => "ffmpeg_crashed",
            Self::FfmpegMissing { .. } => "ffmpeg_missing",
            Self::FfmpegLacks { .. } => "ffmpeg_lacks",
            Self::FfmpegFailed { .. } => "ffmpeg_failed",
            Self::VerificationFailed { .. } => "verification_failed",
            Self::Cancelled => "cancelled",
            Self::SandboxFailed { .. } => "sandbox_failed",
            Self::Io { .. } => "io",
        }
    }

    /// Whether trying the same master again with the same settings can only end the same way.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        !matches!(
            self,
            Self::DiskFull { .. }
                | Self::Killed { .. }
                | Self::FfmpegMissing { .. }
                | Self::FfmpegLacks { .. }
                | Self::Cancelled
                | Self::SandboxFailed { .. }
                | Self::Io { .. }
        )
    }

    /// The end of the child's log, at most about 4 KiB; empty where no child spoke.
    #[must_use]
    pub fn log_tail(&self) -> &str {
        match self {
            Self::UnsupportedCodec { tail, .. }
            | Self::TruncatedInput { tail, .. }
            | Self::CorruptInput { tail, .. }
            | Self::Deadline { tail, .. }
            | Self::Stalled { tail, .. }
            | Self::ResourceLimit { tail, .. }
            | Self::OutputTooLarge { tail, .. }
            | Self::DiskFull { tail }
            | Self::Killed { tail, .. }
            | Self::Crashed { tail, .. }
            | Self::FfmpegFailed { tail, .. }
            | Self::VerificationFailed { tail, .. } => tail,
            _ => "",
        }
    }

    /// The message and, where there is one, the end of the child's log below it.
    #[must_use]
    pub fn detail(&self) -> String {
        match self.log_tail().trim_end() {
            "" => self.to_string(),
            tail => format!("{self}\n{tail}"),
        }
    }

    /// An error of our own file operation; a full disk keeps its own category.
    pub(crate) fn io(what: &'static str, path: &std::path::Path, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::DiskFull { tail: source.to_string() }
            }
            _ => Self::Io { what, path: path.to_owned(), source },
        }
    }
}
