//! Amazon SQS, and anything that speaks its protocol.

use std::time::Duration;

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sqs::types::{MessageAttributeValue, MessageSystemAttributeName, QueueAttributeName};
use reelpool_aws::{BoundedAnswers, GIVE_CREDENTIALS, chain, is_without_credentials, region_for};
use serde::Deserialize;
use tokio::time::sleep;

use super::{Queue, QueueError, Received, StopFlag};

/// The longest a message may be in flight, counted from its receive (Amazon SQS quotas).
const LONGEST_HOLD: Duration = Duration::from_hours(12);
/// The longest long poll (`ReceiveMessage`, `WaitTimeSeconds`).
const LONGEST_WAIT: Duration = Duration::from_secs(20);
/// How often the deletion of a message that lies in the dead-letter queue already is tried.
const DELETE_TRIES: u32 = 4;
/// How much of a failure's detail goes into the dead letter's attribute, in bytes; a message may be 1 MiB in all.
const DETAIL_BYTES: usize = 8 * 1024;

/// One SQS queue with its dead-letter queue.
#[derive(Debug, Clone)]
pub struct SqsQueue {
    client: Client,
    url: String,
    dead_letter_url: String,
    max_attempts: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RedrivePolicy {
    dead_letter_target_arn: String,
    max_receive_count: StringOrNumber,
}

/// AWS writes the count as a number, some tools as a string.
#[derive(Deserialize)]
#[serde(untagged)]
enum StringOrNumber {
    Number(u32),
    String(String),
}

impl SqsQueue {
    /// Looks the queue up. A failing message is given up after `max_attempts` receives, or when the queue's redrive
    /// policy would take it, if that is sooner: then it goes with its reason.
    ///
    /// # Errors
    /// When the queue does not exist, may not be read, or has no dead-letter queue.
    pub async fn open(
        config: &SdkConfig,
        url: &str,
        dead_letter_url: Option<&str>,
        max_attempts: u32,
    ) -> Result<Self, QueueError> {
        let own = aws_sdk_sqs::config::Builder::from(config)
            .region(region_for(config, url))
            .interceptor(BoundedAnswers);
        let client = Client::from_conf(own.build());
        let attributes = client
            .get_queue_attributes()
            .queue_url(url)
            .attribute_names(QueueAttributeName::RedrivePolicy)
            .send()
            .await
            .map_err(|error| failed(url, &error))?;
        let policy = attributes
            .attributes()
            .and_then(|all| all.get(&QueueAttributeName::RedrivePolicy))
            .and_then(|text| serde_json::from_str::<RedrivePolicy>(text).ok());
        let bound = policy.as_ref().and_then(|policy| match &policy.max_receive_count {
            StringOrNumber::Number(count) => Some(*count),
            StringOrNumber::String(count) => count.parse().ok(),
        });
        let max_attempts = bound.map_or(max_attempts, |bound| bound.min(max_attempts));
        let dead_letter_url = match (dead_letter_url, policy) {
            (Some(given), _) => {
                check(&client, given).await?;
                given.to_owned()
            }
            (None, Some(policy)) => url_of(&client, url, &policy.dead_letter_target_arn).await?,
            (None, None) => {
                return Err(QueueError::NoDeadLetterQueue { queue: url.to_owned() });
            }
        };
        Ok(Self { client, url: url.to_owned(), dead_letter_url, max_attempts })
    }
}

async fn check(client: &Client, url: &str) -> Result<(), QueueError> {
    let names = [QueueAttributeName::QueueArn];
    let call = client.get_queue_attributes().queue_url(url).set_attribute_names(Some(names.to_vec()));
    call.send().await.map(drop).map_err(|error| failed(url, &error))
}

/// The URL of the queue that an ARN names (`arn:aws:sqs:region:account:name`).
async fn url_of(client: &Client, queue: &str, arn: &str) -> Result<String, QueueError> {
    let mut parts = arn.rsplit(':');
    let (name, account) = (parts.next().unwrap_or_default(), parts.next());
    let answer = client
        .get_queue_url()
        .queue_name(name)
        .set_queue_owner_aws_account_id(account.map(str::to_owned))
        .send()
        .await
        .map_err(|error| failed(arn, &error))?;
    answer
        .queue_url()
        .map(str::to_owned)
        .ok_or_else(|| QueueError::NoDeadLetterQueue { queue: queue.to_owned() })
}

#[async_trait]
impl Queue for SqsQueue {
    async fn receive(
        &self,
        visibility: Duration,
        wait: Duration,
        _stop: &StopFlag,
    ) -> Result<Option<Received>, QueueError> {
        // A long poll that is cut off may have been given a message already, which would then be stranded until
        // its visibility timeout: it always runs to its end.
        let answer = self
            .client
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(1)
            .visibility_timeout(seconds(visibility))
            .wait_time_seconds(seconds(wait.min(LONGEST_WAIT)))
            .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount)
            .send()
            .await
            .map_err(|error| failed(&self.url, &error))?;
        let Some(message) = answer.messages.unwrap_or_default().into_iter().next() else {
            return Ok(None);
        };
        let receives = message
            .attributes()
            .and_then(|all| all.get(&MessageSystemAttributeName::ApproximateReceiveCount))
            .and_then(|count| count.parse().ok())
            .unwrap_or(1);
        Ok(Some(Received {
            id: message.message_id.unwrap_or_default(),
            receipt: message.receipt_handle.unwrap_or_default(),
            body: message.body.unwrap_or_default(),
            receives,
        }))
    }

    async fn extend(&self, receipt: &str, visibility: Duration) -> Result<(), QueueError> {
        self.client
            .change_message_visibility()
            .queue_url(&self.url)
            .receipt_handle(receipt)
            .visibility_timeout(seconds(visibility))
            .send()
            .await
            .map(drop)
            .map_err(|error| failed(&self.url, &error))
    }

    async fn delete(&self, receipt: &str) -> Result<(), QueueError> {
        self.client
            .delete_message()
            .queue_url(&self.url)
            .receipt_handle(receipt)
            .send()
            .await
            .map(drop)
            .map_err(|error| failed(&self.url, &error))
    }

    async fn dead_letter(&self, received: &Received, reason: &str, detail: &str) -> Result<(), QueueError> {
        let text = |value: &str| {
            MessageAttributeValue::builder().data_type("String").string_value(clean(value)).build().ok()
        };
        let mut send =
            self.client.send_message().queue_url(&self.dead_letter_url).message_body(&received.body);
        for (name, value) in
            [("reelpool.reason", reason), ("reelpool.detail", detail), ("reelpool.message-id", &received.id)]
        {
            if let Some(value) = text(value) {
                send = send.message_attributes(name, value);
            }
        }
        send.send().await.map_err(|error| failed(&self.dead_letter_url, &error))?;
        // Only now: a crash in between leaves the message twice, never not at all.
        let mut tries = 0;
        while let Err(error) = self.delete(&received.receipt).await {
            tries += 1;
            if tries >= DELETE_TRIES || error == QueueError::HoldLost {
                // Sending it to the dead letters again would not make it more deleted.
                tracing::warn!(%error, id = received.id, "the dead letter's message could not be deleted and will come back");
                break;
            }
            sleep(Duration::from_millis(250 << tries)).await;
        }
        Ok(())
    }

    fn longest_hold(&self) -> Option<Duration> {
        Some(LONGEST_HOLD)
    }

    fn max_attempts(&self) -> u32 {
        self.max_attempts
    }
}

/// Text as SQS takes it in an attribute: not empty, bounded, and of the characters XML 1.0 allows.
fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len().min(DETAIL_BYTES));
    for c in text.chars() {
        if out.len() + c.len_utf8() > DETAIL_BYTES {
            break;
        }
        let allowed =
            matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
        out.push(if allowed { c } else { '\u{fffd}' });
    }
    if out.is_empty() { "-".to_owned() } else { out }
}

/// Whole seconds, rounded up, so that a hold is never shorter than asked.
fn seconds(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis().div_ceil(1000)).unwrap_or(i32::MAX)
}

fn failed<E, R>(queue: &str, error: &SdkError<E, R>) -> QueueError
where
    E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    let queue = queue.to_owned();
    let code = error.as_service_error().and_then(ProvideErrorMetadata::code).unwrap_or_default().to_owned();
    let code = code.rsplit(['.', '#']).next().unwrap_or_default();
    if is_without_credentials(error) {
        return QueueError::Denied { queue, detail: GIVE_CREDENTIALS.to_owned() };
    }
    let detail = chain(error);
    match code {
        "NonExistentQueue" | "QueueDoesNotExist" => QueueError::NotFound { queue },
        "ReceiptHandleIsInvalid" | "MessageNotInflight" => QueueError::HoldLost,
        // The service says only in words that a receipt has expired or a message is gone.
        "InvalidParameterValue" if detail.contains("eceipt") || detail.contains("isibility") => {
            QueueError::HoldLost
        }
        "AccessDenied"
        | "AccessDeniedException"
        | "InvalidClientTokenId"
        | "SignatureDoesNotMatch"
        | "ExpiredToken"
        | "UnrecognizedClientException" => QueueError::Denied { queue, detail },
        _ => QueueError::Unavailable { queue, detail },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attribute_text_is_what_sqs_takes() {
        assert_eq!(clean(""), "-");
        assert_eq!(clean("a\0b\n"), "a\u{fffd}b\n");
        assert!(clean(&"ü".repeat(10_000)).len() <= DETAIL_BYTES);
    }

    #[test]
    fn seconds_are_rounded_up() {
        assert_eq!(seconds(Duration::from_millis(1)), 1);
        assert_eq!(seconds(Duration::ZERO), 0);
        assert_eq!(seconds(Duration::MAX), i32::MAX);
    }

    #[test]
    fn redrive_policies_of_both_forms_are_read() {
        for text in [
            r#"{"deadLetterTargetArn":"arn:aws:sqs:eu-west-1:1:dead","maxReceiveCount":5}"#,
            r#"{"deadLetterTargetArn":"arn:aws:sqs:eu-west-1:1:dead","maxReceiveCount":"5"}"#,
        ] {
            assert!(serde_json::from_str::<RedrivePolicy>(text).is_ok(), "{text}");
        }
    }
}
