//! The API server is killed and comes back while messages flow.

use std::time::{Duration, Instant};

use reelpool_cluster::{Behaviour, Operator, OperatorSettings};
use serde_json::json;

use crate::place::{Place, World};

/// Two operators that are started again when they end, as a kubelet does.
struct Supervised<'a> {
    place: &'a Place<'a>,
    operators: [(OperatorSettings, Operator); 2],
    restarts: usize,
}

impl<'a> Supervised<'a> {
    fn start(place: &'a Place<'a>) -> Self {
        let operators = ["a", "b"].map(|name| {
            let settings = place.operator(name);
            (settings.clone(), Operator::start(place.plane, settings))
        });
        let mut this = Self { place, operators, restarts: 0 };
        this.wait_for_leader();
        this
    }

    fn look_after(&mut self) {
        for (settings, operator) in &mut self.operators {
            if !operator.daemon().runs() {
                *operator = Operator::start(self.place.plane, settings.clone());
                self.restarts += 1;
            }
        }
    }

    fn leads(&self) -> usize {
        self.operators.iter().filter(|(_, operator)| operator.leads()).count()
    }

    fn wait_for_leader(&mut self) {
        let start = Instant::now();
        while self.leads() != 1 {
            assert!(start.elapsed() < crate::place::SOON, "{} lead", self.leads());
            self.look_after();
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_server_dies_under_load_and_nobody_notices_but_the_operator() {
    let start = Instant::now();
    let world = tokio::task::spawn_blocking(World::start).await.unwrap();
    let place = Place::on(&world, "outage", Behaviour::default(), start).await;
    let mut supervised = tokio::task::block_in_place(|| Supervised::start(&place));
    place.make("cats", json!({"maxWorkers": 12})).await;

    let mut sent = 0;
    let mut send_for = async |time: Duration, supervised: &mut Supervised| {
        let start = Instant::now();
        while start.elapsed() < time {
            place.send("cats", 1);
            sent += 1;
            tokio::task::block_in_place(|| supervised.look_after());
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    };
    send_for(Duration::from_secs(8), &mut supervised).await;
    let before = place.crowd.report().done;
    assert!(before > 0, "no load");

    world.plane.kill_api_server();
    send_for(Duration::from_secs(6), &mut supervised).await;
    let during = place.crowd.report();
    assert!(during.done > before, "the workers need no API server");
    tokio::task::block_in_place(|| world.plane.start_api_server());
    let back = Instant::now();
    send_for(Duration::from_secs(8), &mut supervised).await;
    // More than the fleet can do in several looks, however late the first of them is: it follows again.
    place.send("cats", 60);
    sent += 60;
    tokio::task::block_in_place(|| supervised.wait_for_leader());
    place
        .eventually("the operator writes again", async || {
            supervised.look_after();
            place.asked("cats-workers").await == Some(12)
        })
        .await;
    println!(
        "followed again {:?} after the API server came back, {} operators were started anew",
        back.elapsed(),
        supervised.restarts
    );
    place
        .eventually("all is done and the fleet is gone", async || {
            supervised.look_after();
            place.crowd.report().done == sent && place.asked("cats-workers").await == Some(0)
        })
        .await;
    place.nobody_was_interrupted();
    assert!(place.crowd.report().interrupted.is_empty(), "{:#?}", place.crowd.report().interrupted);
    place.is_well("cats").await;
    let leader = supervised.operators.iter().find(|(_, operator)| operator.leads());
    leader.unwrap().1.assert_sound();
}
