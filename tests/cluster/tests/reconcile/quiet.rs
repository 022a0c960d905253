//! While nothing changes nothing is written.

use std::time::Duration;

use serde_json::json;

use reelpool_cluster::Fault;

use crate::place::Place;

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_written_while_nothing_changes() {
    let place = Place::new("quiet").await;
    let operator = place.lead();
    for pool in ["busy", "empty", "sick"] {
        place.make(pool, json!({})).await;
    }
    place.send_held("busy", 3);
    place.busy(3).await;
    // An answer that differs each time, as SQS's own do by the ids of their requests.
    place.proxy.spoil("sick", Fault::Fails);
    place.told("sick", "QueueReachable", "False", "QueueUnreachable").await;
    place.is_well("busy").await;
    place.is_well("empty").await;
    // The counts of workers are told some seconds after they stopped moving.
    place
        .eventually("the status tells of three busy workers", async || {
            place.status("busy").await.workers.is_some_and(|workers| workers.busy == 3)
        })
        .await;
    let versions = async || {
        let mut versions = Vec::new();
        for pool in ["busy", "empty", "sick"] {
            versions.push(place.pools().get(pool).await.unwrap().metadata.resource_version);
        }
        versions
    };
    // The last of what was under way.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (before, writes) = (versions().await, place.all_writes().len());
    let (asked, events) = (place.proxy.requests("busy"), place.events("busy").await.len());
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(versions().await, before, "a pool was written");
    let later = place.all_writes();
    assert_eq!(later.len(), writes, "written while nothing changed: {:#?}", &later[writes..]);
    assert_eq!(place.events("busy").await.len(), events);
    let looks = place.proxy.requests("busy") - asked;
    assert!(looks >= 5, "the operator looked {looks} times only: it sleeps");
    assert!(operator.is_ready());

    // One event for each change of the target, each with its reason in words.
    place.send_held("busy", 2);
    place.busy(5).await;
    place.crowd.release();
    place.reaches("busy", 0).await;
    place.event("busy", "ScaledIn").await;
    let notes = place.notes("busy").await;
    let scaled: Vec<&str> = notes
        .iter()
        .filter(|(reason, _)| reason.starts_with("Scaled"))
        .map(|(_, note)| note.as_str())
        .collect();
    let numbers = place.replicas.of("busy-workers").numbers();
    assert_eq!(numbers[..3], [0, 3, 5]);
    assert_eq!(scaled.len(), numbers.len() - 1, "{notes:#?}");
    for (pair, note) in numbers.windows(2).zip(&scaled) {
        assert!(note.starts_with(&format!("{} to {} workers: ", pair[0], pair[1])), "{note}");
    }
    place.nobody_was_interrupted();
    operator.assert_sound();
}
