//! Amazon S3, and anything that speaks its protocol.

mod fetch;
mod publish;

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStream;
use reelpool_aws::{AnsweredAt, GIVE_CREDENTIALS, chain, is_without_credentials};
use reelpool_protocol::Source;
use std::path::Path;
use std::time::Duration;

use super::{Listed, MAX_READ, Masters, Outputs, PutIfAbsent, StoreError};

/// Masters in S3 buckets.
#[derive(Debug, Clone)]
pub struct S3Masters {
    client: Client,
}

/// Outputs in one bucket, under one prefix.
#[derive(Debug, Clone)]
pub struct S3Outputs {
    client: Client,
    bucket: String,
    prefix: String,
}

/// The longest one attempt of a call may take: 16 MiB, the most that is sent at once but for masters beyond 160 GB,
/// at 28 kB a second. A body that stands still is found much sooner, by the SDK's own watch.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(600);

/// A client that also works with local endpoints, which know buckets by path only.
fn client(config: &SdkConfig) -> Client {
    let path_style = config.endpoint_url().is_some();
    let timeouts = TimeoutConfig::builder().operation_attempt_timeout(ATTEMPT_TIMEOUT).build();
    let own = aws_sdk_s3::config::Builder::from(config).timeout_config(timeouts);
    Client::from_conf(own.force_path_style(path_style).build())
}

impl S3Masters {
    /// Masters as the messages name them: bucket and key.
    #[must_use]
    pub fn new(config: &SdkConfig) -> Self {
        Self { client: client(config) }
    }
}

impl S3Outputs {
    /// Outputs under `prefix` (empty, or ending in a slash) of `bucket`.
    ///
    /// # Errors
    /// When the bucket does not exist or may not be used.
    pub async fn open(config: &SdkConfig, bucket: &str, prefix: &str) -> Result<Self, StoreError> {
        let client = client(config);
        client
            .head_bucket()
            .bucket(bucket)
            .send()
            .await
            .map_err(|error| failed(&format!("the bucket {bucket}"), &error))?;
        Ok(Self { client, bucket: bucket.to_owned(), prefix: prefix.to_owned() })
    }

    fn key(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    fn name(&self, key: &str) -> String {
        format!("s3://{}/{}{key}", self.bucket, self.prefix)
    }

    async fn remove_objects(&self, prefix: &str, keep: Option<&str>) -> Result<(), StoreError> {
        let keep = keep.map(|keep| self.key(keep));
        let mut pages = self
            .client
            .list_objects_v2()
            .bucket(&self.bucket)
            .prefix(self.key(prefix))
            .into_paginator()
            .send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| failed(&self.name(prefix), &error))?;
            for object in page.contents() {
                let Some(key) = object.key() else { continue };
                if keep.as_deref().is_some_and(|keep| key.starts_with(keep)) {
                    continue;
                }
                self.client
                    .delete_object()
                    .bucket(&self.bucket)
                    .key(key)
                    .send()
                    .await
                    .map_err(|error| failed(key, &error))?;
            }
        }
        Ok(())
    }

    async fn abort_uploads(&self, prefix: &str, keep: Option<&str>) -> Result<(), StoreError> {
        let keep = keep.map(|keep| self.key(keep));
        let mut list = self.client.list_multipart_uploads().bucket(&self.bucket).prefix(self.key(prefix));
        loop {
            let page = list.clone().send().await.map_err(|error| failed(&self.name(prefix), &error))?;
            for upload in page.uploads() {
                let (Some(key), Some(id)) = (upload.key(), upload.upload_id()) else {
                    continue;
                };
                if !keep.as_deref().is_some_and(|keep| key.starts_with(keep)) {
                    publish::abort(&self.client, &self.bucket, key, id).await;
                }
            }
            if page.is_truncated() != Some(true) {
                return Ok(());
            }
            list = list
                .set_key_marker(page.next_key_marker().map(str::to_owned))
                .set_upload_id_marker(page.next_upload_id_marker().map(str::to_owned));
        }
    }
}

#[async_trait]
impl Masters for S3Masters {
    async fn identify(&self, source: &Source) -> Result<Source, StoreError> {
        fetch::identify(&self.client, source).await
    }

    async fn fetch(&self, source: &Source, into: &Path) -> Result<u64, StoreError> {
        fetch::fetch(&self.client, source, into).await
    }

    async fn check(&self, _: &Source) -> Result<(), StoreError> {
        Ok(())
    }
}

#[async_trait]
impl Outputs for S3Outputs {
    async fn publish(&self, file: &Path, key: &str) -> Result<(), StoreError> {
        publish::publish(&self.client, &self.bucket, &self.key(key), file)
            .await
            .map_err(StoreError::of_outputs)
    }

    async fn retrieve(&self, key: &str, into: &Path) -> Result<bool, StoreError> {
        let source =
            Source { bucket: self.bucket.clone(), key: self.key(key), version: None, etag: None, size: None };
        match fetch::fetch(&self.client, &source, into).await {
            Ok(_) => Ok(true),
            Err(StoreError::NotFound { .. }) => Ok(false),
            Err(error) => Err(error.of_outputs()),
        }
    }

    async fn put_if_absent(&self, key: &str, bytes: &[u8]) -> Result<PutIfAbsent, StoreError> {
        let put = self
            .client
            .put_object()
            .bucket(&self.bucket)
            .key(self.key(key))
            .if_none_match("*")
            .content_type("application/json")
            .body(ByteStream::from(bytes.to_vec()))
            .send()
            .await;
        match put {
            Ok(_) => Ok(PutIfAbsent::Created),
            Err(error) if code(&error) == "PreconditionFailed" => Ok(PutIfAbsent::AlreadyThere),
            Err(error) => Err(failed(&self.name(key), &error).of_outputs()),
        }
    }

    async fn read(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let got = match self.client.get_object().bucket(&self.bucket).key(self.key(key)).send().await {
            Ok(got) => got,
            Err(error) if code(&error) == "NoSuchKey" => return Ok(None),
            Err(error) => return Err(failed(&self.name(key), &error).of_outputs()),
        };
        let what = self.name(key);
        if got.content_length().is_some_and(|length| u64::try_from(length).unwrap_or(0) > MAX_READ) {
            return Err(StoreError::Damaged { what, detail: format!("it is larger than {MAX_READ} bytes") });
        }
        let bytes = got
            .body
            .collect()
            .await
            .map_err(|error| StoreError::Unavailable { what, detail: chain(&error) })?;
        Ok(Some(bytes.to_vec()))
    }

    async fn put(&self, key: &str, bytes: &[u8]) -> Result<(), StoreError> {
        self.client
            .put_object()
            .bucket(&self.bucket)
            .key(self.key(key))
            .content_type("application/json")
            .body(ByteStream::from(bytes.to_vec()))
            .send()
            .await
            .map(drop)
            .map_err(|error| failed(&self.name(key), &error).of_outputs())
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Listed>, StoreError> {
        let mut listed = Vec::new();
        let mut next = None;
        loop {
            let answered = AnsweredAt::default();
            let list = self.client.list_objects_v2().bucket(&self.bucket).prefix(self.key(prefix));
            let page = list.set_continuation_token(next).customize().interceptor(answered.clone()).send();
            let page = page.await.map_err(|error| failed(&self.name(prefix), &error).of_outputs())?;
            for object in page.contents() {
                let Some(key) = object.key().and_then(|key| key.strip_prefix(&self.prefix)) else { continue };
                let age = object.last_modified().and_then(|written| answered.since(written));
                listed.push(Listed { key: key.to_owned(), age });
            }
            next = page.next_continuation_token().map(str::to_owned);
            if page.is_truncated() != Some(true) || next.is_none() {
                return Ok(listed);
            }
        }
    }

    async fn remove(&self, key: &str) -> Result<(), StoreError> {
        let delete = self.client.delete_object().bucket(&self.bucket).key(self.key(key));
        delete.send().await.map(drop).map_err(|error| failed(&self.name(key), &error).of_outputs())
    }

    async fn remove_all_but(&self, prefix: &str, keep: Option<&str>) -> Result<(), StoreError> {
        self.remove_objects(prefix, keep).await.map_err(StoreError::of_outputs)?;
        self.abort_uploads(prefix, keep).await.map_err(StoreError::of_outputs)
    }
}

/// The service's code for an error; for answers without a body, one made from the status.
fn code<E: ProvideErrorMetadata>(error: &SdkError<E>) -> &str {
    let by_status = match error.raw_response().map(|response| response.status().as_u16()) {
        Some(404) => "NoSuchKey",
        Some(403) => "AccessDenied",
        Some(412) => "PreconditionFailed",
        _ => "",
    };
    error.as_service_error().and_then(ProvideErrorMetadata::code).unwrap_or(by_status)
}

fn failed<E>(what: &str, error: &SdkError<E>) -> StoreError
where
    E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
{
    let what = what.to_owned();
    if is_without_credentials(error) {
        return StoreError::Denied { what, detail: GIVE_CREDENTIALS.to_owned() };
    }
    let detail = chain(error);
    match code(error) {
        // A bucket that is gone is no verdict on the master.
        "NoSuchBucket" => StoreError::Unavailable { what, detail: "the bucket does not exist".to_owned() },
        "NoSuchKey" | "NoSuchVersion" | "NotFound" => StoreError::NotFound { what },
        "PreconditionFailed" => StoreError::Changed { what },
        "AccessDenied" | "InvalidAccessKeyId" | "SignatureDoesNotMatch" | "ExpiredToken" => {
            StoreError::Denied { what, detail }
        }
        "KeyTooLongError" | "InvalidURI" => StoreError::BadKey { what, detail },
        _ => StoreError::Unavailable { what, detail },
    }
}
