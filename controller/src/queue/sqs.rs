//! The length of an Amazon SQS queue, and of anything that speaks its protocol.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use aws_config::{Region, SdkConfig};
use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sqs::operation::get_queue_attributes::GetQueueAttributesError;
use aws_sdk_sqs::types::QueueAttributeName;
use reelpool_aws::{BoundedAnswers, Patience, chain, is_without_credentials, region_for};
use reelpool_core::QueueDepth;

use super::{QueueError, QueueLength};

/// The longest one try may take; a healthy answer comes within a second.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest a question may take with its tries: within the age at which the core calls a sample stale.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(15);
/// Each question is billed as a request, and the counts lag by seconds anyway.
const SHORTEST_INTERVAL: Duration = Duration::from_secs(2);

/// SQS in one account: queues of one region share a client, so that thousands of them cost little.
#[derive(Debug)]
pub struct SqsService {
    config: SdkConfig,
    clients: Mutex<HashMap<Region, Client>>,
}

impl SqsService {
    /// SQS at `endpoint_url` if given, with the standard chain of credentials and regions; a question takes at most
    /// as long as `patience` says.
    pub async fn connect(endpoint_url: Option<&str>, patience: Patience) -> Self {
        let config = reelpool_aws::load(endpoint_url, None, patience).await;
        Self { config, clients: Mutex::default() }
    }

    /// The queue at `url`.
    pub fn queue(&self, url: &str) -> Result<SqsQueue, QueueError> {
        let Some(region) = region_for(&self.config, url) else {
            return Err(QueueError::NoRegion { queue: url.to_owned() });
        };
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let client = clients.entry(region.clone()).or_insert_with(|| client(&self.config, region));
        Ok(SqsQueue { client: client.clone(), url: url.to_owned() })
    }
}

fn client(config: &SdkConfig, region: Region) -> Client {
    let own = aws_sdk_sqs::config::Builder::from(config).region(region).interceptor(BoundedAnswers);
    Client::from_conf(own.build())
}

/// One SQS queue.
#[derive(Debug, Clone)]
pub struct SqsQueue {
    client: Client,
    url: String,
}

impl SqsQueue {
    /// The queue at `url`, asked at `endpoint_url` if given, with the standard chain of credentials and regions.
    pub async fn connect(url: &str, endpoint_url: Option<&str>) -> Result<Self, QueueError> {
        let patience = Patience { attempt: ATTEMPT_TIMEOUT, call: Some(OPERATION_TIMEOUT) };
        Self::with_config(&reelpool_aws::load(endpoint_url, Some(url), patience).await, url)
    }

    /// The queue at `url`, asked as `config` says.
    pub fn with_config(config: &SdkConfig, url: &str) -> Result<Self, QueueError> {
        let Some(region) = region_for(config, url) else {
            return Err(QueueError::NoRegion { queue: url.to_owned() });
        };
        Ok(Self { client: client(config, region), url: url.to_owned() })
    }
}

#[async_trait]
impl QueueLength for SqsQueue {
    async fn depth(&self, _soon: Duration) -> Result<QueueDepth, QueueError> {
        let answer = self
            .client
            .get_queue_attributes()
            .queue_url(&self.url)
            .attribute_names(QueueAttributeName::ApproximateNumberOfMessages)
            .attribute_names(QueueAttributeName::ApproximateNumberOfMessagesNotVisible)
            .attribute_names(QueueAttributeName::ApproximateNumberOfMessagesDelayed)
            .send()
            .await
            .map_err(|error| failed(&self.url, &error))?;
        depth_of(&self.url, answer.attributes().unwrap_or(&HashMap::new()))
    }

    fn is_exact(&self) -> bool {
        false
    }

    fn shortest_interval(&self) -> Duration {
        SHORTEST_INTERVAL
    }
}

/// Reads the three counts; one that is missing is an error, never a zero.
fn depth_of(queue: &str, attributes: &HashMap<QueueAttributeName, String>) -> Result<QueueDepth, QueueError> {
    let count = |name: QueueAttributeName| {
        let unusable = |detail| QueueError::Unusable { queue: queue.to_owned(), detail };
        let text = attributes.get(&name).ok_or_else(|| unusable(format!("{name} is missing")))?;
        text.parse::<u64>().map_err(|_| unusable(format!("{name} is `{text}`, expected a number")))
    };
    Ok(QueueDepth {
        backlog: count(QueueAttributeName::ApproximateNumberOfMessages)?,
        in_flight: count(QueueAttributeName::ApproximateNumberOfMessagesNotVisible)?,
        delayed: count(QueueAttributeName::ApproximateNumberOfMessagesDelayed)?,
        // SQS does not tell when delayed messages become visible.
        delayed_due_soon: None,
    })
}

fn failed(queue: &str, error: &SdkError<GetQueueAttributesError>) -> QueueError {
    let queue = queue.to_owned();
    let detail = chain(error);
    if is_without_credentials(error) {
        return QueueError::NoCredentials { queue };
    }
    match error {
        SdkError::ServiceError(service) => {
            let status = service.raw().status().as_u16();
            category(service.err().code().unwrap_or_default(), status, queue, detail)
        }
        SdkError::ResponseError(_) => QueueError::Unusable { queue, detail },
        _ => QueueError::Unreachable { queue, detail },
    }
}

/// What an error code of SQS means, in its query protocol's words and in its JSON protocol's.
fn category(code: &str, status: u16, queue: String, detail: String) -> QueueError {
    match code {
        "QueueDoesNotExist" | "AWS.SimpleQueueService.NonExistentQueue" | "InvalidAddress" => {
            QueueError::NotFound { queue, detail }
        }
        "AccessDenied"
        | "AccessDeniedException"
        | "ExpiredToken"
        | "InvalidClientTokenId"
        | "InvalidSecurity"
        | "SignatureDoesNotMatch"
        | "UnrecognizedClientException"
        | "KmsAccessDenied" => QueueError::AccessDenied { queue, detail },
        "RequestThrottled" | "Throttling" | "ThrottlingException" | "TooManyRequestsException" => {
            QueueError::Throttled { queue, detail }
        }
        _ if status == 403 => QueueError::AccessDenied { queue, detail },
        _ if status == 404 => QueueError::NotFound { queue, detail },
        _ if status == 429 => QueueError::Throttled { queue, detail },
        _ if status >= 500 => QueueError::Failing { queue, detail },
        _ => QueueError::Unusable { queue, detail },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_config::BehaviorVersion;
    use aws_config::retry::RetryConfig;
    use aws_sdk_sqs::config::{Credentials, SharedCredentialsProvider};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    fn attributes(all: &[(&str, &str)]) -> HashMap<QueueAttributeName, String> {
        all.iter().map(|(name, value)| (QueueAttributeName::from(*name), (*value).to_owned())).collect()
    }

    #[test]
    fn a_missing_or_odd_count_is_an_error_and_never_a_zero() {
        let whole = [
            ("ApproximateNumberOfMessages", "1337"),
            ("ApproximateNumberOfMessagesNotVisible", "12"),
            ("ApproximateNumberOfMessagesDelayed", "3"),
        ];
        let depth = depth_of("q", &attributes(&whole)).unwrap();
        assert_eq!((depth.backlog, depth.in_flight, depth.delayed), (1337, 12, 3));
        for missing in 0..3 {
            let mut part = whole.to_vec();
            let (name, _) = part.remove(missing);
            let error = depth_of("q", &attributes(&part)).unwrap_err();
            assert_eq!(error.category(), "queue_unusable_answer");
            assert!(error.to_string().contains(&format!("{name} is missing")), "{error}");
        }
        let odd = [whole[0], whole[1], ("ApproximateNumberOfMessagesDelayed", "-1")];
        assert!(depth_of("q", &attributes(&odd)).is_err());
    }

    #[tokio::test]
    async fn an_answer_without_end_is_not_read_to_its_end() {
        const PROMISED: usize = 1 << 30;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let sent = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            // One try is enough.
            drop(listener);
            assert!(stream.read(&mut [0; 8192]).await.unwrap() > 0);
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {PROMISED}\r\n\r\n");
            stream.write_all(head.as_bytes()).await.unwrap();
            let mut sent = 0;
            while sent < PROMISED && stream.write_all(&[b' '; 8192]).await.is_ok() {
                sent += 8192;
            }
            sent
        });
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::new("us-east-1"))
            .credentials_provider(SharedCredentialsProvider::new(Credentials::new(
                "a", "b", None, None, "test",
            )))
            .endpoint_url(format!("http://{address}"))
            .retry_config(RetryConfig::disabled())
            .build();
        let queue = SqsQueue::with_config(&config, "http://localhost/1/q").unwrap();
        let error = queue.depth(Duration::ZERO).await.unwrap_err();
        assert_eq!(error.category(), "queue_unusable_answer", "{error}");
        assert!(error.to_string().contains("length limit exceeded"), "{error}");
        // More than the bound by what the sockets hold.
        let sent = sent.await.unwrap();
        assert!(sent < 64 << 20, "{sent} bytes were taken");
    }

    #[test]
    fn error_codes_have_categories() {
        for (code, status, expected) in [
            ("QueueDoesNotExist", 400, "queue_not_found"),
            ("AWS.SimpleQueueService.NonExistentQueue", 400, "queue_not_found"),
            ("AccessDeniedException", 400, "queue_access_denied"),
            ("Whatever", 403, "queue_access_denied"),
            ("ThrottlingException", 400, "queue_throttled"),
            ("ServiceUnavailable", 503, "queue_failing"),
            ("", 500, "queue_failing"),
            ("", 400, "queue_unusable_answer"),
        ] {
            let error = category(code, status, "q".to_owned(), "said".to_owned());
            assert_eq!(error.category(), expected, "{code} {status}");
        }
    }
}
