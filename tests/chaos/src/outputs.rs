//! Where renditions end up, looked at directly: past the programs and past the proxy.

use std::path::{Path, PathBuf};

use aws_sdk_s3::Client;
use aws_sdk_s3::operation::get_object::GetObjectError;
use reelpool_tests::results::files;

/// The place of the outputs.
#[derive(Debug, Clone)]
pub enum Outputs {
    /// A folder.
    Folder(PathBuf),
    /// A bucket.
    Bucket(Client, String),
}

impl Outputs {
    /// The name of everything that is there.
    pub async fn keys(&self) -> Vec<String> {
        match self {
            Self::Folder(root) => files(root).iter().map(|file| key(root, file)).collect(),
            Self::Bucket(s3, bucket) => {
                let mut keys = Vec::new();
                let mut pages = s3.list_objects_v2().bucket(bucket).into_paginator().send();
                while let Some(page) = pages.next().await {
                    let objects = page.unwrap().contents.unwrap_or_default();
                    keys.extend(objects.into_iter().map(|object| object.key.unwrap()));
                }
                keys
            }
        }
    }

    /// The bytes under this name; `None`: there is nothing.
    pub async fn read(&self, key: &str) -> Option<Vec<u8>> {
        match self {
            Self::Folder(root) => std::fs::read(root.join(key)).ok(),
            Self::Bucket(s3, bucket) => {
                let got = match s3.get_object().bucket(bucket).key(key).send().await {
                    Ok(got) => got,
                    Err(error) if error.as_service_error().is_some_and(GetObjectError::is_no_such_key) => {
                        return None;
                    }
                    Err(error) => panic!("{key} cannot be read: {error:?}"),
                };
                Some(got.body.collect().await.unwrap().to_vec())
            }
        }
    }

    /// Uploads that were begun and neither finished nor aborted.
    pub async fn unfinished(&self) -> Vec<String> {
        match self {
            Self::Folder(_) => Vec::new(),
            Self::Bucket(s3, bucket) => {
                let uploads = s3.list_multipart_uploads().bucket(bucket).send().await.unwrap();
                uploads.uploads().iter().filter_map(|upload| upload.key().map(str::to_owned)).collect()
            }
        }
    }
}

fn key(root: &Path, file: &Path) -> String {
    file.strip_prefix(root).unwrap_or(file).to_string_lossy().into_owned()
}
