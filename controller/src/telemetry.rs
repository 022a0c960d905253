//! The log: standard error, as text or JSON, filtered by `RUST_LOG`. And traces, where the program was built with them.

#[cfg(feature = "otel")]
mod traces;

use std::io::{self, IsTerminal};

use tokio::runtime::Handle;
use tracing::Span;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use crate::args::LogFormat;
use crate::local::screen::Screen;
use crate::pool_name::PoolName;

/// What the libraries warn of is told by our own errors, in one line; kube's own spans would stand before each line.
const DEFAULT_FILTER: &str =
    "info,aws_config=error,aws_smithy_runtime=error,kube_client::client::builder=off,kube_runtime=warn";

/// Sends the log to the screen from now on. A second call changes nothing.
pub fn start(format: LogFormat, screen: &Screen) {
    let log = tracing_subscriber::fmt().with_env_filter(filter()).with_writer(screen.clone());
    // A log that cannot be written (a closed pipe, a full disk) is no reason to stop a fleet.
    let log = log.log_internal_errors(false);
    let started = match format {
        LogFormat::Text => log.with_ansi(screen.is_terminal()).with_target(false).try_init(),
        LogFormat::Json => log.json().try_init(),
    };
    drop(started);
}

/// What goes on telling of the operator until it ends.
#[derive(Debug, Default)]
#[must_use = "finish it, or the last traces are lost"]
pub struct Telemetry {
    #[cfg(feature = "otel")]
    traces: Option<traces::Traces>,
}

impl Telemetry {
    /// Sends what is not sent yet, for a few seconds at most. It blocks, and needs the runtime's other threads.
    pub fn finish(self) {
        #[cfg(feature = "otel")]
        if let Some(traces) = self.traces {
            traces.finish();
        }
    }
}

/// Sends the operator's log to standard error from now on, and its traces where the standard environment variables say
/// (`OTEL_EXPORTER_OTLP_ENDPOINT`), by the threads of `runtime`. A second call changes nothing.
///
/// That traces cannot be sent is logged, and stops nobody.
pub fn start_operator(format: LogFormat, runtime: &Handle) -> Telemetry {
    let log = tracing_subscriber::fmt::layer().with_writer(io::stderr).log_internal_errors(false);
    let log = match format {
        LogFormat::Text => log.with_ansi(io::stderr().is_terminal()).with_target(false).boxed(),
        LogFormat::Json => log.json().boxed(),
    };
    let registry = tracing_subscriber::registry().with(log.with_filter(filter()));
    traced(registry, runtime)
}

#[cfg(feature = "otel")]
fn traced<S>(registry: S, runtime: &Handle) -> Telemetry
where
    S: tracing::Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a> + Send + Sync,
{
    let traces = traces::Settings::read(|name| std::env::var(name).ok())
        .and_then(|settings| settings.map(|settings| traces::Traces::start(&settings, runtime)).transpose());
    let (traces, trouble) = match traces {
        Ok(traces) => (traces, None),
        Err(error) => (None, Some(error)),
    };
    let layer = traces.as_ref().map(traces::Traces::layer);
    drop(registry.with(layer).try_init());
    if let Some(error) = trouble {
        tracing::warn!(category = error.category(), "no traces are sent: {error}");
    }
    Telemetry { traces }
}

#[cfg(not(feature = "otel"))]
fn traced<S>(registry: S, _: &Handle) -> Telemetry
where
    S: tracing::Subscriber + Send + Sync,
{
    drop(registry.try_init());
    if std::env::var_os("OTEL_EXPORTER_OTLP_ENDPOINT").is_some() {
        tracing::warn!(
            "no traces are sent: this program was built without them; build it with --features otel"
        );
    }
    Telemetry::default()
}

/// The span of one pass over `pool`: traces show it, the log by default does not.
#[must_use]
pub fn pass(pool: &PoolName) -> Span {
    tracing::debug_span!("pass", otel.name = "pass over a pool", %pool)
}

fn filter() -> EnvFilter {
    EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(DEFAULT_FILTER))
}
