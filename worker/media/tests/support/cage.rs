//! The hidden `sandbox` subcommand alone, so that the tests of this crate can lock children in.

use std::process::ExitCode;

fn main() -> ExitCode {
    reelpool_media::sandbox::main(std::env::args_os().skip(2))
}
