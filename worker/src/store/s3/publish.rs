//! Publishing a rendition: one put when it is small, a multipart upload that is aborted on failure when it is not.

use std::path::Path;

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::{ByteStream, Length};
use aws_sdk_s3::types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart};
use tokio::task::JoinSet;

use super::fetch::disk;
use super::{StoreError, chain, failed};

/// Files up to this size go up in one request.
const SINGLE: u64 = 16 * 1024 * 1024;
/// The least size of a part.
const PART: u64 = 16 * 1024 * 1024;
/// The most parts an upload may have (Amazon S3 quotas).
const MAX_PARTS: u64 = 10_000;
/// How many parts go up at a time.
const PARALLEL: usize = 3;

pub(super) async fn publish(client: &Client, bucket: &str, key: &str, file: &Path) -> Result<(), StoreError> {
    let bytes = tokio::fs::metadata(file).await.map_err(|error| disk(file, &error))?.len();
    if bytes > SINGLE {
        return multipart(client, bucket, key, file, bytes).await;
    }
    let what = format!("s3://{bucket}/{key}");
    let body = range(file, 0, bytes).await?;
    client
        .put_object()
        .bucket(bucket)
        .key(key)
        .content_type(content_type(key))
        .body(body)
        .send()
        .await
        .map(drop)
        .map_err(|error| failed(&what, &error))
}

/// What browsers and players are to take an object for, by its name.
fn content_type(key: &str) -> &'static str {
    match key.rsplit_once('.').map_or("", |(_, extension)| extension) {
        "m3u8" => "application/vnd.apple.mpegurl",
        "mpd" => "application/dash+xml",
        "vtt" => "text/vtt",
        "jpg" => "image/jpeg",
        _ => "video/mp4",
    }
}

async fn range(file: &Path, offset: u64, length: u64) -> Result<ByteStream, StoreError> {
    ByteStream::read_from()
        .path(file)
        .offset(offset)
        .length(Length::Exact(length))
        .buffer_size(1 << 18)
        .build()
        .await
        .map_err(|error| StoreError::Unavailable { what: file.display().to_string(), detail: chain(&error) })
}

async fn multipart(
    client: &Client,
    bucket: &str,
    key: &str,
    file: &Path,
    bytes: u64,
) -> Result<(), StoreError> {
    let what = format!("s3://{bucket}/{key}");
    let created = client
        .create_multipart_upload()
        .bucket(bucket)
        .key(key)
        .content_type(content_type(key))
        // Named, or S3 refuses the sums that the SDK sends with each part.
        .checksum_algorithm(ChecksumAlgorithm::Crc32)
        .send()
        .await
        .map_err(|error| failed(&what, &error))?;
    let Some(id) = created.upload_id().map(str::to_owned) else {
        return Err(StoreError::Unavailable { what, detail: "the store gave the upload no id".to_owned() });
    };
    let mut guard =
        AbortOnDrop { upload: Some((client.clone(), bucket.to_owned(), key.to_owned(), id.clone())) };

    let size = PART.max(bytes.div_ceil(MAX_PARTS));
    let mut running: JoinSet<Result<CompletedPart, StoreError>> = JoinSet::new();
    let mut parts = Vec::new();
    let mut next = 0;
    while next < bytes || !running.is_empty() {
        while next < bytes && running.len() < PARALLEL {
            let length = size.min(bytes - next);
            let number = i32::try_from(next / size + 1).unwrap_or(i32::MAX);
            let request = client
                .upload_part()
                .bucket(bucket)
                .key(key)
                .upload_id(&id)
                .part_number(number)
                .checksum_algorithm(ChecksumAlgorithm::Crc32);
            let (file, what, offset) = (file.to_path_buf(), what.clone(), next);
            running.spawn(async move {
                let body = range(&file, offset, length).await?;
                let sent = request.body(body).send().await.map_err(|error| failed(&what, &error))?;
                Ok(CompletedPart::builder()
                    .part_number(number)
                    .set_e_tag(sent.e_tag)
                    .set_checksum_crc32(sent.checksum_crc32)
                    .build())
            });
            next += length;
        }
        match running.join_next().await {
            Some(Ok(part)) => parts.push(part?),
            Some(Err(error)) => {
                return Err(StoreError::Unavailable { what, detail: error.to_string() });
            }
            None => {}
        }
    }
    parts.sort_by_key(CompletedPart::part_number);
    client
        .complete_multipart_upload()
        .bucket(bucket)
        .key(key)
        .upload_id(&id)
        .multipart_upload(CompletedMultipartUpload::builder().set_parts(Some(parts)).build())
        .send()
        .await
        .map_err(|error| failed(&what, &error))?;
    guard.upload = None;
    Ok(())
}

/// Aborts the upload when it is left unfinished, by an error or because the attempt was stopped.
struct AbortOnDrop {
    upload: Option<(Client, String, String, String)>,
}

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        if let Some((client, bucket, key, id)) = self.upload.take() {
            tokio::spawn(async move { abort(&client, &bucket, &key, &id).await });
        }
    }
}

/// Removes an unfinished upload and its parts. One that cannot be removed now is found by the next clean-up.
pub(super) async fn abort(client: &Client, bucket: &str, key: &str, id: &str) {
    let aborted = client.abort_multipart_upload().bucket(bucket).key(key).upload_id(id).send().await;
    if let Err(error) = aborted {
        tracing::warn!(bucket, key, error = chain(&error), "an unfinished upload could not be removed");
    }
}
