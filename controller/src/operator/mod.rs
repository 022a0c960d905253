//! The Kubernetes shell: one pass after another over each pool, around the same decision as everywhere else.
//!
//! A pass ([`mod@pass`]) observes ([`observe`]), validates ([`mod@validate`]), decides (`reelpool-core`), plans
//! ([`mod@plan`]), applies ([`apply`]) and tells ([`status`]). Reads only in the first, writes only in the last two, no
//! choices in the last two. When to pass next is the decision's own word; a change of the pool or of its Deployment
//! makes it earlier.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{self, BoxFuture, Either, Shared};
use futures::{FutureExt, Stream, StreamExt};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::core::DeserializeGuard;
use kube::runtime::controller::{self, Action, Config as ControllerConfig};
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::{Controller, WatchStreamExt, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use reelpool_api::{POOL_LABEL, WorkerPool};
use reelpool_aws::Patience;
use tokio::sync::Semaphore;

pub mod apply;
pub mod backoff;
pub mod build;
pub mod condemned;
pub mod contest;
pub mod context;
pub mod deployment;
pub mod drain_key;
pub mod environment;
pub mod error;
pub mod events;
pub mod marks;
pub mod members;
pub mod observe;
pub mod overlay;
pub mod pass;
pub mod peers;
pub mod plan;
pub mod pods;
pub mod queue_turns;
pub mod rights;
pub mod state;
pub mod status;
pub mod unasked;
pub mod unreadable;
pub mod validate;

use context::{Context, Pools};
use drain_key::DrainKey;
pub use error::OperatorError;
use events::Events;
use observe::Observer;
use peers::Peers;
use queue_turns::QueueTurns;
use rights::Rights;
use unreadable::Unreadable;
use validate::Defaults;

use crate::args::operator::OperatorOptions;
use crate::clock::Clock;
use crate::decisions::{DEFAULT_TOTAL_BYTES, DecisionLog, Decisions};
use crate::fleet::FleetClient;
use crate::http::{self, Health};
use crate::lease::{self, Leadership, LeaseConfig};
use crate::metrics::{Metrics, PoolName};
use crate::queue::sqs::SqsService;
use crate::said::said;
use crate::signals::Signals;

/// A pool as the API server has it: one that cannot be read stops nobody else's.
type Guarded = DeserializeGuard<WorkerPool>;

/// The name under which the sweep beats in [`Health`].
const SWEEP: &str = "sweep";
/// How often pools that are gone are forgotten.
const SWEEP_EVERY: Duration = Duration::from_secs(5);
/// A process whose sweep is silent for so long hangs.
const SWEEP_WITHIN: Duration = Duration::from_secs(60);
/// What readiness waits for.
const CACHES: &str = "caches";
/// How long a question to SQS may take, a try and all of them: well within the age at which a sample is stale.
const PATIENCE: Patience = Patience { attempt: Duration::from_secs(3), call: Some(Duration::from_secs(6)) };

/// Runs the operator until it is told to stop, or does not lead any more.
pub async fn run(options: OperatorOptions) -> Result<(), OperatorError> {
    let mut signals = Signals::listen().map_err(OperatorError::Signals)?;
    let mut config = kube::Config::infer().await.map_err(|error| OperatorError::NoCluster(said(&error)))?;
    // A write that is sent twice meets its own first half: a conflict that is none.
    config.default_retry = false;
    let api = config.cluster_url.clone();
    let client = Client::try_from(config.clone()).map_err(|error| OperatorError::config(&api, error))?;
    let clock = Clock::start();
    let health = Health::default();
    let metrics = Metrics::new(clock).map_err(|error| OperatorError::setup("make the metrics", error))?;
    let log = options.log_decisions.then(DecisionLog::stdout).transpose();
    let log = log.map_err(|error| OperatorError::setup("start the log of decisions", error))?;
    let decisions = Arc::new(Decisions::new(options.decisions, DEFAULT_TOTAL_BYTES, log));
    health.wait_for(CACHES, "the pools, Deployments and pods have not been read yet");
    let server = http::serve(options.listen, health.clone(), metrics.clone(), Arc::clone(&decisions))
        .await
        .map_err(|source| OperatorError::Listen { address: options.listen, source })?;

    let run = async {
        is_installed(&client, options.watch_namespace.as_deref())
            .await
            .map_err(|error| OperatorError::first(&api, error))?;
        let leadership = lead(&options, config, &health).await?;
        let rights = leadership.as_ref().map_or(Rights::Sole, |leads| Rights::Lease(leads.validity()));
        Ok::<_, OperatorError>((leadership, rights))
    };
    let (leadership, rights) = match future::select(pin!(run), pin!(signals.next())).await {
        Either::Left((led, _)) => led?,
        Either::Right(((), _)) => return Ok(()),
    };
    metrics.leads(true);
    tracing::info!(identity = options.identity, "this operator leads");

    let passes = async {
        let pools = Controller::new(
            scope::<Guarded>(&client, options.watch_namespace.as_deref()),
            watcher::Config::default().streaming_lists(),
        );
        let peers = Peers::new(pools.store());
        let made = context(&options, client, rights, metrics, decisions, clock, peers);
        let context = match future::select(pin!(made), pin!(signals.next())).await {
            Either::Left((made, _)) => made?,
            Either::Right(((), _)) => return Ok(()),
        };
        watch_over(pools, context, &health, async move {
            signals.next().await;
            tracing::info!("told to stop: passes that run are finished");
        })
        .await;
        Ok::<(), OperatorError>(())
    };
    let ended = while_leading(Box::pin(passes), leadership).await;
    drop(server);
    ended
}

/// Passes until they end, however they end, and hands the leadership back then; or until it is lost.
async fn while_leading(
    passes: impl Future<Output = Result<(), OperatorError>>,
    leadership: Option<Leadership>,
) -> Result<(), OperatorError> {
    let lost = async {
        match &leadership {
            Some(leadership) => leadership.lost().await,
            None => future::pending().await,
        }
    };
    let ended = match future::select(pin!(passes), pin!(lost)).await {
        Either::Left((ended, _)) => ended,
        // What this process knows may be out of date: it starts anew.
        Either::Right((error, _)) => return Err(error.into()),
    };
    if let Some(leadership) = leadership {
        leadership.release().await;
    }
    ended
}

/// Waits until this process leads; `None`: leader election is off.
async fn lead(
    options: &OperatorOptions,
    config: kube::Config,
    health: &Health,
) -> Result<Option<Leadership>, OperatorError> {
    if !options.leader_election {
        health.set_role(http::Role::Leader);
        return Ok(None);
    }
    let server = config.cluster_url.clone();
    let client = lease::client(config).map_err(|error| OperatorError::config(&server, error))?;
    let lease = LeaseConfig {
        client,
        namespace: options.namespace.clone(),
        name: options.lease_name.clone(),
        identity: options.identity.clone(),
        timing: options.lease_timing,
        health: health.clone(),
    };
    Ok(Some(lease::acquire(lease).await?))
}

/// Asks whether the API server knows WorkerPools, and this operator may read them.
async fn is_installed(client: &Client, namespace: Option<&str>) -> kube::Result<()> {
    let pools: Api<Guarded> = scope(client, namespace);
    pools.list(&ListParams::default().limit(1)).await.map(|_| ())
}

fn scope<K>(client: &Client, namespace: Option<&str>) -> Api<K>
where
    K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>,
{
    match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    }
}

async fn context(
    options: &OperatorOptions,
    client: Client,
    rights: Rights,
    metrics: Metrics,
    decisions: Arc<Decisions>,
    clock: Clock,
    peers: Peers,
) -> Result<(Context, Watches), OperatorError> {
    let key = DrainKey::load(client.clone(), &options.namespace, &options.drain_key_secret).await?;
    let (deployments, watch_deployments) =
        cache(&client, options.watch_namespace.as_deref(), watcher::Config::default(), deployment::trim);
    let of_pools = watcher::Config::default().labels(POOL_LABEL);
    let (pods, watch_pods) = cache(&client, options.watch_namespace.as_deref(), of_pools, pods::trim);
    let turns = Arc::new(Semaphore::new(apply::REQUESTS_AT_ONCE));
    let context = Context {
        observer: Observer {
            client: client.clone(),
            turns: Arc::clone(&turns),
            deployments,
            pods,
            sqs: SqsService::connect(options.endpoint_url.as_deref(), PATIENCE).await,
            queue_turns: QueueTurns::new(options.queue_reads_at_once),
            clock,
        },
        // Each pool has a token of its own.
        fleet: FleetClient::new(""),
        key,
        defaults: Defaults {
            worker_image: options.worker_image.clone(),
            endpoint_url: options.endpoint_url.clone(),
            drain_token_sha256: String::new(),
            log_format: options.log_format,
        },
        events: Events::new(client.clone(), &options.identity),
        client,
        turns,
        metrics,
        decisions,
        rights,
        clock,
        peers,
        pools: Pools::default(),
        unreadable: Unreadable::default(),
    };
    Ok((context, Watches { deployments: watch_deployments, pods: watch_pods }))
}

/// The streams that fill the caches.
struct Watches {
    deployments: futures::stream::BoxStream<'static, watcher::Result<watcher::Event<Deployment>>>,
    pods: futures::stream::BoxStream<'static, watcher::Result<watcher::Event<Pod>>>,
}

fn cache<K>(
    client: &Client,
    namespace: Option<&str>,
    config: watcher::Config,
    trim: fn(&mut K),
) -> (Store<K>, futures::stream::BoxStream<'static, watcher::Result<watcher::Event<K>>>)
where
    K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned
        + Send
        + Sync
        + 'static,
{
    let (store, writer) = reflector::store();
    let watch =
        watcher(scope::<K>(client, namespace), config.streaming_lists()).default_backoff().modify(trim);
    (store, reflector::reflector(writer, watch).boxed())
}

/// Passes over the pools until `stop`; those that run then are finished.
async fn watch_over(
    pools: Controller<Guarded>,
    (context, watches): (Context, Watches),
    health: &Health,
    stop: impl Future<Output = ()> + Send + 'static,
) {
    let context = Arc::new(context);
    let stop = stop.boxed().shared();
    let Watches { deployments, pods } = watches;
    let pods = pods.for_each(|seen| async move {
        if let Err(error) = seen {
            tracing::warn!(error = %said(&error), "pods cannot be watched");
        }
    });
    let controller = pools
        .with_config(ControllerConfig::default())
        .reconcile_on(pools_of(deployments))
        .graceful_shutdown_on(stop.clone());
    let known = controller.store();
    let filled = filled(&context, health, stop.clone());
    let passes = {
        let context = Arc::clone(&context);
        let filled = filled.clone();
        // No pass before all caches are filled: absence means something to it.
        let controller = controller.run(
            move |pool: Arc<Guarded>, context: Arc<Context>| {
                let filled = filled.clone();
                async move {
                    if !filled.await {
                        return Ok(Action::requeue(Duration::from_secs(1)));
                    }
                    Ok::<_, std::convert::Infallible>(one(&pool, &context).await)
                }
            },
            |_, never, _| match *never {},
            context,
        );
        controller.for_each(|ended| async move {
            if let Err(controller::Error::QueueError(error)) = ended {
                tracing::warn!(error = %said(&error), "WorkerPools cannot be watched");
            }
        })
    };
    let sweep = sweep(&context, &known, filled, stop, health);
    health.expect(SWEEP, SWEEP_WITHIN);
    // Pods are watched for ever; the sweep ends only where there is nothing that the passes could finish.
    future::select(pin!(passes), pin!(future::select(pin!(pods), pin!(sweep)))).await;
    health.retire(SWEEP);
}

/// Waits until the caches are filled; false: they never will be, or not before `stop`. A store wakes only the last of
/// those that wait for it, so one waits for all.
fn filled(
    context: &Context,
    health: &Health,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Shared<BoxFuture<'static, bool>> {
    let (deployments, pods) = (context.observer.deployments.clone(), context.observer.pods.clone());
    let health = health.clone();
    let both = async move {
        let both =
            async { deployments.wait_until_ready().await.is_ok() && pods.wait_until_ready().await.is_ok() };
        let filled = unless(stop, both).await;
        if filled {
            health.ready(CACHES);
        }
        filled
    };
    both.boxed().shared()
}

/// What `wait` comes to; false when `stop` comes first.
async fn unless(stop: impl Future<Output = ()>, wait: impl Future<Output = bool>) -> bool {
    match future::select(pin!(wait), pin!(stop)).await {
        Either::Left((came, _)) => came,
        Either::Right(((), _)) => false,
    }
}

async fn one(pool: &Guarded, context: &Context) -> Action {
    match &pool.0 {
        Ok(pool) => {
            context.unreadable.can_be_read(pool);
            Action::requeue(pass::pass(pool, context).await)
        }
        Err(pool) => unreadable::tell(pool, context).await,
    }
}

/// Forgets the pools that are gone, now and then. Ends when `stop` comes before all is read: no pass has begun then, and
/// passes that never begin would be waited for.
async fn sweep(
    context: &Context,
    known: &Store<Guarded>,
    filled: impl Future<Output = bool>,
    stop: impl Future<Output = ()>,
    health: &Health,
) {
    let read = async {
        // Where there is no pool nobody else waits for it.
        unless(stop, async { known.wait_until_ready().await.is_ok() }).await && filled.await
    };
    // It goes round while it waits, too: that nothing can be read is for readiness to tell, and no restart mends it.
    let beats = async {
        loop {
            tokio::time::sleep(SWEEP_EVERY).await;
            health.beat(SWEEP);
        }
    };
    if !matches!(future::select(pin!(read), pin!(beats)).await, Either::Left((true, _))) {
        return;
    }
    loop {
        tokio::time::sleep(SWEEP_EVERY).await;
        health.beat(SWEEP);
        let exists = |pool: &ObjectRef<WorkerPool>| {
            let namespace = pool.namespace.clone().unwrap_or_default();
            known.get(&ObjectRef::new(&pool.name).within(&namespace)).is_some()
        };
        for gone in context.pools.forget(exists) {
            let name = PoolName::new(gone.namespace.unwrap_or_default(), gone.name);
            context.metrics.forget(&name);
            context.decisions.forget(&name);
        }
        context.unreadable.forget(exists);
    }
}

/// The pools whose own Deployment was changed or deleted. That pods come and go does not count.
fn pools_of(
    deployments: impl Stream<Item = watcher::Result<watcher::Event<Deployment>>> + Send + 'static,
) -> impl Stream<Item = ObjectRef<Guarded>> + Send + 'static {
    let mut generations: HashMap<String, i64> = HashMap::new();
    deployments.filter_map(move |seen| {
        let changed = match seen {
            Ok(watcher::Event::Apply(deployment) | watcher::Event::InitApply(deployment)) => {
                let generation = deployment.metadata.generation.unwrap_or(0);
                let before = generations.insert(deployment.uid().unwrap_or_default(), generation);
                (before != Some(generation)).then_some(deployment)
            }
            Ok(watcher::Event::Delete(deployment)) => {
                generations.remove(&deployment.uid().unwrap_or_default());
                Some(deployment)
            }
            Ok(watcher::Event::Init | watcher::Event::InitDone) => None,
            Err(error) => {
                tracing::warn!(error = %said(&error), "Deployments cannot be watched");
                None
            }
        };
        future::ready(changed.and_then(|deployment| {
            let owner = deployment.owner_references().iter().find(|owner| owner.kind == "WorkerPool")?;
            Some(ObjectRef::new(&owner.name).within(&deployment.namespace().unwrap_or_default()))
        }))
    })
}

#[cfg(test)]
#[path = "run_tests.rs"]
mod tests;
