//! Seeds, one after the other, and a table of what came of them.

use std::ops::RangeInclusive;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use reelpool_chaos::{Verdict, cluster, duplicates, one_machine, work};
use tokio::runtime::Runtime;

/// Runs real jobs through the real programs under a seeded storm of faults, and counts from outside.
#[derive(Parser)]
struct Cli {
    /// What is under fire
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// `reelpool up`: odd seeds over SQS and S3, even ones over folders
    OneMachine(Storms),
    /// The operator on a real control plane, over pods that are real worker processes
    Cluster(Storms),
    /// No storm: each message is delivered to five workers at once
    Duplicates {
        /// How many messages
        #[arg(long, default_value_t = 100)]
        jobs: usize,
    },
}

#[derive(Args)]
struct Storms {
    /// Which storms: one seed, or a range such as 1-20
    #[arg(long, default_value = "1", value_parser = seeds)]
    seeds: RangeInclusive<u64>,
    /// How many videos each storm is over; a few jobs that must fail come on top
    #[arg(long, default_value_t = 200)]
    jobs: usize,
}

fn seeds(text: &str) -> Result<RangeInclusive<u64>, String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let read = |part: &str| part.parse().map_err(|error| format!("{part}: {error}: write 7, or 1-20"));
    Ok(read(first)?..=read(last)?)
}

fn main() -> ExitCode {
    let command = Cli::parse().command;
    let runtime = match Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::FAILURE;
        }
    };
    work::prepare();
    let broken = match command {
        Command::OneMachine(Storms { seeds, jobs }) => {
            storms(seeds, |seed| runtime.block_on(one_machine::run(seed, jobs)))
        }
        Command::Cluster(Storms { seeds, jobs }) => {
            storms(seeds, |seed| runtime.block_on(cluster::run(seed, jobs)))
        }
        Command::Duplicates { jobs } => {
            let cost = runtime.block_on(duplicates::run(jobs));
            println!("{cost}");
            tell(&cost.broken)
        }
    };
    if broken == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs one storm after the other and prints the table. Returns how many promises were broken.
fn storms(seeds: RangeInclusive<u64>, run: impl Fn(u64) -> Verdict) -> usize {
    println!("{}", Verdict::head());
    let mut broken = 0;
    for seed in seeds {
        let verdict = run(seed);
        println!("{verdict}");
        broken += tell(&verdict.broken());
    }
    broken
}

fn tell(broken: &[String]) -> usize {
    for promise in broken {
        println!("BROKEN: {promise}");
    }
    broken.len()
}
