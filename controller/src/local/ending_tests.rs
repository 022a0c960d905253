use super::super::screen::Screen;
use super::super::setup::Ground;
use super::super::{fakes, process};
use super::*;
use crate::args::{Args, Command, UpOptions};
use crate::clock::Clock;
use crate::fleet::report::tests::{job, status};
use crate::signals::Signals;
use clap::Parser;
use reelpool_protocol::WorkerState as Said;

#[tokio::test]
async fn progress_is_drawn_until_the_last_worker_has_ended() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let (data, worker, done) = (path("data"), path("worker"), path("done"));
    std::fs::write(&worker, "").unwrap();
    let line = ["reelpool", "up", "--data", &data, "--worker", &worker];
    let Command::Up(args) = Args::try_parse_from(line).unwrap().command else { panic!("up was asked for") };
    let options = UpOptions::read(*args, 1).unwrap();
    let mut ground = Ground::prepare(&options).await.unwrap();
    ground.program.path = "/bin/sh".into();
    let clock = Clock::start();
    let busy = status(Said::Busy, vec![job("a.mp4")], false);
    let answerer = fakes::Answerer::start(&busy, clock, Duration::ZERO).await;
    // It finishes its job, which takes until `done` is there.
    let listening = format!(r#"{{"event":"listening","address":"{}"}}"#, answerer.address);
    let script = format!("trap '' TERM; echo '{listening}'; while ! test -e {done}; do sleep 0.02; done");
    ground.program.arguments = ["-c", &script].map(Into::into).to_vec();

    let screen = Screen::unseen_terminal();
    let mut up = Up::new(&options, &ground, &screen, clock, Signals::listen().unwrap());
    let id = up.fleet.next_id();
    let process = process::start(&ground.program, &id, up.hands.news.clone()).unwrap();
    up.fleet.add(id.clone(), process, clock.now());
    let (from, listens) = up.news.recv().await.unwrap();
    up.take(&from, listens).unwrap();

    let asked = std::sync::Arc::clone(&answerer.asked);
    let end_when_asked_twice = async move {
        while asked.lock().unwrap().len() < 2 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        std::fs::write(done, "").unwrap();
    };
    let (at_once, ()) =
        timeout(Duration::from_secs(30), async { tokio::join!(up.stop(), end_when_asked_twice) })
            .await
            .expect("workers that finish are asked how far they are");
    assert!(!at_once && up.fleet.members.is_empty());
    assert_eq!(up.progress.lines(), [(id, 425)]);
}
