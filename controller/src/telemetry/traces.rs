//! Traces for an OpenTelemetry collector: OTLP over HTTP, by the HTTP and TLS stack that the rest of the program uses.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider;
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use tokio::runtime::Handle;
use tokio::time::timeout;
use tracing::level_filters::LevelFilter;
use tracing_opentelemetry::OpenTelemetryLayer;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::registry::LookupSpan;

/// The longest a collector may take to accept spans.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The longest the end of the process waits for the last spans.
const AT_THE_END: Duration = Duration::from_secs(3);
/// The longest answer of a collector that is read.
const MAX_ANSWER: usize = 64 * 1024;
/// Where traces go below a collector's address.
const PATH: &str = "/v1/traces";

/// Why no traces are sent.
#[derive(Debug, thiserror::Error)]
pub enum TracesError {
    /// The address cannot be used.
    #[error("{variable}=`{value}` is not an http or https URL: write such as http://collector:4318")]
    Endpoint {
        /// The environment variable.
        variable: &'static str,
        /// What it says.
        value: String,
    },
    /// Another protocol was asked for.
    #[error("{variable}=`{value}`: only http/protobuf is spoken: use the collector's HTTP port, mostly 4318")]
    Protocol {
        /// The environment variable.
        variable: &'static str,
        /// What it says.
        value: String,
    },
    /// There is nothing to trust a collector by.
    #[error("no certificates to trust an https collector by: install ca-certificates ({0})")]
    Roots(std::io::Error),
    /// The exporter cannot be made.
    #[error("the exporter cannot be made: {0}")]
    Exporter(String),
}

impl TracesError {
    /// A stable category for logs and metrics.
    #[must_use]
    pub fn category(&self) -> &'static str {
        match self {
            Self::Endpoint { .. } => "traces_endpoint",
            Self::Protocol { .. } => "traces_protocol",
            Self::Roots(_) => "traces_roots",
            Self::Exporter(_) => "traces_exporter",
        }
    }
}

/// Where traces go, by the environment variables that OpenTelemetry has for it. More of them (headers, sampler,
/// resource attributes, batches) are read by its own library.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    endpoint: Uri,
    /// What this service is called, unless the environment says so.
    service: Option<&'static str>,
}

impl Settings {
    /// Reads them with `get`; `None`: no traces are wanted.
    pub fn read(get: impl Fn(&'static str) -> Option<String>) -> Result<Option<Self>, TracesError> {
        let get = |name| get(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
        let is_off = get("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"))
            || get("OTEL_TRACES_EXPORTER").is_some_and(|value| value == "none");
        let own = get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
            .map(|value| ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", value.clone(), value));
        let shared = get("OTEL_EXPORTER_OTLP_ENDPOINT").map(|value| {
            ("OTEL_EXPORTER_OTLP_ENDPOINT", format!("{}{PATH}", value.trim_end_matches('/')), value)
        });
        let Some((variable, whole, value)) = own.or(shared).filter(|_| !is_off) else { return Ok(None) };
        for variable in ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"] {
            match get(variable) {
                Some(value) if value != "http/protobuf" => {
                    return Err(TracesError::Protocol { variable, value });
                }
                Some(_) => break,
                None => {}
            }
        }
        let endpoint: Option<Uri> = whole.parse().ok();
        let endpoint = endpoint.filter(|uri| matches!(uri.scheme_str(), Some("http" | "https")));
        let endpoint = endpoint.ok_or(TracesError::Endpoint { variable, value })?;
        let service = get("OTEL_SERVICE_NAME").is_none().then_some("reelpool-operator");
        Ok(Some(Self { endpoint, service }))
    }
}

/// Traces on their way to a collector.
#[derive(Debug)]
pub struct Traces {
    provider: SdkTracerProvider,
}

impl Traces {
    /// Sends traces from now on, by the threads of `runtime`.
    pub fn start(settings: &Settings, runtime: &Handle) -> Result<Self, TracesError> {
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Sender::new(&settings.endpoint, runtime.clone())?)
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(settings.endpoint.to_string())
            .with_timeout(TIMEOUT)
            .build()
            .map_err(|error| TracesError::Exporter(error.to_string()))?;
        let mut resource =
            Resource::builder().with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
        if let Some(service) = settings.service {
            resource = resource.with_service_name(service);
        }
        let provider = SdkTracerProvider::builder()
            .with_resource(resource.build())
            .with_batch_exporter(exporter)
            .build();
        Ok(Self { provider })
    }

    /// What takes the program's own spans, and no library's: sending spans must not make new ones.
    pub fn layer<S>(&self) -> impl Layer<S> + Send + Sync + use<S>
    where
        S: tracing::Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
    {
        let layer: OpenTelemetryLayer<S, SdkTracer> =
            tracing_opentelemetry::layer().with_tracer(self.provider.tracer("reelpool"));
        layer.with_filter(Targets::new().with_target("reelpool", LevelFilter::DEBUG))
    }

    /// Sends what is not sent yet.
    pub fn finish(self) {
        if let Err(error) = self.provider.shutdown_with_timeout(AT_THE_END) {
            tracing::warn!("the last traces were not sent: {error}");
        }
    }
}

/// Sends requests to the collector. The library calls it from a thread that is none of the runtime's.
struct Sender {
    client: Transport,
    runtime: Handle,
    /// Whether the last request failed, to say it once.
    failed: Arc<AtomicBool>,
}

#[derive(Clone)]
enum Transport {
    Plain(Client<HttpConnector, Full<Bytes>>),
    Tls(Client<HttpsConnector<HttpConnector>, Full<Bytes>>),
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").finish_non_exhaustive()
    }
}

impl Sender {
    fn new(endpoint: &Uri, runtime: Handle) -> Result<Self, TracesError> {
        let builder = Client::builder(TokioExecutor::new());
        let client = if endpoint.scheme_str() == Some("https") {
            let connector = HttpsConnectorBuilder::new().with_native_roots().map_err(TracesError::Roots)?;
            Transport::Tls(builder.build(connector.https_only().enable_http1().build()))
        } else {
            Transport::Plain(builder.build(HttpConnector::new()))
        };
        Ok(Self { client, runtime, failed: Arc::default() })
    }
}

#[async_trait]
impl HttpClient for Sender {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let collector = request.uri().to_string();
        let sent = self.runtime.spawn(send(self.client.clone(), request));
        let answer = sent.await?;
        let trouble = match &answer {
            Ok(answer) if answer.status().is_success() => None,
            Ok(answer) => Some(format!("it answered {}", answer.status())),
            Err(error) => Some(error.to_string()),
        };
        let failed_before = self.failed.swap(trouble.is_some(), Ordering::Relaxed);
        if let Some(trouble) = trouble.filter(|_| !failed_before) {
            tracing::warn!("traces cannot be sent to {collector}: {trouble}");
        }
        answer
    }
}

async fn send(client: Transport, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
    let request = request.map(Full::new);
    let exchange = async {
        let answer = match client {
            Transport::Plain(client) => client.request(request).await,
            Transport::Tls(client) => client.request(request).await,
        };
        let (head, body) = answer?.into_parts();
        let body = Limited::new(body, MAX_ANSWER).collect().await?.to_bytes();
        Ok(Response::from_parts(head, body))
    };
    timeout(TIMEOUT, exchange).await.unwrap_or_else(|late| Err(late.into()))
}

#[cfg(test)]
#[path = "traces_tests.rs"]
mod tests;
