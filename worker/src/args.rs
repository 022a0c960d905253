//! The command line.

#![expect(clippy::doc_markdown, reason = "these comments are the program's help text")]

mod transcode;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use reelpool_protocol::location::endpoint_url;
use reelpool_protocol::profile::{BUILT_IN, Preset};
use reelpool_protocol::{Ladder, Location, QueueUrl};

use crate::events::Events;
use crate::telemetry::LogFormat;
use crate::token::DrainToken;

pub use transcode::TranscodeArgs;

/// Takes transcoding jobs from a queue, one at a time.
#[derive(Debug, Parser)]
#[command(name = "reelpool-worker", version, propagate_version = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What the worker can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Take jobs from the queue until told to stop.
    Run(Box<RunArgs>),
    /// Transcode one video, by hand.
    #[command(long_about = "\
Transcodes one video, by hand: FILE becomes renditions in DIR, and DIR/manifest.json tells of them. It goes the same way \
as a job of the queue.

Nothing that is half made is left behind: what is in DIR at the end is whole, and the manifest is written last.

Exit code: 0 renditions and manifest are there; 1 the video was refused, or will always fail; 2 wrong usage; 3 another \
time may end otherwise (a full disk, Ctrl-C, no ffmpeg). With 1 and 3 the last line on standard error is \
`error: <reason>: <what to do>`.")]
    Transcode(Box<TranscodeArgs>),
    /// Print a profile, with everything that it leaves to the default, as JSON.
    Profile(ProfileArgs),
}

/// The options of `run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The queue: an SQS queue's URL, or spool:///FOLDER for the embedded one.
    #[arg(long, value_name = "URL", env = "REELPOOL_QUEUE_URL")]
    pub queue_url: QueueUrl,
    /// Where masters may be fetched from: a folder, or s3://BUCKET[/PREFIX].
    #[arg(long, value_name = "PLACE", env = "REELPOOL_MASTERS")]
    pub masters: Location,
    /// Where renditions go: a folder, or s3://BUCKET[/PREFIX].
    #[arg(long, value_name = "PLACE", env = "REELPOOL_OUTPUT")]
    pub output: Location,
    /// The endpoint of SQS and S3, for anything but AWS itself.
    #[arg(long, value_name = "URL", env = "REELPOOL_ENDPOINT_URL", value_parser = endpoint_url)]
    pub endpoint_url: Option<String>,
    /// Where messages go that cannot be done [default: what the queue's redrive policy names].
    #[arg(long, value_name = "URL", env = "REELPOOL_DEAD_LETTER_QUEUE_URL", value_parser = endpoint_url)]
    pub dead_letter_queue_url: Option<String>,
    /// How masters become renditions.
    #[command(flatten)]
    pub media: MediaArgs,
    /// For how long a message is hidden from others; it is extended at a third of that.
    #[arg(
        long, value_name = "SECONDS", env = "REELPOOL_VISIBILITY_TIMEOUT", default_value_t = 120,
        value_parser = clap::value_parser!(u64).range(3..=43_200)
    )]
    pub visibility_timeout: u64,
    /// After how many receives a failing message is given up; or sooner, if an SQS queue's redrive policy says so.
    #[arg(
        long, value_name = "N", env = "REELPOOL_MAX_ATTEMPTS", default_value_t = 20,
        value_parser = clap::value_parser!(u32).range(1..=1000)
    )]
    pub max_attempts: u32,
    /// How long a job may go on after SIGTERM; one that needs longer is handed back at once.
    #[arg(long, value_name = "SECONDS", env = "REELPOOL_GRACE", default_value_t = 30)]
    pub grace: u64,
    /// Where masters and renditions lie while they are worked on [default: the system's temporary folder].
    #[arg(long, value_name = "FOLDER", env = "REELPOOL_SCRATCH")]
    pub scratch: Option<PathBuf>,
    /// Where health, metrics, status and drain are served.
    #[arg(long, value_name = "ADDRESS", env = "REELPOOL_LISTEN", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// This worker's name, unique in its fleet [default: the host's name].
    #[arg(long, value_name = "NAME", env = "REELPOOL_WORKER_ID")]
    pub worker_id: Option<String>,
    /// The bearer token that allows to drain; without one nobody may.
    #[arg(long, env = "REELPOOL_DRAIN_TOKEN", hide = true, hide_env_values = true)]
    pub drain_token: Option<String>,
    /// The SHA-256 of that token, for where the token itself would be seen by too many.
    #[arg(
        long,
        value_name = "HEX",
        env = "REELPOOL_DRAIN_TOKEN_SHA256",
        hide = true,
        conflicts_with = "drain_token"
    )]
    pub drain_token_sha256: Option<DrainToken>,
    /// Tell what happens as JSON lines.
    #[arg(long, value_name = "WHERE", value_enum, default_value_t)]
    pub events: Events,
    /// Shut down when the parent process, which is this one, dies.
    #[arg(long, value_name = "PID")]
    pub exit_with_parent: Option<u32>,
    /// Check that everything this worker needs is there and may be used, and exit.
    #[arg(long)]
    pub check: bool,
    /// How log lines look.
    #[arg(long, value_enum, env = "REELPOOL_LOG_FORMAT", default_value_t)]
    pub log_format: LogFormat,
}

/// The options of everything that transcodes.
#[derive(Debug, Args)]
pub struct MediaArgs {
    /// The renditions of a master that names none.
    #[arg(long, value_name = "RUNGS", env = "REELPOOL_LADDER", default_value_t)]
    pub ladder: Ladder,
    /// How they are made, unless a job says so: h264, fast, av1, a YAML file, or its text [default: h264].
    #[arg(long, value_name = "NAME|FILE", env = "REELPOOL_PROFILE")]
    pub profile: Option<String>,
    /// The x264 preset, in place of that profile's: how much time to spend for smaller files.
    #[arg(long, env = "REELPOOL_PRESET")]
    pub preset: Option<Preset>,
    /// Threads for ffmpeg [default: the processors this process may use].
    #[arg(long, value_name = "N", env = "REELPOOL_THREADS", value_parser = clap::value_parser!(u32).range(1..=256))]
    pub threads: Option<u32>,
    /// How long one transcode may take [default: by the work to do].
    #[arg(long, value_name = "SECONDS", env = "REELPOOL_DEADLINE", value_parser = clap::value_parser!(u64).range(1..))]
    pub deadline: Option<u64>,
    /// Refuse masters with more pixels a frame.
    #[arg(long, value_name = "N", env = "REELPOOL_MAX_PIXELS", value_parser = clap::value_parser!(u64).range(1..))]
    pub max_pixels: Option<u64>,
    /// The ffmpeg to use [default: the one on the PATH].
    #[arg(long, value_name = "PATH", env = "REELPOOL_FFMPEG")]
    pub ffmpeg: Option<PathBuf>,
    /// The ffprobe to use [default: the one on the PATH].
    #[arg(long, value_name = "PATH", env = "REELPOOL_FFPROBE")]
    pub ffprobe: Option<PathBuf>,
}

/// The options of `profile`.
#[derive(Debug, Args)]
pub struct ProfileArgs {
    /// The profile: h264, fast, av1, a YAML file, or its text.
    #[arg(value_name = "NAME|FILE", default_value = BUILT_IN[0])]
    pub profile: String,
    /// Print the JSON schema of profiles, for editors, instead.
    #[arg(long)]
    pub schema: bool,
}

impl RunArgs {
    /// The token that allows to drain, however it was given; without one nobody may.
    #[must_use]
    pub fn drain_token(&self) -> Option<DrainToken> {
        let token = self.drain_token.as_deref().filter(|token| !token.is_empty()).map(DrainToken::of);
        token.or_else(|| self.drain_token_sha256.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    fn read(more: &[&str]) -> Result<RunArgs, String> {
        let least = ["reelpool-worker", "run", "--queue-url=spool:///q", "--masters=in", "--output=out"]
            .map(str::to_owned);
        let arguments = least.into_iter().chain(more.iter().map(|argument| (*argument).to_owned()));
        let command = Cli::try_parse_from(arguments).map_err(|error| error.to_string())?.command;
        let Command::Run(args) = command else { panic!("{command:?}") };
        Ok(*args)
    }

    #[test]
    fn the_token_or_its_hash_allows_to_drain() {
        assert_eq!(read(&[]).unwrap().drain_token(), None);
        assert_eq!(read(&["--drain-token="]).unwrap().drain_token(), None);
        let by_token = read(&["--drain-token=abc"]).unwrap().drain_token();
        let hash = "--drain-token-sha256=ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(by_token, read(&[hash]).unwrap().drain_token());
        assert!(by_token.is_some());
        assert!(read(&[hash, "--drain-token=abc"]).unwrap_err().contains("cannot be used with"));
        assert!(read(&["--drain-token-sha256=abc"]).unwrap_err().contains("64 hexadecimal digits"));
    }
}
