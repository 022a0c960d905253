//! Where the jobs come from, and where masters and renditions are.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The queue that the fleet follows: exactly one kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Queue {
    /// An Amazon SQS queue, or anything that speaks its protocol.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sqs: Option<SqsQueue>,
}

/// An Amazon SQS queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SqsQueue {
    /// The queue's URL, such as `https://sqs.eu-west-1.amazonaws.com/123456789012/masters`.
    #[serde(rename = "queueURL")]
    #[schemars(length(max = 1024))]
    pub queue_url: String,
    /// The URL of the queue for messages that are given up. Default: what the queue's redrive policy names.
    #[serde(default, rename = "deadLetterQueueURL", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub dead_letter_queue_url: Option<String>,
}

/// A place in S3.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Place {
    /// A bucket and, if it is not the whole bucket, a prefix: `s3://bucket/prefix`.
    #[schemars(length(max = 1024))]
    pub url: String,
}
