//! Fetching a master: parallel ranges into one file, then length and checksum.

use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::types::{ChecksumMode, ChecksumType, ServerSideEncryption};
use md5::{Digest, Md5};
use reelpool_protocol::Source;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::{StoreError, chain, failed};
use crate::hex::hex;
use crate::store::check_room;

/// How much one request asks for.
const RANGE: u64 = 16 * 1024 * 1024;
/// How many requests run at a time; with S3's 50 to 100 MB/s a connection, this fills a worker's network.
const PARALLEL: usize = 4;
/// How often a range is asked for whose body was cut. The SDK tries calls again, but not bodies.
const TRIES: u32 = 5;

/// The source with the version and entity tag that it has now, where it names neither.
pub(super) async fn identify(client: &Client, source: &Source) -> Result<Source, StoreError> {
    let head = head(client, source).await?;
    Ok(Source {
        version: head.version_id().map(str::to_owned),
        etag: head.e_tag().map(|etag| etag.trim_matches('"').to_owned()),
        size: head.content_length().and_then(|bytes| u64::try_from(bytes).ok()),
        ..source.clone()
    })
}

async fn head(client: &Client, source: &Source) -> Result<HeadObjectOutput, StoreError> {
    let what = format!("s3://{source}");
    let head = client
        .head_object()
        .bucket(&source.bucket)
        .key(&source.key)
        .set_version_id(source.version.clone())
        .checksum_mode(ChecksumMode::Enabled)
        .send()
        .await;
    let failure = match head {
        Ok(head) => return Ok(head),
        Err(error) => failed(&what, &error),
    };
    // A HEAD's answer has no body that would tell a missing object from a missing bucket.
    if matches!(failure, StoreError::NotFound { .. })
        && let Err(error) = client.head_bucket().bucket(&source.bucket).send().await
        && matches!(failed(&what, &error), StoreError::NotFound { .. })
    {
        return Err(StoreError::Unavailable { what, detail: "the bucket does not exist".to_owned() });
    }
    Err(failure)
}

pub(super) async fn fetch(client: &Client, source: &Source, into: &Path) -> Result<u64, StoreError> {
    let what = format!("s3://{source}");
    let head = head(client, source).await?;
    let etag = head.e_tag().unwrap_or_default().to_owned();
    // The version `null` is overwritten in place: only the tag tells its contents apart.
    if source.etag.as_deref().is_some_and(|named| named != etag.trim_matches('"')) {
        return Err(StoreError::Changed { what });
    }
    let bytes = u64::try_from(head.content_length().unwrap_or(0)).unwrap_or(0);
    check_room(into.parent().unwrap_or(into), bytes)?;

    let file = File::create_new(into).and_then(|file| file.set_len(bytes).map(|()| file));
    let file = file.map_err(|error| disk(into, &error))?;
    let source = source.clone();
    let object =
        Arc::new(Object { client: client.clone(), source, etag, file, into: into.to_path_buf(), what });
    let mut running = JoinSet::new();
    let mut next = 0;
    while next < bytes || !running.is_empty() {
        while next < bytes && running.len() < PARALLEL {
            let range = next..(next + RANGE).min(bytes);
            next = range.end;
            running.spawn(Arc::clone(&object).range(range));
        }
        match running.join_next().await {
            Some(Ok(done)) => done?,
            Some(Err(error)) => return Err(object.unavailable(&error)),
            None => {}
        }
    }
    let fetched = Arc::clone(&object);
    let verified = tokio::task::spawn_blocking(move || verify(&fetched.into, &head, &fetched.what)).await;
    verified.map_err(|error| object.unavailable(&error))??;
    Ok(bytes)
}

/// An object that is being fetched, and the file it goes to.
struct Object {
    client: Client,
    source: Source,
    etag: String,
    file: File,
    into: PathBuf,
    what: String,
}

impl Object {
    fn unavailable(&self, detail: &impl ToString) -> StoreError {
        StoreError::Unavailable { what: self.what.clone(), detail: detail.to_string() }
    }

    /// Fetches one range, going on where a body was cut.
    async fn range(self: Arc<Self>, range: Range<u64>) -> Result<(), StoreError> {
        let mut at = range.start;
        let mut tries = 0;
        loop {
            let failure = match Arc::clone(&self).part(&mut at, range.end).await {
                Ok(()) => return Ok(()),
                Err(failure) => failure,
            };
            tries += 1;
            if tries >= TRIES || !matches!(failure, StoreError::Unavailable { .. }) {
                return Err(failure);
            }
            tracing::debug!(%failure, tries, at, "a range was cut; going on");
            sleep(Duration::from_millis(200 << tries)).await;
        }
    }

    /// Fetches from `at` on, moving it; memory holds no more than one chunk of the body.
    async fn part(self: Arc<Self>, at: &mut u64, end: u64) -> Result<(), StoreError> {
        let request = self
            .client
            .get_object()
            .bucket(&self.source.bucket)
            .key(&self.source.key)
            .set_version_id(self.source.version.clone())
            .if_match(&self.etag)
            .range(format!("bytes={}-{}", *at, end - 1));
        let mut answer = request.send().await.map_err(|error| failed(&self.what, &error))?;
        while let Some(chunk) = answer.body.next().await {
            let chunk = chunk.map_err(|error| self.unavailable(&chain(&error)))?;
            let (from, to) = (*at, *at + chunk.len() as u64);
            if to > end {
                let detail = "a range brought more than was asked".to_owned();
                return Err(StoreError::Damaged { what: self.what.clone(), detail });
            }
            let object = Arc::clone(&self);
            let written = tokio::task::spawn_blocking(move || object.file.write_all_at(&chunk, from)).await;
            written.map_err(|error| self.unavailable(&error))?.map_err(|error| disk(&self.into, &error))?;
            *at = to;
        }
        if *at == end {
            Ok(())
        } else {
            Err(self.unavailable(&format!("its body ended at {at}, before {end}")))
        }
    }
}

pub(super) fn disk(path: &Path, error: &std::io::Error) -> StoreError {
    let (place, detail) = (path.display().to_string(), error.to_string());
    match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
            StoreError::NoSpace { place, detail }
        }
        _ => StoreError::Unavailable { what: place, detail },
    }
}

/// Checks the whole file against the best proof the object has: a full-object checksum, else an MD5 entity tag.
/// An object with neither (multipart without a full-object checksum, or encrypted with a customer's key) is
/// checked by its length, which every range has proven.
fn verify(path: &Path, head: &HeadObjectOutput, what: &str) -> Result<(), StoreError> {
    let Some((proof, expected)) = proof(head) else {
        return Ok(());
    };
    let found = hash(path, proof).map_err(|error| disk(path, &error))?;
    if found == expected {
        return Ok(());
    }
    let detail = format!("its {} is {found}, the store says {expected}", proof.name());
    Err(StoreError::Damaged { what: what.to_owned(), detail })
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Proof {
    Crc64Nvme,
    Crc32c,
    Crc32,
    Md5,
}

impl Proof {
    fn name(self) -> &'static str {
        match self {
            Self::Crc64Nvme => "CRC-64/NVME",
            Self::Crc32c => "CRC-32C",
            Self::Crc32 => "CRC-32",
            Self::Md5 => "MD5",
        }
    }
}

fn proof(head: &HeadObjectOutput) -> Option<(Proof, String)> {
    let full = head.checksum_type().is_none_or(|kind| *kind == ChecksumType::FullObject);
    // The checksum of a multipart upload without a type of its own is a checksum of checksums: `…-N`.
    let checksum = |text: Option<&str>| text.filter(|text| full && !text.contains('-')).map(str::to_owned);
    if let Some(text) = checksum(head.checksum_crc64_nvme()) {
        return Some((Proof::Crc64Nvme, text));
    }
    if let Some(text) = checksum(head.checksum_crc32_c()) {
        return Some((Proof::Crc32c, text));
    }
    if let Some(text) = checksum(head.checksum_crc32()) {
        return Some((Proof::Crc32, text));
    }
    let plain = !matches!(
        head.server_side_encryption().map(ServerSideEncryption::as_str),
        Some("aws:kms" | "aws:kms:dsse")
    ) && head.sse_customer_algorithm().is_none();
    let etag = head.e_tag().unwrap_or_default().trim_matches('"');
    let is_md5 = etag.len() == 32 && etag.bytes().all(|b| b.is_ascii_hexdigit());
    (plain && is_md5).then(|| (Proof::Md5, etag.to_ascii_lowercase()))
}

fn hash(path: &Path, proof: Proof) -> std::io::Result<String> {
    let crc = |algorithm| {
        let mut digest = crc_fast::Digest::new(algorithm);
        read_through(path, |part| digest.update(part)).map(|()| digest.finalize())
    };
    let low = |sum: u64| u32::try_from(sum & u64::from(u32::MAX)).unwrap_or_default().to_be_bytes();
    Ok(match proof {
        Proof::Crc64Nvme => {
            aws_smithy_types::base64::encode(crc(crc_fast::CrcAlgorithm::Crc64Nvme)?.to_be_bytes())
        }
        Proof::Crc32c => aws_smithy_types::base64::encode(low(crc(crc_fast::CrcAlgorithm::Crc32Iscsi)?)),
        Proof::Crc32 => aws_smithy_types::base64::encode(low(crc(crc_fast::CrcAlgorithm::Crc32IsoHdlc)?)),
        Proof::Md5 => {
            let mut digest = Md5::new();
            read_through(path, |part| digest.update(part))?;
            hex(&digest.finalize())
        }
    })
}

fn read_through(path: &Path, mut each: impl FnMut(&[u8])) -> std::io::Result<()> {
    let mut file = File::open(path)?;
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(()),
            n => each(&buffer[..n]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_the_published_ones() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("check");
        std::fs::write(&path, "123456789").unwrap();
        let sum = |proof| hash(&path, proof).unwrap();
        // Check values of the catalogue of CRC algorithms, and RFC 1321's form for MD5.
        assert_eq!(sum(Proof::Crc32), aws_smithy_types::base64::encode(0xcbf4_3926_u32.to_be_bytes()));
        assert_eq!(sum(Proof::Crc32c), aws_smithy_types::base64::encode(0xe306_9283_u32.to_be_bytes()));
        assert_eq!(
            sum(Proof::Crc64Nvme),
            aws_smithy_types::base64::encode(0xae8b_1486_0a79_9888_u64.to_be_bytes())
        );
        assert_eq!(sum(Proof::Md5), "25f9e794323b453885f5181f1b624d0b");
    }

    #[test]
    fn the_best_proof_is_chosen() {
        let head = HeadObjectOutput::builder().e_tag("\"25F9e794323b453885f5181f1b624d0b\"");
        assert_eq!(proof(&head.clone().build()).map(|(proof, _)| proof), Some(Proof::Md5));
        let kms = head.clone().server_side_encryption(ServerSideEncryption::AwsKms).build();
        assert_eq!(proof(&kms), None);
        let both = head.clone().checksum_crc64_nvme("AAAAAAAAAAA=").checksum_type(ChecksumType::FullObject);
        assert_eq!(proof(&both.build()).map(|(proof, _)| proof), Some(Proof::Crc64Nvme));
        let composite = HeadObjectOutput::builder().checksum_crc32("AAAAAA==-3").e_tag("\"abc-3\"").build();
        assert_eq!(proof(&composite), None);
    }
}
