//! The `reelpool` program.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;
use reelpool::args::{Args, one_line};

fn main() -> ExitCode {
    match Args::try_parse() {
        Ok(args) => reelpool::run(args),
        // Help and version are errors to clap, but were asked for.
        Err(asked) if !asked.use_stderr() => {
            let _ = asked.print();
            ExitCode::SUCCESS
        }
        Err(nothing) if nothing.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = nothing.print();
            ExitCode::from(2)
        }
        Err(wrong) => {
            let _ = writeln!(std::io::stderr(), "{}", one_line(&wrong));
            ExitCode::from(2)
        }
    }
}
