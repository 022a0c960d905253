//! Reelpool's controller: watches a queue, decides how many workers it needs, and says why.
//!
//! The decision itself is `reelpool-core`; here are the shells around it. [`local`] is the one-machine shell,
//! `reelpool up`. [`queue`] tells how long a queue is, [`fleet`] what the workers are doing.

use std::io::{BufWriter, Write};
use std::process::ExitCode;
use std::time::Duration;

pub mod args;
pub mod clock;
pub mod crd;
pub mod decisions;
pub mod fleet;
pub mod http;
pub mod lease;
pub mod local;
pub mod metrics;
pub mod operator;
pub mod pool_name;
pub mod probe;
pub mod queue;
pub mod replay;
pub mod said;
pub mod signals;
pub mod telemetry;

use args::operator::host_name;
use args::{Args, Command, OperatorArgs, OperatorOptions, UpArgs, UpOptions};
use local::UpError;
use local::screen::Screen;

/// The exit code of a failure.
const FAILED: u8 = 1;
/// The exit code of wrong usage.
const WRONG_USAGE: u8 = 2;

/// Does what the command line says. Errors are told on standard error, one line each.
#[must_use]
pub fn run(args: Args) -> ExitCode {
    match args.command {
        Command::Up(args) => up(*args),
        Command::Operator(args) => operate(*args),
        Command::Crd(args) => {
            crd::run(&args).map_or_else(|error| fail(&error, FAILED), |()| ExitCode::SUCCESS)
        }
        Command::Probe(args) => {
            probe::run(&args).map_or_else(|error| fail(&error, FAILED), |()| ExitCode::SUCCESS)
        }
        Command::Replay(args) => match replay::run(&args, &mut BufWriter::new(std::io::stdout())) {
            Ok(summary) if summary.is_fine() => ExitCode::SUCCESS,
            Ok(_) => ExitCode::from(FAILED),
            Err(error) => fail(&error, FAILED),
        },
    }
}

fn up(args: UpArgs) -> ExitCode {
    let cores =
        std::thread::available_parallelism().map_or(1, |cores| u32::try_from(cores.get()).unwrap_or(1));
    let options = match UpOptions::read(args, cores) {
        Ok(options) => options,
        Err(error) => return fail(&error, WRONG_USAGE),
    };
    let screen = Screen::stderr();
    telemetry::start(options.log_format, &screen);
    // One thread does everything but the disk: a worker dies with the thread that started it, and this one lives
    // as long as the process.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(source) => return fail(&UpError::System { action: "start the runtime", source }, FAILED),
    };
    let ended = runtime.block_on(local::run(options, &screen));
    // Nothing that is still read from the disk is waited for.
    runtime.shutdown_timeout(Duration::from_secs(1));
    match ended {
        Ok(exit) => ExitCode::from(exit.code()),
        Err(error) => fail(&error, FAILED),
    }
}

fn operate(args: OperatorArgs) -> ExitCode {
    let options = match OperatorOptions::read(args, &host_name()) {
        Ok(options) => options,
        Err(error) => return fail(&error, WRONG_USAGE),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(source) => return fail(&UpError::System { action: "start the runtime", source }, FAILED),
    };
    let telemetry = telemetry::start_operator(options.log_format, runtime.handle());
    let ended = runtime.block_on(operator::run(options));
    telemetry.finish();
    // A write that is still on its way is not waited for: it carries its precondition.
    runtime.shutdown_timeout(Duration::from_secs(1));
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error, FAILED),
    }
}

fn fail(error: &dyn std::error::Error, code: u8) -> ExitCode {
    let said = error.to_string();
    // Nobody may be listening any more.
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    let _ = writeln!(std::io::stderr(), "error: {said}");
    ExitCode::from(code)
}
