//! What a request asks of SQS or S3.

use http::Method;
use http::request::Parts;

/// The kinds of calls that differ in what may go wrong with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Call {
    /// SQS: give me a message.
    Receive,
    /// SQS: a message is settled.
    Delete,
    /// SQS: hide a message for longer, or hand it back.
    Extend,
    /// SQS: a new message, such as a dead letter.
    Send,
    /// SQS: how many are there?
    Counts,
    /// SQS: anything else.
    OtherQueue,
    /// S3: the bytes of an object.
    Get,
    /// S3: about an object or a bucket.
    Head,
    /// S3: a whole object.
    Put,
    /// S3: remove an object.
    Remove,
    /// S3: which objects or uploads are there, and all else.
    OtherStore,
}

impl Call {
    /// What the request with this head asks.
    #[must_use]
    pub fn of(head: &Parts) -> Self {
        let target = head.headers.get("x-amz-target").and_then(|target| target.to_str().ok());
        if let Some(operation) = target.and_then(|target| target.strip_prefix("AmazonSQS.")) {
            return match operation {
                "ReceiveMessage" => Self::Receive,
                "DeleteMessage" => Self::Delete,
                "ChangeMessageVisibility" => Self::Extend,
                "SendMessage" => Self::Send,
                "GetQueueAttributes" => Self::Counts,
                _ => Self::OtherQueue,
            };
        }
        // `/bucket` is about a bucket, `/bucket/key` about an object.
        let is_object =
            head.uri.path().trim_start_matches('/').split_once('/').is_some_and(|(_, key)| !key.is_empty());
        let asks_more =
            head.uri.query().is_some_and(|query| query.contains("upload") || query.contains("list-type"));
        match head.method {
            Method::GET if is_object && !asks_more => Self::Get,
            Method::HEAD => Self::Head,
            Method::PUT if is_object && !asks_more => Self::Put,
            Method::DELETE if is_object && !asks_more => Self::Remove,
            _ => Self::OtherStore,
        }
    }

    /// Whether it is SQS's.
    #[must_use]
    pub fn is_queue(self) -> bool {
        matches!(
            self,
            Self::Receive | Self::Delete | Self::Extend | Self::Send | Self::Counts | Self::OtherQueue
        )
    }
}
