//! Answers that the service did not give, or not so.

use std::io;

use bytes::Bytes;
use futures::stream;
use http::response::Parts;
use http::{HeaderValue, Response, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;

use super::call::Call;
use super::deed::Deed;

/// The body of an answer; one that is cut ends with an error.
pub type Body = UnsyncBoxBody<Bytes, io::Error>;

fn whole(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}

/// An answer of SQS.
pub fn json(body: Bytes) -> Response<Body> {
    let mut answer = Response::new(whole(body));
    let kind = HeaderValue::from_static("application/x-amz-json-1.0");
    answer.headers_mut().insert(header::CONTENT_TYPE, kind);
    answer
}

/// The service's refusal, in its own words.
pub fn refusal(call: Call, deed: Deed) -> Response<Body> {
    let throttled = deed == Deed::Throttle;
    if call.is_queue() {
        let (status, kind, code) = if throttled {
            (400, "com.amazonaws.sqs#RequestThrottled", "RequestThrottled;Sender")
        } else {
            (500, "com.amazonaws.sqs#InternalFailure", "InternalFailure;Receiver")
        };
        let mut answer = json(format!(r#"{{"__type":"{kind}","message":"told by the storm"}}"#).into());
        *answer.status_mut() = http::StatusCode::from_u16(status).unwrap();
        answer.headers_mut().insert("x-amzn-query-error", HeaderValue::from_static(code));
        return answer;
    }
    let (status, code) = if throttled { (503, "SlowDown") } else { (500, "InternalError") };
    let body = format!(
        r#"<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>told by the storm</Message></Error>"#
    );
    // An answer to HEAD has no body.
    let body = if call == Call::Head { String::new() } else { body };
    let mut answer = Response::new(whole(body.into()));
    *answer.status_mut() = http::StatusCode::from_u16(status).unwrap();
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    answer
}

/// The service's answer, and what the deed makes of it.
///
/// # Errors
/// Where the connection is to be cut before the answer.
pub fn spoiled(deed: Deed, call: Call, head: Parts, body: Bytes) -> Result<Response<Body>, io::Error> {
    let body = match deed {
        Deed::CutBody if body.len() > 1 => {
            let half = body.slice(..body.len() / 2);
            // The length that was promised stays as it is.
            let frames = [Ok(Frame::data(half)), Err(super::cut())];
            StreamBody::new(stream::iter(frames)).boxed_unsync()
        }
        Deed::CutBody => return Err(super::cut()),
        Deed::SpoilBody if !body.is_empty() => {
            let mut bytes = body.to_vec();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 0x20;
            whole(bytes.into())
        }
        Deed::SayEmpty if call == Call::Counts => whole(emptied(&body)),
        _ => whole(body),
    };
    let mut answer = Response::from_parts(head, body);
    if deed == Deed::SayEmpty {
        answer.headers_mut().remove(header::CONTENT_LENGTH);
    }
    Ok(answer)
}

/// The attributes of a queue with every count at zero.
fn emptied(body: &Bytes) -> Bytes {
    let Ok(mut answer) = serde_json::from_slice::<serde_json::Value>(body) else { return body.clone() };
    if let Some(attributes) = answer.get_mut("Attributes").and_then(serde_json::Value::as_object_mut) {
        for (name, value) in attributes {
            if name.starts_with("ApproximateNumberOf") {
                *value = "0".into();
            }
        }
    }
    answer.to_string().into()
}
