//! The real queue, masters and outputs, each call of which goes as the script says.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use reelpool_protocol::Source;
use reelpool_protocol::claim::FOLDER as CLAIMS;
use reelpool_protocol::manifest::ATTEMPTS;
use reelpool_worker::queue::{Queue, QueueError, Received, SpoolQueue, StopFlag};
use reelpool_worker::store::{
    FolderMasters, FolderOutputs, Listed, Masters, Outputs, PutIfAbsent, StoreError,
};

use crate::script::{Method, Script};

/// How much faster than told a failed message comes back.
const HURRY: u32 = 50;

/// The embedded queue under a script.
#[derive(Debug)]
pub struct FakeQueue {
    pub inner: SpoolQueue,
    pub script: Arc<Script>,
}

#[async_trait]
impl Queue for FakeQueue {
    async fn receive(
        &self,
        visibility: Duration,
        wait: Duration,
        stop: &StopFlag,
    ) -> Result<Option<Received>, QueueError> {
        let receive = async {
            let received = self.inner.receive(visibility, wait, stop).await?;
            if let Some(message) = &received {
                self.script.holds(&message.receipt);
                self.script.world().received();
            }
            Ok(received)
        };
        self.script.call(Method::Receive, receive).await
    }

    async fn extend(&self, receipt: &str, visibility: Duration) -> Result<(), QueueError> {
        let (method, time) = match visibility {
            beat if beat == self.script.visibility() => (Method::Beat, beat),
            Duration::ZERO => (Method::HandBack, Duration::ZERO),
            later => (Method::Later, later / HURRY),
        };
        self.script.call(method, self.inner.extend(receipt, time)).await
    }

    async fn delete(&self, receipt: &str) -> Result<(), QueueError> {
        self.script.world().about_to_delete();
        self.script.call(Method::Delete, self.inner.delete(receipt)).await
    }

    async fn dead_letter(&self, received: &Received, reason: &str, detail: &str) -> Result<(), QueueError> {
        self.script.call(Method::DeadLetter, self.inner.dead_letter(received, reason, detail)).await
    }

    fn longest_hold(&self) -> Option<Duration> {
        self.inner.longest_hold()
    }

    fn max_attempts(&self) -> u32 {
        self.inner.max_attempts()
    }
}

/// The folder of masters under a script.
#[derive(Debug)]
pub struct FakeMasters {
    pub inner: FolderMasters,
    pub script: Arc<Script>,
}

#[async_trait]
impl Masters for FakeMasters {
    async fn identify(&self, source: &Source) -> Result<Source, StoreError> {
        self.script.call(Method::Identify, self.inner.identify(source)).await
    }

    async fn fetch(&self, source: &Source, into: &Path) -> Result<u64, StoreError> {
        self.script.call(Method::Fetch, self.inner.fetch(source, into)).await
    }

    async fn check(&self, source: &Source) -> Result<(), StoreError> {
        self.script.call(Method::Check, self.inner.check(source)).await
    }
}

/// The folder of outputs under a script.
#[derive(Debug)]
pub struct FakeOutputs {
    pub inner: FolderOutputs,
    pub script: Arc<Script>,
}

#[async_trait]
impl Outputs for FakeOutputs {
    async fn publish(&self, file: &Path, key: &str) -> Result<(), StoreError> {
        self.script.call(Method::Publish, self.inner.publish(file, key)).await
    }

    async fn retrieve(&self, key: &str, into: &Path) -> Result<bool, StoreError> {
        self.script.call(Method::Retrieve, self.inner.retrieve(key, into)).await
    }

    async fn put_if_absent(&self, key: &str, bytes: &[u8]) -> Result<PutIfAbsent, StoreError> {
        let method = if is_claim(key) { Method::Claim } else { Method::PutIfAbsent };
        self.script.call(method, self.inner.put_if_absent(key, bytes)).await
    }

    async fn read(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let method = if is_claim(key) { Method::ReadClaim } else { Method::Read };
        self.script.call(method, self.inner.read(key)).await
    }

    async fn put(&self, key: &str, bytes: &[u8]) -> Result<(), StoreError> {
        self.script.call(Method::Renew, self.inner.put(key, bytes)).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Listed>, StoreError> {
        self.script.call(Method::ListClaims, self.inner.list(prefix)).await
    }

    async fn remove(&self, key: &str) -> Result<(), StoreError> {
        self.script.call(Method::Unclaim, self.inner.remove(key)).await
    }

    async fn remove_all_but(&self, prefix: &str, keep: Option<&str>) -> Result<(), StoreError> {
        self.script.call(Method::RemoveAllBut, self.inner.remove_all_but(prefix, keep)).await
    }
}

/// Whether `key` is that of a claim, as only claims are written again, listed and removed one by one.
fn is_claim(key: &str) -> bool {
    key.contains(&format!("/{ATTEMPTS}/{CLAIMS}/"))
}
