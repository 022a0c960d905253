//! Seeds, one after the other, and a table of what came of them.

use std::ops::RangeInclusive;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use reelpool_chaos::{Verdict, cluster, duplicates, one_machine, work};

/// Runs real jobs through the real programs under a seeded storm of faults, and counts from outside.
#[derive(Parser)]
struct Arguments {
    /// What is under fire
    #[arg(value_enum)]
    shell: Shell,
    /// Which storms: one seed, or a range such as 1-20
    #[arg(long, default_value = "1", value_parser = seeds)]
    seeds: RangeInclusive<u64>,
    /// How many videos each run has; a few jobs that must fail come on top
    #[arg(long, default_value_t = 200)]
    jobs: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Shell {
    /// `reelpool up`: odd seeds over SQS and S3, even ones over folders.
    OneMachine,
    /// The operator on a real control plane, over pods that are real worker processes.
    Cluster,
    /// No storm: as many messages as --jobs says, each delivered to five workers at once.
    Duplicates,
}

fn seeds(text: &str) -> Result<RangeInclusive<u64>, String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let read = |part: &str| part.parse().map_err(|error| format!("{part}: {error}: write 7, or 1-20"));
    Ok(read(first)?..=read(last)?)
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    work::prepare();
    let runtime = tokio::runtime::Runtime::new();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::FAILURE;
        }
    };
    if arguments.shell == Shell::Duplicates {
        let cost = runtime.block_on(duplicates::run(arguments.jobs));
        println!("{cost}");
        for broken in &cost.broken {
            println!("BROKEN: {broken}");
        }
        return if cost.broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let mut broken = 0;
    println!("{}", Verdict::head());
    for seed in arguments.seeds {
        let verdict = runtime.block_on(async {
            match arguments.shell {
                Shell::OneMachine => one_machine::run(seed, arguments.jobs).await,
                Shell::Cluster | Shell::Duplicates => cluster::run(seed, arguments.jobs).await,
            }
        });
        println!("{verdict}");
        for promise in verdict.broken() {
            broken += 1;
            println!("BROKEN in seed {seed}: {promise}");
        }
    }
    if broken == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
