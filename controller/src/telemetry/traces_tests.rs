use super::*;
use axum::Router;
use axum::http::{HeaderMap, StatusCode, header};
use axum::routing::post;
use std::sync::Mutex;
use tokio::net::TcpListener;
use tracing_subscriber::layer::SubscriberExt;

use crate::pool_name::PoolName;
use crate::telemetry;

fn read(variables: &[(&str, &str)]) -> Result<Option<Settings>, TracesError> {
    Settings::read(|name| {
        variables.iter().find(|(variable, _)| *variable == name).map(|(_, value)| (*value).to_owned())
    })
}

fn to(endpoint: &str) -> Settings {
    Settings { endpoint: endpoint.parse().unwrap(), service: Some("reelpool-operator") }
}

#[test]
fn the_standard_variables_say_where_traces_go() {
    const SHARED: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
    const OWN: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
    for (variables, expected) in [
        (vec![], None),
        (vec![(SHARED, " ")], None),
        (vec![(SHARED, "http://collector:4318")], Some(to("http://collector:4318/v1/traces"))),
        (vec![(SHARED, "https://collector/base/")], Some(to("https://collector/base/v1/traces"))),
        (vec![(SHARED, "http://a"), (OWN, "http://b/own")], Some(to("http://b/own"))),
        (vec![(SHARED, "http://a"), ("OTEL_SDK_DISABLED", "TRUE")], None),
        (vec![(SHARED, "http://a"), ("OTEL_TRACES_EXPORTER", "none")], None),
        (
            vec![(SHARED, "http://a"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")],
            Some(to("http://a/v1/traces")),
        ),
    ] {
        assert_eq!(read(&variables).unwrap(), expected, "{variables:?}");
    }
    let named = read(&[(SHARED, "http://a"), ("OTEL_SERVICE_NAME", "mine")]).unwrap().unwrap();
    assert_eq!(named.service, None);
    for (variables, category, said) in [
        (
            vec![(SHARED, "collector:4318")],
            "traces_endpoint",
            "OTEL_EXPORTER_OTLP_ENDPOINT=`collector:4318` is not",
        ),
        (vec![(OWN, "unix:///x")], "traces_endpoint", "is not an http or https URL"),
        (
            vec![(SHARED, "http://a:4317"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")],
            "traces_protocol",
            "OTEL_EXPORTER_OTLP_PROTOCOL=`grpc`: only http/protobuf is spoken",
        ),
    ] {
        let error = read(&variables).unwrap_err();
        assert_eq!(error.category(), category);
        assert!(error.to_string().contains(said), "{error}");
    }
}

#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<(String, Bytes)>>>);

impl Collector {
    /// A collector that answers `status`, and its address.
    async fn start(status: StatusCode) -> (Self, String) {
        let collector = Self::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let seen = collector.clone();
        let router = Router::new().route(
            "/v1/traces",
            post(move |headers: HeaderMap, body: Bytes| async move {
                let kind = headers[header::CONTENT_TYPE].to_str().unwrap().to_owned();
                seen.0.lock().unwrap().push((kind, body));
                status
            }),
        );
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        (collector, address)
    }
}

fn holds(body: &[u8], text: &str) -> bool {
    body.windows(text.len()).any(|window| window == text.as_bytes())
}

/// Makes a span of a pass and one of a library, and sends what there is to send.
async fn trace(address: &str) {
    let settings = read(&[("OTEL_EXPORTER_OTLP_ENDPOINT", address)]).unwrap().unwrap();
    let traces = Traces::start(&settings, &Handle::current()).unwrap();
    let subscriber = tracing_subscriber::registry().with(traces.layer());
    tracing::subscriber::with_default(subscriber, || {
        let name = PoolName::new("cattube".to_owned(), "masters".to_owned());
        telemetry::pass(&name).in_scope(|| tracing::info!("an event within"));
        tracing::info_span!(target: "hyper", "a span of a library").in_scope(|| ());
    });
    // It blocks until the collector has answered.
    tokio::task::spawn_blocking(|| traces.finish()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spans_arrive_at_a_collector() {
    let (collector, address) = Collector::start(StatusCode::OK).await;
    trace(&address).await;
    let seen = collector.0.lock().unwrap().clone();
    assert_eq!(seen.len(), 1);
    let (kind, body) = &seen[0];
    assert_eq!(kind, "application/x-protobuf");
    for text in
        ["pass over a pool", "cattube/masters", "an event within", "reelpool-operator", "service.version"]
    {
        assert!(holds(body, text), "{text}");
    }
    assert!(!holds(body, "a span of a library"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_fails_or_is_gone_stops_nobody() {
    let (collector, address) = Collector::start(StatusCode::BAD_REQUEST).await;
    trace(&address).await;
    assert!(!collector.0.lock().unwrap().is_empty());
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    trace(&format!("http://{nobody}")).await;
}

#[tokio::test]
async fn to_an_https_collector_tls_is_spoken() {
    use tokio::io::AsyncReadExt;

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri: Uri = format!("https://{}/v1/traces", listener.local_addr().unwrap()).parse().unwrap();
    let sender = match Sender::new(&uri, Handle::current()) {
        Ok(sender) => sender,
        // A machine without any certificates is told so.
        Err(error) => return assert_eq!(error.category(), "traces_roots"),
    };
    let asked = tokio::spawn(async move {
        let request = Request::post(uri).body(Bytes::from_static(b"spans")).unwrap();
        sender.send_bytes(request).await.map(|answer| answer.status())
    });
    let (mut socket, _) = listener.accept().await.unwrap();
    // The first byte of a TLS handshake.
    assert_eq!(socket.read_u8().await.unwrap(), 0x16);
    drop(socket);
    assert!(asked.await.unwrap().is_err(), "whoever does not speak TLS is not told anything");
}
