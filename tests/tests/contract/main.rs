//! One suite for each trait that has two implementations, run against both: the embedded one, and AWS's over its
//! real protocols. Whatever holds for one holds for the other.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod foreign_clock;
mod masters;
mod outputs;
mod queue;
mod queue_length;
mod queue_under_test;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use reelpool_tests::Emulator;

/// The configuration that the programs would load from the environment.
async fn aws_config(emulator: &Emulator) -> SdkConfig {
    let credentials = aws_sdk_sqs::config::Credentials::new("test", "test", None, None, "tests");
    aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(credentials)
        .endpoint_url(emulator.endpoint())
        .load()
        .await
}

/// Makes a test of each function named, once for each of the two ways to build its subject.
macro_rules! contract {
    ($under_test:ident, $($name:ident),+ $(,)?) => {
        mod embedded {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $name() {
                    super::$name(&super::$under_test::embedded()).await;
                }
            )+
        }
        mod aws {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $name() {
                    super::$name(&super::$under_test::aws().await).await;
                }
            )+
        }
    };
}
pub(crate) use contract;
