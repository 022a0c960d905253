//! `GetQueueAttributes` over HTTP, as the SDK asks it.

use std::net::TcpListener;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Map, Value, json};

use super::Queues;
use super::queue::Counts;

pub(super) async fn serve(listener: TcpListener, queues: Arc<Queues>) {
    listener.set_nonblocking(true).unwrap();
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    let router = Router::new().route("/", post(answer)).with_state(queues);
    axum::serve(listener, router).await.unwrap();
}

/// The SDK calls its JSON by another name: it is read as bytes.
async fn answer(State(queues): State<Arc<Queues>>, headers: HeaderMap, body: axum::body::Bytes) -> Response {
    let target = headers.get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or_default();
    let Ok(request) = serde_json::from_slice::<Value>(&body) else {
        return refused("InvalidParameterValue", "no JSON");
    };
    if target != "AmazonSQS.GetQueueAttributes" {
        return refused("InvalidAction", "only GetQueueAttributes is understood");
    }
    let Some(queue) = queues.find(request["QueueUrl"].as_str().unwrap_or_default()) else {
        return refused("QueueDoesNotExist", "The specified queue does not exist.");
    };
    let Counts { backlog, in_flight } = queue.ask();
    let attributes: Map<String, Value> = request["AttributeNames"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|name| {
            let value = match name.as_str()? {
                "ApproximateNumberOfMessages" => backlog,
                "ApproximateNumberOfMessagesNotVisible" => in_flight,
                "ApproximateNumberOfMessagesDelayed" => 0,
                _ => return None,
            };
            Some((name.as_str()?.to_owned(), json!(value.to_string())))
        })
        .collect();
    let kind = [(header::CONTENT_TYPE, "application/x-amz-json-1.0")];
    (kind, json!({"Attributes": attributes}).to_string()).into_response()
}

fn refused(code: &str, message: &str) -> Response {
    let body = json!({"__type": format!("com.amazonaws.sqs#{code}"), "message": message});
    (StatusCode::BAD_REQUEST, Json(body)).into_response()
}
