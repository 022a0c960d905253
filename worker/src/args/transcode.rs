//! The options of `transcode`.

use std::path::PathBuf;

use clap::Args;

use super::MediaArgs;

/// The options of `transcode`.
#[derive(Debug, Args)]
pub struct TranscodeArgs {
    /// The video.
    pub file: PathBuf,
    /// The folder for renditions and manifest.json; it is made if it is not there.
    #[arg(long, value_name = "DIR", required_unless_present = "dry_run")]
    pub out: Option<PathBuf>,
    /// Replace what an earlier run made there.
    #[arg(long)]
    pub force: bool,
    /// Print what would be made, and write nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// How the master becomes renditions.
    #[command(flatten)]
    pub media: MediaArgs,
}
