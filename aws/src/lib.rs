//! One configuration for every AWS client: the standard chain of credentials, a region, bounded calls; and what
//! their errors mean in words.

mod answered;
mod bounded;

use std::error::Error as StdError;
use std::time::Duration;

use aws_config::environment::region::EnvironmentVariableRegionProvider;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::region::ProfileFileRegionProvider;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_smithy_runtime_api::client::result::SdkError;

pub use answered::AnsweredAt;
pub use bounded::BoundedAnswers;

/// What to do when no credentials were found.
pub const GIVE_CREDENTIALS: &str = "no credentials were found: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the pod a role";

/// How long calls may take; without a bound, one that never answers is waited for for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// The longest one attempt may take. A long poll takes its whole wait.
    pub attempt: Duration,
    /// The longest a call may take with its attempts; `None`: as many attempts as the SDK makes.
    pub call: Option<Duration>,
}

/// Loads the standard chain once: environment, profile, web identity, container, instance.
///
/// The region is the environment's or the profile's, else that of the queue at `queue_url`. A service at
/// `endpoint_url` that is not Amazon's takes any region. `SdkConfig::region` is `None` when there is none at all.
pub async fn load(endpoint_url: Option<&str>, queue_url: Option<&str>, patience: Patience) -> SdkConfig {
    let mut timeouts = TimeoutConfig::builder().operation_attempt_timeout(patience.attempt);
    timeouts.set_operation_timeout(patience.call);
    let named = RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new())
        .or_else(ProfileFileRegionProvider::new());
    let region = match (endpoint_url, queue_url.and_then(region_of)) {
        // The instance need not be asked for its own region: that takes seconds where there is no instance.
        (Some(_), _) => named.or_else(Region::new("us-east-1")),
        (None, Some(region)) => named.or_else(region),
        (None, None) => RegionProviderChain::default_provider(),
    };
    let loader = aws_config::defaults(BehaviorVersion::v2026_01_12());
    let loader = loader.timeout_config(timeouts.build()).region(region);
    match endpoint_url {
        Some(url) => loader.endpoint_url(url).load().await,
        None => loader.load().await,
    }
}

/// The region in which the queue at `url` is to be asked: the one its host names, where it is Amazon's, whatever
/// the user's default; else the configuration's.
#[must_use]
pub fn region_for(config: &SdkConfig, url: &str) -> Option<Region> {
    let own = if config.endpoint_url().is_none() { region_of(url) } else { None };
    own.or_else(|| config.region().cloned())
}

/// The region in the host name of an Amazon queue's URL: `sqs.eu-west-1.amazonaws.com`.
fn region_of(url: &str) -> Option<Region> {
    let uri: http::Uri = url.parse().ok()?;
    let host = uri.host()?;
    let region = host.strip_prefix("sqs.")?.split_once(".amazonaws.com")?.0;
    Some(Region::new(region.to_owned()))
}

/// Whether a call failed before it was sent because no credentials were found.
#[must_use]
pub fn is_without_credentials<E, R>(error: &SdkError<E, R>) -> bool
where
    SdkError<E, R>: StdError + 'static,
{
    // The credentials are looked for while the request is built and signed; the SDK says so only in words.
    matches!(error, SdkError::ConstructionFailure(_) | SdkError::DispatchFailure(_))
        && chain(error).contains("credentials")
}

/// An error and its causes in one line: the SDK's own text is often only "service error".
#[must_use]
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
    text.replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_region_is_in_the_url_of_an_amazon_queue() {
        let region = |url| region_of(url).map(|region| region.to_string());
        let amazon = "https://sqs.eu-west-1.amazonaws.com/123456789012/masters";
        assert_eq!(region(amazon).as_deref(), Some("eu-west-1"));
        assert_eq!(region("https://sqs.cn-north-1.amazonaws.com.cn/1/q").as_deref(), Some("cn-north-1"));
        assert_eq!(region("http://127.0.0.1:4566/000000000000/masters"), None);
    }

    #[test]
    fn a_queue_is_asked_where_it_is_unless_it_is_not_amazons() {
        let url = "https://sqs.eu-west-1.amazonaws.com/123456789012/masters";
        let here = || SdkConfig::builder().region(Region::new("us-east-2"));
        let region = |config: SdkConfig| region_for(&config, url).map(|region| region.to_string());
        assert_eq!(region(here().build()).as_deref(), Some("eu-west-1"));
        assert_eq!(region(here().endpoint_url("http://localhost").build()).as_deref(), Some("us-east-2"));
    }

    #[test]
    fn causes_are_told_once_and_in_one_line() {
        let error = std::io::Error::other(std::io::Error::other("no\nroute"));
        assert_eq!(chain(&error), "no route");
    }
}
