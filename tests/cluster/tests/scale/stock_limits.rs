//! As slow as nearly every cluster: the controller-manager deletes twenty pods in a second, and nothing calls back those
//! that it has chosen.

use std::time::Duration;

use reelpool_cluster::{
    Behaviour, Crowd, HELD, Operator, OperatorSettings, PoolSpec, Pools, Qps, Source, eventually,
};
use serde_json::json;

use crate::world::{NAMESPACE, World};

const DEPLOYMENT: &str = "cattube-workers";
/// Ten times what each step takes on a busy machine of two cores.
const LIMIT: Duration = Duration::from_secs(300);

/// Where the operator is when work returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meanwhile {
    /// It goes on.
    Lives,
    /// It is killed once it has raised the number again, and another follows at once.
    IsKilled,
}

#[tokio::test(flavor = "multi_thread")]
async fn work_that_returns_while_kubernetes_still_deletes_finds_none_of_those_it_takes() {
    work_returns(Meanwhile::Lives).await;
}

/// Nothing but the workers' own drains tells it who had been chosen: there are no more pods than it asks for.
#[tokio::test(flavor = "multi_thread")]
async fn nor_does_it_when_another_operator_finds_them_asleep() {
    work_returns(Meanwhile::IsKilled).await;
}

async fn work_returns(meanwhile: Meanwhile) {
    let world = World::with(Qps::Stock);
    let mut settings = OperatorSettings::at(&world.sqs.endpoint());
    settings.arguments.push("--no-leader-election".to_owned());
    let mut operator = Operator::lead(&world.plane, settings.clone());
    let queue = world.sqs.create("cattube");
    let crowd = Crowd::start(&world.plane, NAMESPACE, Source::Memory(&world.sqs), Behaviour::default());
    let pool = PoolSpec {
        name: "cattube".into(),
        queue: queue.clone(),
        max_workers: 400,
        scaling: json!({"scaleIn": {"zeroAfterSeconds": 3, "idleSeconds": 1}}),
    };
    Pools::create(world.plane.client().await, NAMESPACE, [pool]).await;
    eventually("the pool is Ready", LIMIT, async || world.pools.ready().0 == 1).await;

    world.sqs.send(&queue, 250, HELD);
    eventually("all have a job", LIMIT, async || crowd.report().busy == 250).await;
    crowd.release();
    world.sqs.send(&queue, 60, "40");
    eventually("most have none", LIMIT, async || crowd.report().busy == 60).await;
    eventually("the number goes down", LIMIT, async || {
        world.replicas.of(DEPLOYMENT).numbers().last() < Some(&200)
    })
    .await;
    let left = crowd.report().workers;
    assert!(left > 130, "the step is half done at most: {left} workers");
    crowd.hold();
    world.sqs.send(&queue, 200, HELD);
    if meanwhile == Meanwhile::IsKilled {
        let numbers = || world.replicas.of(DEPLOYMENT).numbers();
        eventually(
            "the number rises",
            LIMIT,
            async || matches!(numbers()[..], [.., before, last] if last > before),
        )
        .await;
        operator.daemon().kill();
        operator = Operator::lead(&world.plane, settings);
    }
    eventually("all that came have a worker", LIMIT, async || crowd.report().busy >= 200).await;
    let interrupted = crowd.report().interrupted;
    assert!(interrupted.is_empty(), "{interrupted:#?}");
    crowd.release();
    eventually("nobody is left", LIMIT, async || crowd.report().workers == 0).await;
    println!("replicas: {:?}", world.replicas.of(DEPLOYMENT).numbers());
    assert_eq!(crowd.report().done, 250 + 60 + 200);
    world.nobody_was_interrupted(&crowd);
    operator.assert_sound();
}
