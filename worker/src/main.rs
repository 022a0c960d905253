//! The worker's program: see `reelpool-worker --help`.

use std::process::ExitCode;

use clap::Parser;
use reelpool_media::sandbox;
use reelpool_worker::args::{Cli, Command};
use reelpool_worker::{profile, start, transcode};

fn main() -> ExitCode {
    // A child that is to become ffmpeg comes through here to lock itself in first.
    let mut arguments = std::env::args_os().skip(1).peekable();
    if arguments.peek().is_some_and(|first| first == sandbox::COMMAND) {
        return sandbox::main(arguments.skip(1));
    }
    match Cli::parse().command {
        Command::Run(args) => start::main(*args),
        Command::Transcode(args) => transcode::main(&args),
        Command::Profile(args) => profile::main(&args),
    }
}
