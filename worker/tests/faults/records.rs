//! Messages that ask for several jobs.

use reelpool_protocol::Source;

use crate::script::Fault::{Fails, Hangs, IsOvertaken, LosesItsAnswer, LosesTheHold};
use crate::script::Method::{DeadLetter, Fetch, PutIfAbsent};
use crate::script::{Rule, Script};
use crate::worker::{Setup, block_on};
use crate::world::World;
use crate::{End, Scenario, each};

/// A message's two masters, of which one is no video.
type Sources = fn(&World) -> [Source; 2];

const VIDEO_FIRST: Sources = |world| [world.video("clip.mp4"), world.text("notes.mp4")];
const TEXT_FIRST: Sources = |world| [world.text("notes.mp4"), world.video("clip.mp4")];

async fn follow(scenario: &Scenario, sources: Sources) {
    let world = World::new();
    world.send(&sources(&world));
    let script = Script::new(&world, scenario.rules.clone());
    let worker = world.worker("faulty", &scenario.setup, &script);
    let state = worker.state();
    worker.run_until(|| world.is_empty() || state.ends() > 0).await.unwrap();
    world.finish().await;
    script.assert_all_fired();
    world.assert_dead("not_media");
    world.assert_outputs_of_videos();
    world.assert_no_violation();
}

#[test]
fn of_a_video_and_a_text_the_one_is_committed_and_the_message_is_a_dead_letter() {
    block_on(async {
        let healthy = Scenario::new([], End::Hopeless("not_media"));
        follow(&healthy, VIDEO_FIRST).await;
        follow(&healthy, TEXT_FIRST).await;
    });
}

#[test]
fn of_a_text_and_a_video_neither_is_lost_by_a_fault() {
    let with = |rule: Rule| Scenario::new([rule], End::Hopeless("not_media"));
    let scenarios = vec![
        with(Fetch.first(Fails)),
        with(Fetch.nth(2, Fails)),
        with(Fetch.nth(2, LosesTheHold)).short(),
        with(Fetch.nth(2, Hangs)).short(),
        with(Fetch.nth(2, IsOvertaken)),
        with(PutIfAbsent.first(LosesItsAnswer)),
        with(DeadLetter.first(LosesItsAnswer)),
        with(DeadLetter.first(Fails)),
    ];
    each(scenarios, |scenario| block_on(follow(&scenario, TEXT_FIRST)));
}

#[test]
fn of_two_videos_the_one_that_is_done_is_not_done_again() {
    block_on(async {
        let world = World::new();
        world.send(&[world.video("one.mp4"), world.video("two.mp4")]);
        let script = Script::new(&world, vec![Fetch.nth(2, Fails)]);
        let worker = world.worker("faulty", &Setup::default(), &script);
        let state = worker.state();
        worker.run_until(|| world.is_empty()).await.unwrap();
        let totals = state.state.status().totals;
        assert_eq!((totals.committed, totals.retried, totals.already_done), (2, 1, 1), "{world}");
        assert_eq!(script.calls(Fetch), 3, "{world}");
        world.assert_committed();
        world.assert_no_violation();
    });
}
