use super::*;
use std::os::unix::fs::PermissionsExt;
use std::time::SystemTime;

/// A program that is this shell script.
fn program(dir: &Path, script: &str) -> Program {
    let path = dir.join("worker.sh");
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    Program { path, arguments: vec!["run".into()], token: "secret".into(), logs: dir.to_path_buf() }
}

/// Starts it; a script that was just written may still be open in a child that another test is starting.
async fn run(program: &Program, news: &mpsc::Sender<(WorkerId, News)>) -> Process {
    loop {
        match start(program, &WorkerId::from("w1"), news.clone()) {
            Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy => tokio::task::yield_now().await,
            started => return started.unwrap(),
        }
    }
}

async fn next(news: &mut mpsc::Receiver<(WorkerId, News)>) -> News {
    let (id, news) = tokio::time::timeout(Duration::from_secs(20), news.recv()).await.unwrap().unwrap();
    assert_eq!(id.as_str(), "w1");
    news
}

#[tokio::test]
async fn the_worker_reads_the_profile() {
    let dir = tempfile::tempdir().unwrap();
    let ask = async |script: &str, said: &str| {
        let program = program(dir.path(), script);
        loop {
            match profile(&program.path, said).await {
                Err(UpError::WorkerProgram { source, .. })
                    if source.kind() == io::ErrorKind::ExecutableFileBusy =>
                {
                    tokio::task::yield_now().await;
                }
                answer => return answer.map_err(|error| error.to_string()),
            }
        }
    };
    let script = r#"test "$*" = "profile -- my own.yaml" && echo '{"poster":false}'"#;
    let expected = Profile::from_json(r#"{"poster":false}"#).unwrap();
    assert_eq!(ask(script, "my own.yaml").await, Ok(expected));
    let refused = ask("echo 'error: the profile x: no' >&2; exit 2", "x").await;
    assert_eq!(refused, Err("the profile x: no".to_owned()));
    let other = ask("echo h264", "x").await.unwrap_err();
    assert!(other.contains("cannot be used (the profile: expected JSON"), "{other}");
}

#[tokio::test]
async fn events_are_heard_in_order_before_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let script = r#"
        echo '{"event":"listening","address":"127.0.0.1:80"}'
        echo 'not an event'
        test "$1" = run && test "$2" = --worker-id && test "$3" = w1 || exit 9
        test "$REELPOOL_DRAIN_TOKEN" = secret || exit 8
        echo 'a log line' >&2
        echo 'error: ffmpeg was not found: install it' >&2
        echo '{"event":"job_ended","job_id":null,"source":null,"outcome":{"outcome":"handed_back"},"held_for_ms":7}'
        exit 1"#;
    let program = program(dir.path(), script);
    let (sender, mut news) = mpsc::channel(8);
    let _process = run(&program, &sender).await;
    assert!(matches!(next(&mut news).await, News::Said(WorkerEvent::Listening { .. })));
    assert!(matches!(next(&mut news).await, News::Said(WorkerEvent::JobEnded { held_for_ms: 7, .. })));
    let News::Ended(ended) = next(&mut news).await else { panic!("expected the end") };
    assert_eq!((ended.code, ended.signal), (Some(1), None));
    assert_eq!(ended.error.as_deref(), Some("ffmpeg was not found: install it"));
    assert_eq!(ended.how(), "ended with exit code 1");
}

#[tokio::test]
async fn signals_reach_the_worker_and_dropping_it_kills_it() {
    let dir = tempfile::tempdir().unwrap();
    let script = r#"
        trap 'exit 7' TERM
        echo '{"event":"listening","address":"127.0.0.1:80"}'
        while :; do sleep 0.02; done"#;
    let program = program(dir.path(), script);
    let (sender, mut news) = mpsc::channel(8);
    let process = run(&program, &sender).await;
    assert!(matches!(next(&mut news).await, News::Said(_)));
    process.signal(Signal::TERM);
    let News::Ended(ended) = next(&mut news).await else { panic!("expected the end") };
    assert_eq!(ended.code, Some(7));
    process.signal(Signal::TERM);

    let process = run(&program, &sender).await;
    assert!(matches!(next(&mut news).await, News::Said(_)));
    drop(process);
    let News::Ended(ended) = next(&mut news).await else { panic!("expected the end") };
    assert_eq!(ended.signal, Some(9));
}

#[test]
fn the_newest_logs_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    for age in 1..=5_u64 {
        let file = File::create(dir.path().join(format!("w{age}.log"))).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(age * 60)).unwrap();
    }
    fs::write(dir.path().join("note.txt"), "mine").unwrap();
    prune_logs(dir.path(), 2).unwrap();
    let mut left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["note.txt", "w1.log", "w2.log"]);
}
