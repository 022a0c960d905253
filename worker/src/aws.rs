//! One configuration for both AWS clients: standard credential chain, any endpoint, bounded calls.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_sqs::error::SdkError;

/// The longest any one attempt of a call may take; more than the longest long poll (20 s).
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(40);

/// Loads the standard chain (environment, profile, web identity, container, instance) once.
pub async fn config(endpoint_url: Option<&str>) -> SdkConfig {
    let timeouts = TimeoutConfig::builder().operation_attempt_timeout(ATTEMPT_TIMEOUT).build();
    let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12()).timeout_config(timeouts);
    if let Some(url) = endpoint_url {
        // A local endpoint has no region of its own, but requests are signed for one.
        loader = loader.endpoint_url(url).region(
            aws_config::meta::region::RegionProviderChain::default_provider()
                .or_else(Region::new("us-east-1")),
        );
    }
    loader.load().await
}

/// An error and its causes, in one line: the SDK's own text is often only "service error".
pub fn chain(error: &(dyn StdError + 'static)) -> String {
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
    text
}

/// Whether a call failed before it was sent because no credentials were found.
pub fn is_without_credentials<E, R>(error: &SdkError<E, R>) -> bool
where
    E: StdError + 'static,
    R: fmt::Debug + 'static,
    SdkError<E, R>: StdError,
{
    matches!(error, SdkError::DispatchFailure(_)) && chain(error).contains("credentials")
}

/// What to do when there are none.
pub const GIVE_CREDENTIALS: &str = "no credentials were found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or AWS_PROFILE, or give the pod a role";
