//! `reelpool replay`: its options.

use std::path::PathBuf;

use clap::Args as ClapArgs;

/// The options of `reelpool replay`.
#[derive(Debug, ClapArgs)]
pub struct ReplayArgs {
    /// Recorded decisions, one a line; `-` is standard input
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}
