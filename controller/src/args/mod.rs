//! The command line, read into types that cannot be wrong. One file for each command.

use std::ffi::{OsStr, OsString};

use clap::error::{ContextKind, ContextValue};
use clap::{CommandFactory, Parser, Subcommand, ValueEnum};

pub mod crd;
pub mod operator;
pub mod probe;
pub mod replay;
pub mod up;

pub use crd::CrdArgs;
pub use operator::{OperatorArgs, OperatorOptions};
pub use probe::ProbeArgs;
pub use replay::ReplayArgs;
pub use up::{UpArgs, UpOptions};

/// What `reelpool` was asked to do.
#[derive(Debug, Parser)]
#[command(
    name = "reelpool",
    version,
    about = "Runs exactly as many video workers as the queue needs: none when it is empty.",
    arg_required_else_help = true
)]
pub struct Args {
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// A command of `reelpool`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run everything on this machine: watch a folder, keep the queue, start and stop the workers
    #[command(long_about = "\
Runs everything on this machine. Videos put into DIR/masters become renditions in DIR/renditions.

Each complete video is put into a queue; as many workers as the queue needs are started (at most --max-workers), \
and when the queue is empty the fleet goes back to --min-workers. A video is complete when it was moved in, or \
when it was closed and has not changed for a second. A text file NAME.ladder beside a video NAME, put there \
first, names the renditions of that video, such as `720p,480p`.

Ctrl-C finishes or hands back the jobs in hand; a second Ctrl-C stops at once. Nothing is lost either way: the \
next `reelpool up` goes on.

With --queue-url, --masters s3://… and --output s3://… the same command works on Amazon SQS and S3, or anything \
that speaks their protocols at --endpoint-url.

Exit code: 0 fine; 1 failure; 2 wrong usage; 3 with --exit-when-done when masters failed for good; 130 after a \
second Ctrl-C, or with --exit-when-done after the first.")]
    Up(Box<UpArgs>),
    /// Run the fleets of a Kubernetes cluster: a Deployment for each WorkerPool
    #[command(long_about = "\
Runs the fleets of a Kubernetes cluster. For each WorkerPool it keeps a Deployment of workers, looks at the pool's \
queue, and sets the number of replicas: from nothing to the maximum in one write, and back by draining idle workers \
first. Of several operators one leads, by a Lease; the others stand by.

The chart charts/reelpool sets all of this up. Outside a cluster it takes KUBECONFIG; options may also be given as \
environment variables. On --listen it serves /healthz, /readyz, /metrics and \
/v1/pools/NAMESPACE/NAME/decisions.

Exit code: 0 told to stop; 1 failure, also when another leads from now on; 2 wrong usage.")]
    Operator(Box<OperatorArgs>),
    /// Print the definition of the `WorkerPool` resource, as `kubectl apply -f -` takes it
    Crd(CrdArgs),
    /// Ask a URL until it answers that all is well, and print the answer
    Probe(ProbeArgs),
    /// Make recorded decisions again, and tell where this version would decide otherwise
    #[command(long_about = "\
Makes recorded decisions again, and tells where this version would decide otherwise, or where a decision breaks a rule \
that must hold of all.

FILE has one decision a line: the decisions.jsonl of `reelpool up`, what the operator serves at \
/v1/pools/NAMESPACE/NAME/decisions, or what it writes to its standard output with --log-decisions. A last line that was \
cut off is left out.

Exit code: 0 every decision would be the same; 1 some would not, or the file cannot be read; 2 wrong usage.")]
    Replay(ReplayArgs),
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for a person.
    Text,
    /// One JSON document a line.
    Json,
}

impl LogFormat {
    /// The word for it on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
        }
    }
}

/// A clap error as one line: what is wrong and what to do.
#[must_use]
pub fn one_line(error: &clap::Error) -> String {
    told(error, |variable| std::env::var_os(variable))
}

fn told(error: &clap::Error, environment: impl Fn(&OsStr) -> Option<OsString>) -> String {
    let text = error.to_string();
    let lines = text
        .lines()
        .map(str::trim)
        .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more"));
    let said: Vec<String> = lines
        .filter(|line| !line.is_empty())
        .map(|line| if line.starts_with("tip:") { format!("({line})") } else { line.to_owned() })
        .collect();
    let said = said.join(" ");
    let said = said.strip_prefix("error:").unwrap_or(&said).trim();
    // The usage names the command that was meant: `Usage: reelpool up [OPTIONS]`.
    let usage = text.lines().find_map(|line| line.trim().strip_prefix("Usage: ")).unwrap_or("reelpool");
    let command: Vec<&str> =
        usage.split_whitespace().take_while(|word| !word.starts_with(['[', '<', '-'])).collect();
    let from = variable(error, environment);
    let from = from.map(|name| format!(" (from {name})")).unwrap_or_default();
    format!("error: {said}{from}: see `{} --help`", command.join(" "))
}

/// The variable that a wrong value is from, if it is from one: clap names the option only.
fn variable(error: &clap::Error, environment: impl Fn(&OsStr) -> Option<OsString>) -> Option<String> {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    let (option, value) = (text(ContextKind::InvalidArg)?, text(ContextKind::InvalidValue)?);
    let mut all = Args::command();
    // An option has no name to print before.
    all.build();
    // Such an error does not tell which command it is about.
    let options = all.get_subcommands().flat_map(clap::Command::get_arguments);
    let mut variables = options.filter(|other| other.to_string() == option).filter_map(clap::Arg::get_env);
    let name = variables.find(|name| environment(name).is_some_and(|set| set == *value))?;
    Some(name.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_that_a_wrong_value_is_from_is_named() {
        let line = ["reelpool", "operator", "--worker-image", "w", "--listen", "foo"];
        let error = Args::try_parse_from(line).unwrap_err();
        let told = |set: Option<&str>| {
            told(&error, |name| set.filter(|_| name == "REELPOOL_LISTEN").map(OsString::from))
        };
        let named = told(Some("foo"));
        assert!(named.contains("'--listen <ADDRESS>'"), "{named}");
        assert!(named.ends_with(" (from REELPOOL_LISTEN): see `reelpool --help`"), "{named}");
        for other in [None, Some("[::]:8080")] {
            assert!(!told(other).contains("REELPOOL_LISTEN"));
        }
    }
}
