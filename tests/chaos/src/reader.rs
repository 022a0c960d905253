//! Somebody who follows the manifests while the fleet is under fire, as those do who serve the videos.

use std::collections::{BTreeMap, BTreeSet};

use reelpool_protocol::Manifest;
use reelpool_protocol::manifest::FILE_NAME;
use reelpool_worker::hex::hex;
use sha2::{Digest, Sha256};

use crate::outputs::Outputs;

/// So many manifests that were read before are read again with each look.
const AGAIN: usize = 4;

/// What a reader has seen so far.
#[derive(Debug, Default)]
pub struct Reader {
    /// The bytes of each manifest when it was first read, by its key.
    manifests: BTreeMap<String, Vec<u8>>,
    /// What is wrong with what was read.
    complaints: Vec<String>,
    looks: usize,
}

impl Reader {
    /// Reads the manifests that are new, and some again.
    pub async fn look(&mut self, outputs: &Outputs) {
        self.looks += 1;
        let keys = outputs.keys().await;
        let names: Vec<&String> = keys.iter().filter(|key| key.ends_with(FILE_NAME)).collect();
        for name in &names {
            if !self.manifests.contains_key(*name) {
                self.read(outputs, name).await;
            }
        }
        let count = self.manifests.len().max(1);
        let again = (0..AGAIN).map(|number| (self.looks * AGAIN + number) % count);
        let again: Vec<String> =
            again.filter_map(|index| self.manifests.keys().nth(index).cloned()).collect();
        for name in again {
            self.compare(outputs, &name).await;
        }
    }

    /// How many manifests it has seen.
    #[must_use]
    pub fn manifests(&self) -> usize {
        self.manifests.len()
    }

    async fn read(&mut self, outputs: &Outputs, name: &str) {
        let Some(bytes) = outputs.read(name).await else {
            return self.complaints.push(format!("{name} was listed and is not there"));
        };
        if let Err(complaint) = follow(outputs, name, &bytes).await {
            self.complaints.push(complaint);
        }
        self.manifests.insert(name.to_owned(), bytes);
    }

    async fn compare(&mut self, outputs: &Outputs, name: &str) {
        if outputs.read(name).await.as_ref() != self.manifests.get(name) {
            self.complaints.push(format!("{name} is another than when it was first read"));
        }
    }

    /// Reads everything once more. Returns what is there by then.
    pub async fn close(mut self, outputs: &Outputs) -> Found {
        self.look(outputs).await;
        let mut found = Found { unfinished: outputs.unfinished().await, ..Found::default() };
        let mut strays: BTreeSet<String> = outputs.keys().await.into_iter().collect();
        let names: Vec<String> = self.manifests.keys().cloned().collect();
        for name in names {
            self.compare(outputs, &name).await;
            match follow(outputs, &name, &self.manifests[&name]).await {
                Ok(manifest) => {
                    strays.remove(&name);
                    for named in manifest.files() {
                        strays.remove(&beside(&name, named.path));
                    }
                    found.by_master.entry(manifest.source.key.clone()).or_default().push(manifest);
                }
                Err(complaint) => self.complaints.push(complaint),
            }
        }
        found.strays = strays.into_iter().collect();
        self.complaints.dedup();
        found.complaints = self.complaints;
        found
    }
}

/// What is in the store at the end.
#[derive(Debug, Default)]
pub struct Found {
    /// The manifests of each master.
    pub by_master: BTreeMap<String, Vec<Manifest>>,
    /// What no manifest names.
    pub strays: Vec<String>,
    /// Uploads that nobody finishes.
    pub unfinished: Vec<String>,
    /// What a reader met that should never be.
    pub complaints: Vec<String>,
}

/// Reads all that the manifest names, as a reader would.
async fn follow(outputs: &Outputs, name: &str, bytes: &[u8]) -> Result<Manifest, String> {
    let manifest: Manifest = serde_json::from_slice(bytes).map_err(|error| format!("{name}: {error}"))?;
    if manifest.renditions.is_empty() {
        return Err(format!("{name} names no rendition"));
    }
    for named in manifest.files() {
        let file = beside(name, named.path);
        let found =
            outputs.read(&file).await.ok_or_else(|| format!("{name} names {file}, which is not there"))?;
        let sum = hex(&Sha256::digest(&found));
        if sum != named.sha256 {
            return Err(format!("{file} is not what {name} says"));
        }
        if !named.path.contains(&manifest.attempt) {
            return Err(format!("{name} names {file}, which is another attempt's"));
        }
    }
    Ok(manifest)
}

fn beside(manifest: &str, path: &str) -> String {
    format!("{}{path}", manifest.strip_suffix(FILE_NAME).unwrap_or_default())
}
