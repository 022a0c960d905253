//! An API server that knows one Lease, with faults on demand.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};

/// What goes wrong with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// It is answered with this status code, and nothing is done.
    Status(u16),
    /// It is neither done nor answered.
    Hangs,
    /// It is done, and the answer is lost.
    AnswerLost,
}

#[derive(Default)]
struct Inner {
    lease: Option<Value>,
    version: u64,
    faults: VecDeque<Fault>,
    /// What every call meets once `faults` is used up.
    always: Option<Fault>,
    calls: Vec<String>,
}

/// The server. Clones are one.
#[derive(Clone, Default)]
pub struct FakeApi(Arc<Mutex<Inner>>);

impl FakeApi {
    pub fn client(&self) -> Client {
        let api = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let api = api.clone();
            async move { api.call(request).await }
        });
        Client::new(service, "default")
    }

    /// The next calls meet these.
    pub fn next(&self, faults: &[Fault]) {
        self.0.lock().unwrap().faults.extend(faults);
    }

    /// From now on every call meets this.
    pub fn always(&self, fault: Fault) {
        self.0.lock().unwrap().always = Some(fault);
    }

    /// The calls so far, such as `PUT 200`; they are forgotten.
    pub fn calls(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap().calls)
    }

    /// The lease's spec.
    pub fn spec(&self) -> Option<Value> {
        self.0.lock().unwrap().lease.as_ref().map(|lease| lease["spec"].clone())
    }

    pub fn holder(&self) -> Option<String> {
        self.spec().and_then(|spec| spec["holderIdentity"].as_str().map(str::to_owned))
    }

    /// Another writes the lease.
    pub fn put(&self, spec: &Value) {
        let mut inner = self.0.lock().unwrap();
        inner.version += 1;
        let metadata = json!({
            "name": "reelpool-operator", "namespace": "system", "uid": "u", "labels": {"kept": "yes"},
            "resourceVersion": inner.version.to_string(),
        });
        inner.lease = Some(json!({"metadata": metadata, "spec": spec}));
    }

    pub fn delete(&self) {
        self.0.lock().unwrap().lease = None;
    }

    async fn call(&self, request: Request<Body>) -> Result<Response<Body>, Infallible> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let fault = {
            let mut inner = self.0.lock().unwrap();
            inner.faults.pop_front().or(inner.always).unwrap_or(Fault::None)
        };
        let (status, answer) = match fault {
            Fault::Status(status) => (status, status_of(status, reason(status))),
            Fault::Hangs => (0, Value::Null),
            Fault::None | Fault::AnswerLost => self.serve(&head.method, &body),
        };
        self.0.lock().unwrap().calls.push(format!("{} {status}", head.method));
        if matches!(fault, Fault::Hangs | Fault::AnswerLost) {
            std::future::pending::<()>().await;
        }
        let answer = Body::from(serde_json::to_vec(&answer).unwrap());
        Ok(Response::builder().status(StatusCode::from_u16(status).unwrap()).body(answer).unwrap())
    }

    fn serve(&self, method: &Method, body: &[u8]) -> (u16, Value) {
        let mut inner = self.0.lock().unwrap();
        let sent: Value = serde_json::from_slice(body).unwrap_or_default();
        let there = inner.lease.clone();
        match (method, there) {
            (&Method::GET, Some(lease)) => (200, lease),
            (&Method::POST, Some(_)) => (409, status_of(409, "AlreadyExists")),
            (&Method::POST, None) => {
                assert_eq!(sent["metadata"]["name"], "reelpool-operator");
                inner.version += 1;
                let mut lease = sent;
                lease["metadata"]["uid"] = json!(format!("uid-{}", inner.version));
                lease["metadata"]["resourceVersion"] = json!(inner.version.to_string());
                inner.lease = Some(lease.clone());
                (201, lease)
            }
            (&Method::PUT, Some(lease)) => {
                if sent["metadata"]["resourceVersion"] != lease["metadata"]["resourceVersion"] {
                    return (409, status_of(409, "Conflict"));
                }
                inner.version += 1;
                let mut lease = sent;
                lease["metadata"]["resourceVersion"] = json!(inner.version.to_string());
                inner.lease = Some(lease.clone());
                (200, lease)
            }
            _ => (404, status_of(404, "NotFound")),
        }
    }
}

fn status_of(code: u16, reason: &str) -> Value {
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": "said the server", "reason": reason, "code": code,
    })
}

/// The API server's word for a status code.
fn reason(code: u16) -> &'static str {
    match code {
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "NotFound",
        409 => "Conflict",
        422 => "Invalid",
        429 => "TooManyRequests",
        503 => "ServiceUnavailable",
        _ => "InternalError",
    }
}
