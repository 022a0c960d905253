//! The log: standard error, as text or JSON, filtered by `RUST_LOG`.

use tracing_subscriber::EnvFilter;

use crate::args::LogFormat;
use crate::local::screen::Screen;

/// What the AWS libraries warn of is told by our own errors, in one line.
const DEFAULT_FILTER: &str = "info,aws_config=error,aws_smithy_runtime=error,kube_runtime=warn";

/// Sends the log to the screen from now on. A second call changes nothing.
pub fn start(format: LogFormat, screen: &Screen) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(DEFAULT_FILTER));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(screen.clone());
    // A log that cannot be written (a closed pipe, a full disk) is no reason to stop a fleet.
    let log = log.log_internal_errors(false);
    let started = match format {
        LogFormat::Text => log.with_ansi(screen.is_terminal()).with_target(false).try_init(),
        LogFormat::Json => log.json().try_init(),
    };
    drop(started);
}
