//! The length of an Amazon SQS queue, and of anything that speaks its protocol.

use std::collections::HashMap;
use std::error::Error as StdError;
use std::time::Duration;

use async_trait::async_trait;
use aws_config::environment::region::EnvironmentVariableRegionProvider;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::region::ProfileFileRegionProvider;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region};
use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sqs::operation::get_queue_attributes::GetQueueAttributesError;
use aws_sdk_sqs::types::QueueAttributeName;
use reelpool_core::QueueDepth;

use super::{QueueError, QueueLength};

/// The longest one try may take; a healthy answer comes within a second.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest a question may take with its tries: within the age at which the core calls a sample stale.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(15);
/// Each question is billed as a request, and the counts lag by seconds anyway.
const SHORTEST_INTERVAL: Duration = Duration::from_secs(2);

/// One SQS queue.
#[derive(Debug, Clone)]
pub struct SqsQueue {
    client: Client,
    url: String,
}

impl SqsQueue {
    /// The queue at `url`, asked at `endpoint_url` if given, with the standard chain of credentials and regions.
    pub async fn connect(url: &str, endpoint_url: Option<&str>) -> Result<Self, QueueError> {
        let timeouts = TimeoutConfig::builder()
            .operation_attempt_timeout(ATTEMPT_TIMEOUT)
            .operation_timeout(OPERATION_TIMEOUT)
            .build();
        let region = match (region_of(url), endpoint_url) {
            // A queue is asked where it is, whatever region is the user's default.
            (Some(region), None) => RegionProviderChain::first_try(region),
            // Anything but Amazon takes any region: the instance need not be asked for its own.
            (_, Some(_)) => RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new())
                .or_else(ProfileFileRegionProvider::new())
                .or_else(Region::new("us-east-1")),
            (None, None) => RegionProviderChain::default_provider(),
        };
        let mut loader =
            aws_config::defaults(BehaviorVersion::v2026_01_12()).timeout_config(timeouts).region(region);
        if let Some(endpoint) = endpoint_url {
            loader = loader.endpoint_url(endpoint);
        }
        let config = loader.load().await;
        if config.region().is_none() {
            return Err(QueueError::NoRegion { queue: url.to_owned() });
        }
        Ok(Self { client: Client::new(&config), url: url.to_owned() })
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

/// The region in the host name of an Amazon URL: `sqs.eu-west-1.amazonaws.com`.
fn region_of(url: &str) -> Option<Region> {
    let uri: http::Uri = url.parse().ok()?;
    let host = uri.host()?;
    let region = host.strip_prefix("sqs.")?.split_once(".amazonaws.com")?.0;
    Some(Region::new(region.to_owned()))
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
    match error {
        SdkError::ServiceError(service) => {
            let status = service.raw().status().as_u16();
            category(service.err().code().unwrap_or_default(), status, queue, detail)
        }
        // The credentials are looked for while the request is built and signed.
        SdkError::ConstructionFailure(_) => QueueError::NoCredentials { queue, detail },
        SdkError::DispatchFailure(failure) if failure.is_user() || is_about_credentials(&detail) => {
            QueueError::NoCredentials { queue, detail }
        }
        SdkError::ResponseError(_) => QueueError::Unusable { queue, detail },
        _ => QueueError::Unreachable { queue, detail },
    }
}

fn is_about_credentials(detail: &str) -> bool {
    detail.contains("credentials")
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
        _ if status >= 500 => QueueError::Unreachable { queue, detail },
        _ => QueueError::Unusable { queue, detail },
    }
}

/// An error and its causes in one line: the SDK's own text is often only "service error".
fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.contains(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    text.replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn error_codes_have_categories() {
        for (code, status, expected) in [
            ("QueueDoesNotExist", 400, "queue_not_found"),
            ("AWS.SimpleQueueService.NonExistentQueue", 400, "queue_not_found"),
            ("AccessDeniedException", 400, "queue_access_denied"),
            ("Whatever", 403, "queue_access_denied"),
            ("ThrottlingException", 400, "queue_throttled"),
            ("ServiceUnavailable", 503, "queue_unreachable"),
            ("", 400, "queue_unusable_answer"),
        ] {
            let error = category(code, status, "q".to_owned(), "said".to_owned());
            assert_eq!(error.category(), expected, "{code} {status}");
        }
    }

    #[test]
    fn amazon_urls_carry_their_region() {
        let region = region_of("https://sqs.eu-west-1.amazonaws.com/123456789012/masters");
        assert_eq!(region, Some(Region::new("eu-west-1")));
        assert_eq!(region_of("http://localhost:4566/000000000000/masters"), None);
    }
}
