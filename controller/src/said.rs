//! What stands in the way of a call to the Kubernetes API, in words.

use std::error::Error;

use kube::core::Status;

/// The API server's own words where it answered, else the error and all its causes; one line. An error of `kube` itself
/// ends in the answer as Rust writes it for debugging.
#[must_use]
pub fn said(error: &(dyn Error + 'static)) -> String {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let boxed = error.downcast_ref::<Box<Status>>().map(AsRef::as_ref);
        if let Some(status) = boxed.or_else(|| error.downcast_ref::<Status>()) {
            return in_one_line(status);
        }
        cause = error.source();
    }
    reelpool_aws::chain(error)
}

fn in_one_line(status: &Status) -> String {
    let words = if status.message.is_empty() { &status.reason } else { &status.message };
    match words.split_whitespace().collect::<Vec<_>>().join(" ") {
        nothing if nothing.is_empty() => format!("it answered {}", status.code),
        words => words,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::runtime::watcher;

    fn refused() -> Box<Status> {
        Box::new(Status::failure("pods is forbidden:\nno \"watch\"", "Forbidden").with_code(403))
    }

    #[test]
    fn the_api_server_is_quoted_however_deep_its_answer_lies() {
        let words = "pods is forbidden: no \"watch\"";
        let call = kube::Error::Api(refused());
        assert_eq!(said(&call), words);
        assert_eq!(said(&watcher::Error::InitialListFailed(call)), words);
        assert_eq!(said(&watcher::Error::WatchError(refused())), words);
        let silent = |reason| kube::Error::Api(Box::new(Status::failure("", reason).with_code(503)));
        assert_eq!(said(&silent("ServiceUnavailable")), "ServiceUnavailable");
        assert_eq!(said(&silent("")), "it answered 503");
    }

    #[test]
    fn what_never_reached_it_is_told_with_its_causes() {
        let cause = std::io::Error::other("connection refused");
        let call = kube::Error::Service(Box::new(std::io::Error::other(cause)));
        assert_eq!(said(&call), "ServiceError: connection refused");
    }
}
