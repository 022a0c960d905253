//! Claiming a job, so that the same work is not paid for twice.
//!
//! A claim is advice: the manifest alone decides whose outputs count, and a claim that cannot be written or read costs
//! at most a second transcode. It is written anew after each beat that extends the hold, so whoever loses the hold,
//! hangs or dies lets it lapse. Ages are told by the store's own clock; no worker's clock is compared with another's.

use std::sync::Arc;
use std::time::Duration;

use reelpool_protocol::claim::{self, LONGEST_MS};
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::state::millis;
use crate::store::{Listed, Outputs, PutIfAbsent, StoreError};

/// The longest that taking, renewing or releasing a claim may keep a job waiting.
const PATIENCE: Duration = Duration::from_secs(10);
/// The most that an estimate of another attempt's time is believed.
const LONGEST_ESTIMATE: Duration = Duration::from_secs(60 * 60);

/// For how long a claim holds after it was last written, when messages are hidden for `visibility`: it has lapsed when
/// the message of a holder that died is offered again, and outlives a beat or two that fail.
#[must_use]
pub fn holds_for(visibility: Duration) -> Duration {
    visibility * 3 / 4
}

/// What came of taking a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It is this attempt's.
    Ours,
    /// Another attempt is at the job: how long it will be so, as far as is known; at least for as long as its claim
    /// holds if it is not renewed.
    Elsewhere(Duration),
}

/// One attempt's claim on its job, from before it is taken until it is released.
#[derive(Debug)]
pub struct Claim {
    outputs: Arc<dyn Outputs>,
    prefix: String,
    says: claim::Claim,
    number: u32,
    renewing: Option<Renewing>,
}

/// The task that writes the claim anew.
#[derive(Debug)]
struct Renewing {
    /// Dropped to end it.
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Claim {
    /// A claim on the job whose outputs have this prefix, not yet taken. It is to hold for `holds_for` at a time.
    pub fn new(
        outputs: Arc<dyn Outputs>,
        prefix: String,
        attempt: &str,
        worker: &str,
        holds_for: Duration,
    ) -> Self {
        let says = claim::Claim {
            attempt: attempt.to_owned(),
            worker: worker.to_owned(),
            holds_for_ms: millis(holds_for),
            left_ms: None,
        };
        Self { outputs, prefix, says, number: 0, renewing: None }
    }

    /// Takes the claim, unless a living one stands; `regardless` of that, if so asked. Of any number that take it at once
    /// one gets it.
    ///
    /// # Errors
    /// When the store does not answer or refuses. Then the claim may stand all the same: release it.
    pub async fn take(&mut self, regardless: bool) -> Result<Taken, StoreError> {
        let what = || claim::folder(&self.prefix);
        let late = StoreError::Unavailable { what: what(), detail: format!("no answer in {PATIENCE:?}") };
        timeout(PATIENCE, self.try_take(regardless)).await.unwrap_or(Err(late))
    }

    async fn try_take(&mut self, regardless: bool) -> Result<Taken, StoreError> {
        let standing = self.standing().await?;
        let newest = standing.last();
        let left = match newest {
            Some((_, newest)) => self.left_of(newest).await?,
            None => None,
        };
        if let Some(left) = left
            && !regardless
        {
            return Ok(Taken::Elsewhere(left));
        }
        self.number = newest.map_or(1, |(number, _)| number.saturating_add(1));
        let key = claim::key(&self.prefix, self.number);
        let put = self.outputs.put_if_absent(&key, &text(&self.says)?).await;
        if put != Ok(PutIfAbsent::Created) {
            // It may be our own: a try that failed for us may have reached the store.
            let says = self.read(&key).await?;
            let ours = says.as_ref().is_some_and(|says| says.attempt == self.says.attempt);
            match (put, says) {
                _ if ours => {}
                (_, Some(says)) => return Ok(Taken::Elsewhere(holds(&says))),
                (Err(error), None) => return Err(error),
                // It was taken and released meanwhile.
                (Ok(_), None) => return Ok(Taken::Elsewhere(Duration::ZERO)),
            }
        }
        // What has lapsed would be left for ever if this attempt gave the job up.
        for (_, one) in &standing {
            if let Ok(None) = self.left_of(one).await {
                self.remove(&one.key).await;
            }
        }
        Ok(Taken::Ours)
    }

    /// The claims on the job by their numbers.
    async fn standing(&self) -> Result<Vec<(u32, Listed)>, StoreError> {
        let listed = self.outputs.list(&claim::folder(&self.prefix)).await?;
        let numbered =
            listed.into_iter().filter_map(|one| claim::number(&self.prefix, &one.key).map(|n| (n, one)));
        let mut standing: Vec<_> = numbered.collect();
        standing.sort_by_key(|(number, _)| *number);
        Ok(standing)
    }

    /// For how long the claim `listed` keeps others away; `None` when it has lapsed.
    async fn left_of(&self, listed: &Listed) -> Result<Option<Duration>, StoreError> {
        // One without an age, or from the future, could stand for ever.
        let Some(age) = listed.age else { return Ok(None) };
        let Some(says) = self.read(&listed.key).await? else { return Ok(None) };
        let left = holds(&says).checked_sub(age).filter(|left| !left.is_zero());
        let estimate = Duration::from_millis(says.left_ms.unwrap_or(0)).min(LONGEST_ESTIMATE);
        Ok(left.map(|left| left.max(estimate.saturating_sub(age))))
    }

    /// What the claim at `key` says. One that cannot be understood is by a worker of another version: it holds for as
    /// long as ours would.
    async fn read(&self, key: &str) -> Result<Option<claim::Claim>, StoreError> {
        let Some(text) = self.outputs.read(key).await? else { return Ok(None) };
        let unknown = || claim::Claim { attempt: String::new(), left_ms: None, ..self.says.clone() };
        Ok(Some(serde_json::from_slice(&text).unwrap_or_else(|_| unknown())))
    }

    /// Writes the claim anew on `runtime` after each of `beats`, with what `left` says, until it is let rest or the
    /// beats end.
    pub fn keep(
        &mut self,
        runtime: &Handle,
        mut beats: watch::Receiver<u64>,
        left: impl Fn() -> Option<Duration> + Send + 'static,
    ) {
        let (stop, mut stopped) = oneshot::channel();
        let (outputs, mut says) = (Arc::clone(&self.outputs), self.says.clone());
        let key = claim::key(&self.prefix, self.number);
        let task = runtime.spawn(async move {
            loop {
                tokio::select! {
                    biased;
                    _ = &mut stopped => return,
                    beat = beats.changed() => if beat.is_err() { return },
                }
                says.left_ms = left().map(millis);
                let Ok(text) = text(&says) else { return };
                match timeout(PATIENCE, outputs.put(&key, &text)).await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => tracing::warn!(%error, "the claim could not be renewed"),
                    Err(_) => tracing::warn!(key, "the claim could not be renewed: no answer"),
                }
            }
        });
        self.renewing = Some(Renewing { stop, task });
    }

    /// Ends the renewals. When it returns, none is under way that could bring back a claim that is removed next.
    pub async fn rest(&mut self) {
        if let Some(Renewing { stop, task }) = self.renewing.take() {
            drop(stop);
            let _ = timeout(PATIENCE, task).await;
        }
    }

    /// Removes the claim, wherever it stands, so that the next attempt need not wait until it has lapsed.
    pub async fn release(mut self) {
        self.rest().await;
        // Of a job that is given up nobody else would ever remove it.
        let until_it_is_gone = async {
            let mut pause = Duration::from_millis(250);
            while let Err(error) = self.find_and_remove().await {
                tracing::warn!(%error, ?pause, "the claim could not be released; trying again");
                sleep(pause).await;
                pause *= 2;
            }
        };
        if timeout(PATIENCE, until_it_is_gone).await.is_err() {
            tracing::warn!("the claim could not be released in time; it lapses by itself");
        }
    }

    async fn find_and_remove(&self) -> Result<(), StoreError> {
        for (_, listed) in self.standing().await? {
            let says = self.read(&listed.key).await?;
            if says.is_some_and(|says| says.attempt == self.says.attempt) {
                self.outputs.remove(&listed.key).await?;
            }
        }
        Ok(())
    }

    async fn remove(&self, key: &str) {
        if let Err(error) = self.outputs.remove(key).await {
            tracing::warn!(%error, "a lapsed claim could not be removed");
        }
    }
}

fn holds(says: &claim::Claim) -> Duration {
    Duration::from_millis(says.holds_for_ms.min(LONGEST_MS))
}

fn text(says: &claim::Claim) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(says)
        .map_err(|error| StoreError::Unavailable { what: "a claim".to_owned(), detail: error.to_string() })
}

#[cfg(test)]
#[path = "claim_tests.rs"]
mod tests;
