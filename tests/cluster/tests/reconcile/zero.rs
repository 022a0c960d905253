//! The queue's counts are wrong, as SQS's may be for a minute: nobody is sent home for that.

use std::time::Duration;

use reelpool_cluster::Counts;
use serde_json::json;

use crate::place::Place;
use crate::targets;

/// What the queue says is empty for long enough to send the last worker home, after so long.
const ZERO_AFTER: Duration = Duration::from_secs(6);
const NOTHING: Option<Counts> = Some(Counts { backlog: 0, in_flight: 0 });

#[tokio::test(flavor = "multi_thread")]
async fn promise_4_zero_is_zero_and_is_never_reached_by_mistake() {
    let place = Place::with("zero", |behaviour| "crowd=yes".clone_into(&mut behaviour.selector)).await;
    let operator = place.lead();
    let scaling = json!({"scaleIn": {"zeroAfterSeconds": ZERO_AFTER.as_secs(), "idleSeconds": 1}});
    let label = json!({"metadata": {"labels": {"crowd": "yes"}}});
    place.make("asked", json!({"scaling": scaling, "worker": {"template": label}})).await;
    // Of these nobody knows what they do: the counts are all there is.
    place.theirs("theirs", "unasked", "").await;
    let mut unasked = targets::target(&json!({"name": "theirs"}));
    unasked["scaling"] = scaling;
    place.make("unasked", unasked).await;
    for pool in ["asked", "unasked"] {
        place.is_well(pool).await;
        place.send_held(pool, 3);
    }
    place.busy(6).await;
    let numbers = || ["asked-workers", "theirs"].map(|name| place.replicas.of(name).numbers());
    let all_stay = async || numbers() == [[0, 3], [0, 3]];

    // Every other sample says that there is nothing, and one of four is true.
    for answers in [&[NOTHING, None][..], &[NOTHING, NOTHING, NOTHING, None]] {
        for pool in ["asked", "unasked"] {
            place.sqs.say(&place.sqs.create(pool), answers);
        }
        place.for_all_of(3 * ZERO_AFTER, "three are busy in each", all_stay).await;
    }
    // All say so, for as long as you like: who can be asked is believed, and is busy.
    place.sqs.say(&place.sqs.create("unasked"), &[]);
    place.sqs.say(&place.sqs.create("asked"), &[NOTHING]);
    place.for_all_of(3 * ZERO_AFTER, "three are busy in each", all_stay).await;
    assert_eq!(place.crowd.report().busy, 6);

    // The last idle worker stays while the queue was not seen to be empty all the time.
    for pool in ["asked", "unasked"] {
        let queue = place.sqs.create(pool);
        let one = Some(Counts { backlog: 1, in_flight: 0 });
        place.sqs.say(&queue, &[one, NOTHING, NOTHING, NOTHING]);
        let asked = place.sqs.asked(&queue);
        place.eventually("it said so", async || place.sqs.asked(&queue) > asked + 4).await;
    }
    place.crowd.release();
    place.eventually("all is done", async || place.crowd.report().done == 6).await;
    place
        .for_all_of(3 * ZERO_AFTER, "none is at zero", async || {
            numbers().iter().all(|numbers| numbers.last() > Some(&0))
        })
        .await;

    // Zero is zero, and stays.
    for pool in ["asked", "unasked"] {
        place.sqs.say(&place.sqs.create(pool), &[]);
    }
    place
        .eventually("both are at zero", async || numbers().iter().all(|numbers| numbers.ends_with(&[0])))
        .await;
    place.eventually("nobody is left", async || place.living_pods().await.is_empty()).await;
    let at_zero = numbers();
    place.for_all_of(Duration::from_secs(5), "it stays", async || numbers() == at_zero).await;
    place.nobody_was_interrupted();
    operator.assert_sound();
}
