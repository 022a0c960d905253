use super::*;
use clap::Parser;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// A server that is not ready for the first `bad` questions. Returns its URL and how often it was asked.
async fn server(bad: u32) -> (Uri, Arc<AtomicU32>) {
    let asked = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&asked);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://localhost:{}/readyz", listener.local_addr().unwrap().port());
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            assert!(stream.read(&mut request).await.unwrap() > 0);
            let well = counter.fetch_add(1, Ordering::Relaxed) >= bad;
            let (status, body) = if well {
                ("200 OK", "ready\n")
            } else {
                ("503 Service Unavailable", "pools: they have not been listed yet\n")
            };
            let head =
                format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
            stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
        }
    });
    (url.parse().unwrap(), asked)
}

#[tokio::test]
async fn it_asks_until_the_answer_is_good() {
    let (url, asked) = server(2).await;
    assert_eq!(probe(&url, 60, Duration::from_millis(1)).await.unwrap(), "ready\n");
    assert_eq!(asked.load(Ordering::Relaxed), 3);
}

#[tokio::test]
async fn what_was_said_last_is_told_when_the_time_is_over() {
    let (url, _) = server(u32::MAX).await;
    let error = probe(&url, 1, Duration::from_millis(50)).await.unwrap_err();
    let said = error.to_string();
    let wanted = "was not well within 1 s: it answered 503 Service Unavailable: pools: they have not been listed yet: see its log";
    assert!(said.contains(wanted), "{said}");
    assert_eq!(error.category(), "not_well");
}

#[tokio::test]
async fn nobody_there_is_told_too() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/readyz", listener.local_addr().unwrap()).parse().unwrap();
    drop(listener);
    let said = probe(&url, 1, Duration::from_secs(1)).await.unwrap_err().to_string();
    assert!(said.contains("Connection refused"), "{said}");
}

#[test]
fn it_asks_for_a_second_at_least_and_a_day_at_most() {
    let read = |within| {
        let line = ["reelpool", "probe", "--within", within, "http://127.0.0.1:1"];
        crate::args::Args::try_parse_from(line)
    };
    for wrong in ["0", "86401", "18446744073709551615"] {
        let said = crate::args::one_line(&read(wrong).expect_err(wrong));
        assert!(said.contains("is not in 1..=86400"), "{said}");
    }
    read("86400").unwrap();
}

#[test]
fn only_plain_http_is_asked() {
    for wrong in ["https://a/readyz", "a:8080/readyz", "/readyz", "http://"] {
        crate::args::Args::try_parse_from(["reelpool", "probe", wrong]).expect_err(wrong);
    }
}
