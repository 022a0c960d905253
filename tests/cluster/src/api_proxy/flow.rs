//! Answers that take their time: watches.

use std::io::{Error, Result};
use std::time::Duration;

use futures::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Bytes, Frame};
use kube::client::Body;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// What happens to all answers that flow.
#[derive(Debug, Default)]
pub(super) struct Flow {
    /// Watches of these resources tell nothing.
    pub(super) held: Vec<String>,
    /// How often all watches were broken off.
    pub(super) broken: u64,
}

/// An answer that flows: held and broken off as `flow` says, and broken off after a time of its own.
pub(super) fn body(
    body: Body,
    resource: String,
    flow: watch::Receiver<Flow>,
    breaks_after: Option<Duration>,
) -> UnsyncBoxBody<Bytes, Error> {
    let broken = flow.borrow().broken;
    let breaks_at = breaks_after.map(|time| Instant::now() + time);
    let frames = stream::unfold(Some((body, flow)), move |state| {
        let resource = resource.clone();
        async move {
            let (mut body, mut flow) = state?;
            let mut breaks = flow.clone();
            let breaks = async {
                let ends = async {
                    match breaks_at {
                        Some(at) => sleep_until(at).await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    () = ends => {}
                    _ = breaks.wait_for(|flow| flow.broken != broken) => {}
                }
            };
            let next = async {
                let frame = body.frame().await;
                // The end of the test drops the sender: then nobody waits.
                let _ = flow.wait_for(|flow| !flow.held.contains(&resource)).await;
                frame
            };
            let frame: Option<Result<Frame<Bytes>>> = tokio::select! {
                () = breaks => Some(Err(Error::other("the test broke it off"))),
                frame = next => frame.map(|frame| frame.map_err(Error::other)),
            };
            let frame = frame?;
            let goes_on = frame.is_ok();
            Some((frame, goes_on.then_some((body, flow))))
        }
    });
    BodyExt::boxed_unsync(StreamBody::new(frames))
}
