//! Fetching a master: parallel ranges into one file, then length and checksum.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_sdk_s3::Client;
use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::types::{ChecksumMode, ChecksumType, ServerSideEncryption};
use md5::{Digest, Md5};
use reelpool_protocol::Source;
use tokio::task::JoinSet;

use super::{StoreError, chain, failed};
use crate::hex::hex;
use crate::store::check_room;

/// How much one request asks for.
const RANGE: u64 = 16 * 1024 * 1024;
/// How many requests run at a time; with S3's 50 to 100 MB/s a connection, this fills a worker's network.
const PARALLEL: usize = 4;

pub(super) async fn fetch(client: &Client, source: &Source, into: &Path) -> Result<u64, StoreError> {
    let what = format!("s3://{source}");
    let head = client
        .head_object()
        .bucket(&source.bucket)
        .key(&source.key)
        .set_version_id(source.version.clone())
        .checksum_mode(ChecksumMode::Enabled)
        .send()
        .await
        .map_err(|error| failed(&what, &error))?;
    let etag = head.e_tag().unwrap_or_default().to_owned();
    let named = source.etag.as_deref().filter(|_| source.version.is_none());
    if named.is_some_and(|named| named != etag.trim_matches('"')) {
        return Err(StoreError::Changed { what });
    }
    let bytes = u64::try_from(head.content_length().unwrap_or(0)).unwrap_or(0);
    check_room(into.parent().unwrap_or(into), bytes)?;

    let file = File::create_new(into).and_then(|file| file.set_len(bytes).map(|()| file));
    let file = Arc::new(file.map_err(|error| disk(into, &error))?);
    let mut running = JoinSet::new();
    let mut next = 0;
    while next < bytes || !running.is_empty() {
        while next < bytes && running.len() < PARALLEL {
            let range = next..(next + RANGE).min(bytes);
            next = range.end;
            let request = client
                .get_object()
                .bucket(&source.bucket)
                .key(&source.key)
                .set_version_id(source.version.clone())
                .if_match(&etag)
                .range(format!("bytes={}-{}", range.start, range.end - 1));
            running.spawn(fetch_range(request, range, Arc::clone(&file), what.clone(), into.to_path_buf()));
        }
        match running.join_next().await {
            Some(Ok(done)) => done?,
            Some(Err(error)) => {
                return Err(StoreError::Unavailable { what, detail: error.to_string() });
            }
            None => {}
        }
    }
    let path = into.to_path_buf();
    let verified = tokio::task::spawn_blocking(move || verify(&path, &head, &what)).await;
    verified
        .map_err(|error| StoreError::Unavailable { what: source.to_string(), detail: error.to_string() })??;
    Ok(bytes)
}

type GetObject = aws_sdk_s3::operation::get_object::builders::GetObjectFluentBuilder;

/// Fetches one range; memory holds no more than one chunk of the body.
async fn fetch_range(
    request: GetObject,
    range: std::ops::Range<u64>,
    file: Arc<File>,
    what: String,
    into: PathBuf,
) -> Result<(), StoreError> {
    let mut answer = request.send().await.map_err(|error| failed(&what, &error))?;
    let mut at = range.start;
    loop {
        let chunk = match answer.body.next().await {
            Some(Ok(chunk)) => chunk,
            Some(Err(error)) => {
                return Err(StoreError::Unavailable { what, detail: chain(&error) });
            }
            None => break,
        };
        let end = at + chunk.len() as u64;
        if end > range.end {
            return Err(StoreError::Damaged {
                what,
                detail: "a range brought more than was asked".to_owned(),
            });
        }
        let file = Arc::clone(&file);
        let written = tokio::task::spawn_blocking(move || file.write_all_at(&chunk, at)).await;
        match written {
            Ok(Ok(())) => at = end,
            Ok(Err(error)) => return Err(disk(&into, &error)),
            Err(error) => {
                return Err(StoreError::Unavailable { what, detail: error.to_string() });
            }
        }
    }
    if at != range.end {
        let detail = format!("bytes {}-{} ended at {at}", range.start, range.end - 1);
        return Err(StoreError::Unavailable { what, detail });
    }
    Ok(())
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
