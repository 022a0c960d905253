use super::*;
use crate::fleet::report::tests::status;
use crate::local::fakes::{self, Answerer};
use async_trait::async_trait;
use reelpool_core::{Millis, WorkerState};
use reelpool_protocol::WorkerState as Said;
use std::sync::Mutex;

const SLOW: Duration = Duration::from_millis(50);

/// A queue that takes its time, and remembers when it was asked.
struct SlowQueue {
    clock: Clock,
    asked: Mutex<Vec<Timestamp>>,
}

#[async_trait]
impl QueueLength for SlowQueue {
    async fn depth(&self, _soon: Duration) -> Result<QueueDepth, QueueError> {
        self.asked.lock().unwrap().push(self.clock.now());
        // Longer than any worker takes.
        tokio::time::sleep(4 * SLOW).await;
        Ok(QueueDepth::default())
    }

    fn is_exact(&self) -> bool {
        true
    }

    fn shortest_interval(&self) -> Duration {
        Duration::ZERO
    }
}

#[tokio::test]
async fn answers_count_from_the_time_before_the_question() {
    let clock = Clock::start();
    let queue = Arc::new(SlowQueue { clock, asked: Mutex::default() });
    let length: Arc<dyn QueueLength> = Arc::clone(&queue) as _;
    let mut observer = Observer::new(length, FleetClient::new(""), clock);
    let asked = |n: usize| queue.asked.lock().unwrap()[n];
    observer.first(Duration::ZERO).await.unwrap();
    let Some(Sample::Known { observed_at, .. }) = observer.last else { panic!("it was seen") };
    assert!(observed_at <= asked(0));

    let mut drained = status(Said::Draining, Vec::new(), true);
    drained.drain_lapses_in_ms = Some(60_000);
    let answerer = Answerer::start(&drained, clock, SLOW).await;
    let dir = tempfile::tempdir().unwrap();
    let (mut fleet, ids, _news) = fakes::fleet(dir.path(), 1, clock.now());
    fleet.get_mut(&ids[0]).unwrap().address = Some(answerer.address);
    let seen = observer.look(&fleet).await;
    let (observation, _) = observer.take(seen, &mut fleet);
    let Sample::Known { observed_at, .. } = observation.queue else { panic!("it was seen") };
    assert!(observed_at <= asked(1));

    let Sample::Known { value: workers, observed_at } = observation.workers else { panic!("it was seen") };
    assert!(observed_at <= answerer.first_asked());
    // Ages are as told: the time that the answers took makes nobody look idle for longer.
    assert_eq!(observed_at.since(workers[0].since), Millis::new(drained.state_for_ms));
    // What is left of the drain is never too much, however slow the queue was.
    let now = clock.now();
    let left = fleet.known(now)[0].drain_left.unwrap();
    assert!(left <= Millis::new(60_000).minus(now.since(answerer.first_asked())), "{left}");
}

#[tokio::test]
async fn one_without_an_answer_is_silent_and_one_without_an_address_too() {
    let clock = Clock::start();
    let queue = Arc::new(SlowQueue { clock, asked: Mutex::default() });
    let observer = Observer::new(queue, FleetClient::new(""), clock);
    let dir = tempfile::tempdir().unwrap();
    let (mut fleet, ids, _news) = fakes::fleet(dir.path(), 3, clock.now());
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    fleet.get_mut(&ids[0]).unwrap().address = Some(gone);
    let seen = observer.look_at_workers(&fleet).await;
    // This one tells its address in the meantime.
    fleet.get_mut(&ids[2]).unwrap().address = Some(gone);
    observer.take_workers(seen, &mut fleet);
    let questions: Vec<_> =
        fleet.members.iter().map(|m| m.silence.map(|silence| silence.questions)).collect();
    assert_eq!(questions, [Some(1), Some(1), None]);
    let states: Vec<_> = fleet.observations().into_iter().map(|worker| worker.state).collect();
    assert_eq!(states, [WorkerState::Unreachable, WorkerState::Starting, WorkerState::Starting]);
}
