//! Reads the world for one pool: the Deployment, its pods, the queue, and the workers' own words. Nothing is written
//! here and nothing chosen.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Api, Client, ResourceExt};
use reelpool_api::POOL_LABEL;
use reelpool_core::{QueueDepth, Timestamp, WorkerId};
use reelpool_protocol::WorkerStatus;
use tokio::sync::Semaphore;

use super::apply::{ApplyError, bounded};
use super::deployment::DeploymentView;
use super::pods::PodView;
use super::queue_turns::QueueTurns;
use crate::clock::Clock;
use crate::fleet::{Ask, FleetClient, FleetError};
use crate::queue::sqs::SqsService;
use crate::queue::{QueueError, QueueLength};

/// The longest the queue's length is waited for, its turn included.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(8);

/// Reads the world.
pub struct Observer {
    /// The API server, for what the caches do not have.
    pub client: Client,
    /// The turns of requests to the API server.
    pub turns: Arc<Semaphore>,
    /// All Deployments, trimmed.
    pub deployments: Store<Deployment>,
    /// All pods of Reelpool's own workers, trimmed.
    pub pods: Store<Pod>,
    /// The queues.
    pub sqs: SqsService,
    /// How many queues are asked at once.
    pub queue_turns: QueueTurns,
    /// What time it is.
    pub clock: Clock,
}

/// Our own last write to a Deployment.
#[derive(Debug, Clone, Copy)]
pub enum Written<'a> {
    /// There was none since this process leads.
    Nothing,
    /// It left the Deployment like this.
    This(&'a DeploymentView),
    /// No answer came to it: only the API server knows.
    Unsure,
}

/// What the queue and the workers answered.
#[derive(Debug)]
pub struct Answers {
    /// How long the queue is.
    pub queue: Result<QueueDepth, QueueError>,
    /// How long that took.
    pub queue_took: Duration,
    /// When the queue was asked.
    pub queue_asked_at: Timestamp,
    /// What the workers said that were asked; `None`: nothing. Those that were silent before and had no turn are left
    /// out: they are as silent as they were.
    pub workers: Vec<(WorkerId, Option<WorkerStatus>)>,
    /// What was met at one of those that said nothing.
    pub met: Option<String>,
    /// When they were asked. Answers count from then, whenever they came.
    pub workers_asked_at: Timestamp,
}

impl Observer {
    /// The Deployment, read at least as late as our own last write to it.
    pub async fn deployment(
        &self,
        namespace: &str,
        name: &str,
        written: Written<'_>,
    ) -> Result<Option<DeploymentView>, ApplyError> {
        const WHAT: &str = "the Deployment";
        let cached = self.deployments.get(&ObjectRef::new(name).within(namespace));
        let cached = cached.map(|deployment| DeploymentView::from(deployment.as_ref()));
        match (cached, written) {
            (Some(cached), Written::Nothing) => return Ok(Some(cached)),
            (Some(cached), Written::This(written))
                if cached.uid != written.uid || !written.is_later_than(&cached) =>
            {
                return Ok(Some(cached));
            }
            // The cache may lag behind our own write, or the Deployment is not there or has just been deleted: only the API
            // server knows.
            _ => {}
        }
        let live: Api<Deployment> = Api::namespaced(self.client.clone(), namespace);
        let _turn = self.turns.acquire().await;
        let found = bounded(WHAT, live.get_opt(name)).await?;
        Ok(found.map(|deployment| DeploymentView::from(&deployment)))
    }

    /// The pods of the pool's own Deployment whose removal has not begun.
    #[must_use]
    pub fn own_pods(&self, namespace: &str, pool: &str, deployment: &DeploymentView) -> Vec<PodView> {
        if deployment.replicas == 0 && deployment.pods == 0 {
            return Vec::new();
        }
        self.pods_made_by(namespace, pool, &deployment.name)
    }

    /// The same of a Deployment of the name `deployment` that is not there any more: a new one takes them over.
    #[must_use]
    pub fn pods_made_by(&self, namespace: &str, pool: &str, deployment: &str) -> Vec<PodView> {
        let is_ours = |pod: &Arc<Pod>| {
            pod.namespace().as_deref() == Some(namespace)
                && pod.labels().get(POOL_LABEL).is_some_and(|label| label == pool)
        };
        let pods = self.pods.state().into_iter().filter(is_ours);
        pods.filter_map(|pod| PodView::of(&pod, deployment)).collect()
    }

    /// The pods of somebody else's Deployment whose removal has not begun.
    pub async fn target_pods(
        &self,
        namespace: &str,
        deployment: &DeploymentView,
    ) -> Result<Vec<PodView>, ApplyError> {
        const WHAT: &str = "the list of the target's pods";
        if deployment.replicas == 0 && deployment.pods == 0 {
            return Ok(Vec::new());
        }
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        // From the API server's own cache, which may be as old as a watch.
        let params = ListParams::default().labels(&deployment.selector).match_any();
        let _turn = self.turns.acquire().await;
        let list = bounded(WHAT, pods.list(&params)).await?;
        Ok(list.items.iter().filter_map(|pod| PodView::of(pod, &deployment.name)).collect())
    }

    /// Asks the queue for its length, which may not have answered the last time, and `workers` what they are doing, all
    /// at once.
    pub async fn ask(
        &self,
        queue_url: &str,
        was_silent: bool,
        soon: Duration,
        fleet: &FleetClient,
        workers: Vec<Ask<WorkerId>>,
    ) -> Answers {
        let queue_asked_at = self.clock.now();
        let workers_asked_at = queue_asked_at;
        let silent: BTreeSet<WorkerId> =
            workers.iter().filter(|ask| ask.was_silent).map(|ask| ask.key.clone()).collect();
        let queue = async {
            let depth = self.depth(queue_url, was_silent, soon).await;
            (depth, self.clock.now().since(queue_asked_at))
        };
        let ((queue, queue_took), answers) = tokio::join!(queue, fleet.ask_all(workers));
        let mut met = None;
        let workers = answers
            .into_iter()
            .filter(|(id, answer)| !matches!(answer, Err(FleetError::NoTurn(_)) if silent.contains(id)))
            .map(|(id, answer)| {
                if let Err(error) = &answer {
                    tracing::debug!(worker = %id, %error, "no answer");
                    met.get_or_insert_with(|| error.to_string());
                }
                (id, answer.ok())
            })
            .collect();
        Answers { queue, queue_took: queue_took.into(), queue_asked_at, workers, met, workers_asked_at }
    }

    async fn depth(&self, url: &str, was_silent: bool, soon: Duration) -> Result<QueueDepth, QueueError> {
        let ask = async {
            let _turn = self.queue_turns.take(was_silent).await;
            self.sqs.queue(url)?.depth(soon).await
        };
        tokio::time::timeout(QUEUE_TIMEOUT, ask).await.unwrap_or_else(|_| {
            Err(QueueError::Unreachable {
                queue: url.to_owned(),
                detail: format!("no answer within {QUEUE_TIMEOUT:?}"),
            })
        })
    }
}
