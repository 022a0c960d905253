//! `reelpool crd`: its options.

use std::path::PathBuf;

use clap::Args as ClapArgs;

/// The options of `reelpool crd`.
#[derive(Debug, ClapArgs)]
pub struct CrdArgs {
    /// Write `DIR/reelpool.dev_workerpools.yaml` instead of printing it; may be given more than once
    #[arg(long, value_name = "DIR")]
    pub out: Vec<PathBuf>,
}
