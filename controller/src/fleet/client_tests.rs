use std::pin::pin;

use super::*;
use futures::future::Either;
use reelpool_protocol::{WorkerState, status::Totals};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

fn status() -> WorkerStatus {
    WorkerStatus {
        worker: "w1".into(),
        state: WorkerState::Idle,
        state_for_ms: 5,
        drained: false,
        drain_lapses_in_ms: None,
        jobs: Vec::new(),
        start_up_ms: None,
        totals: Totals::default(),
    }
}

/// A worker that takes one request, answers with `answer`, and gives the request back.
async fn worker(answer: String) -> (SocketAddr, tokio::task::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let served = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.windows(4).any(|end| end == b"\r\n\r\n") || request.ends_with(b"{") {
            let mut part = [0; 4096];
            let read = stream.read(&mut part).await.unwrap();
            request.extend_from_slice(&part[..read]);
            if read == 0 {
                break;
            }
        }
        stream.write_all(answer.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        String::from_utf8(request).unwrap()
    });
    (address, served)
}

fn response(code: &str, body: &str) -> String {
    format!("HTTP/1.1 {code}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
}

#[tokio::test]
async fn a_drain_shows_the_token_and_a_look_does_not() {
    let client = FleetClient::new("secret");
    let ok = response("200 OK", &serde_json::to_string(&status()).unwrap());
    let (address, served) = worker(ok.clone()).await;
    assert_eq!(client.ask(address, Question::Drain(60)).await.unwrap(), status());
    let request = served.await.unwrap();
    assert!(request.starts_with("POST /v1/drain HTTP/1.1\r\n"), "{request}");
    assert!(request.to_lowercase().contains("authorization: bearer secret\r\n"), "{request}");

    let (address, served) = worker(ok.clone()).await;
    client.ask(address, Question::Status).await.unwrap();
    let request = served.await.unwrap();
    assert!(request.starts_with("GET /v1/status HTTP/1.1\r\n"), "{request}");
    assert!(!request.contains("secret"), "{request}");

    let (address, served) = worker(ok).await;
    client.ask(address, Question::Undrain).await.unwrap();
    assert!(served.await.unwrap().starts_with("DELETE /v1/drain HTTP/1.1\r\n"));
    assert!(!format!("{client:?}").contains("secret"));
}

#[tokio::test]
async fn a_drain_that_came_too_late_is_an_answer() {
    let (address, _served) =
        worker(response("409 Conflict", &serde_json::to_string(&status()).unwrap())).await;
    assert_eq!(FleetClient::new("secret").ask(address, Question::Drain(1)).await.unwrap(), status());
}

#[tokio::test]
async fn what_is_no_status_is_an_error() {
    let client = FleetClient::new("secret");
    let (address, _served) = worker(response("403 Forbidden", "no token")).await;
    let refused = client.ask(address, Question::Drain(1)).await.unwrap_err();
    assert!(matches!(&refused, FleetError::Refused { body, .. } if body == "no token"), "{refused}");
    let (address, _served) = worker(response("200 OK", "{\"worker\":1}")).await;
    let unreadable = client.ask(address, Question::Status).await.unwrap_err();
    assert!(matches!(unreadable, FleetError::Unreadable { .. }), "{unreadable}");
    let (address, _served) = worker(response("200 OK", &"x".repeat(MAX_BODY + 1))).await;
    let endless = client.ask(address, Question::Status).await.unwrap_err();
    assert!(matches!(endless, FleetError::Unreadable { .. }), "{endless}");
}

#[tokio::test]
async fn one_that_is_not_there_or_does_not_answer_is_an_error_in_time() {
    let client = FleetClient::new("secret");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = listener.local_addr().unwrap();
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gone = closed.local_addr().unwrap();
    drop(closed);
    let asked =
        client.ask_all([Ask::new(1, silent, Question::Status), Ask::new(2, gone, Question::Status)]).await;
    assert_eq!(asked.len(), 2);
    for (key, answer) in asked {
        match (key, answer.unwrap_err()) {
            (1, FleetError::Late(address)) => assert_eq!(address, silent),
            (2, FleetError::Unreachable { address, .. }) => assert_eq!(address, gone),
            (key, other) => panic!("{key}: {other}"),
        }
    }
}

#[tokio::test]
async fn a_fleet_that_does_not_answer_leaves_turns_to_the_others() {
    let client = FleetClient::new("");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = listener.local_addr().unwrap();
    let questions = (0..2 * AT_ONCE).map(|number| Ask::new(number, silent, Question::Status));
    let sick = client.with_token("sick");
    let mut sick = pin!(sick.ask_all(questions));
    assert!(tokio::time::timeout(Duration::from_millis(100), &mut sick).await.is_err(), "it hangs");
    let (address, _served) = worker(response("200 OK", &serde_json::to_string(&status()).unwrap())).await;
    let well = client.with_token("well");
    let well = pin!(well.ask_all([Ask::new((), address, Question::Status)]));
    match futures::future::select(sick, well).await {
        Either::Left(_) => panic!("it waited for all of those that hang"),
        Either::Right((answers, _)) => assert!(answers[0].1.is_ok()),
    }
}

#[tokio::test]
async fn a_round_ends_in_time_however_many_hang_and_the_silent_keep_nobody_waiting() {
    let client = FleetClient::new("");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hangs = listener.local_addr().unwrap();
    let (answers, _served) = worker(response("200 OK", &serde_json::to_string(&status()).unwrap())).await;
    let silent = |key| Ask { was_silent: true, ..Ask::new(key, hangs, Question::Status) };
    let questions = (0..1000).map(silent).chain([Ask::new(1000, answers, Question::Status)]);
    let start = std::time::Instant::now();
    let mut asked = client.ask_all(questions).await;
    assert!(start.elapsed() < 2 * (TURN_WITHIN + TIMEOUT), "{:?}", start.elapsed());
    asked.sort_by_key(|(key, _)| *key);
    assert_eq!(asked.len(), 1001);
    assert!(asked[1000].1.is_ok());
    let no_turn = asked.iter().filter(|(_, answer)| matches!(answer, Err(FleetError::NoTurn(_)))).count();
    assert!(no_turn > 1000 / 2, "{no_turn}");
}

#[tokio::test]
async fn an_answer_from_another_is_none() {
    let client = FleetClient::new("");
    let mut asked = Vec::new();
    for name in ["w1", "w2"] {
        let (address, _served) = worker(response("200 OK", &serde_json::to_string(&status()).unwrap())).await;
        let ask = Ask { name: Some(name.to_owned()), ..Ask::new((), address, Question::Status) };
        asked.extend(client.ask_all([ask]).await);
    }
    assert!(asked[0].1.is_ok());
    assert!(matches!(&asked[1].1, Err(FleetError::Another { other, .. }) if other == "w1"));
}

#[test]
fn questions_that_end_with_their_runtime_are_left_out() {
    let client = FleetClient::new("");
    let ask = Ask::new("a", "127.0.0.1:9".parse().unwrap(), Question::Status);
    let mut asked = pin!(client.ask_all([ask]));
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let ended = runtime();
    {
        let _in = ended.enter();
        let mut nobody = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(asked.as_mut().poll(&mut nobody).is_pending());
    }
    drop(ended);
    assert!(runtime().block_on(asked).is_empty());
}
