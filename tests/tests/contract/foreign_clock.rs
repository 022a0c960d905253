//! A store whose clock is decades from ours: a claim's age is the store's to tell.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use aws_config::{BehaviorVersion, Region};
use reelpool_worker::claim::{Claim, Taken};
use reelpool_worker::store::{Outputs, S3Outputs};

/// An S3 in which a claim stands that was written at 00:00:00 on the first day of 2001, and where it is `now` that day.
fn store_of_2001(now: &'static str) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let request = lines.next().unwrap().unwrap();
            // What follows is small: it is not missed.
            let _: Vec<_> = lines.map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
            let body = match request.split(' ').next().unwrap() {
                "GET" if request.contains("list-type=2") => {
                    "<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>a.mp4/1f/attempts/claims/1</Key>\
                     <LastModified>2001-01-01T00:00:00.000Z</LastModified></Contents></ListBucketResult>"
                }
                "GET" => r#"{"attempt":"other","worker":"w","holds_for_ms":60000}"#,
                _ => "",
            };
            write!(
                stream,
                "HTTP/1.1 200 OK\r\nDate: Mon, 01 Jan 2001 {now} GMT\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            )
            .unwrap();
        }
    });
    endpoint
}

async fn taken_at(now: &'static str) -> (Option<Duration>, Taken) {
    let credentials = aws_sdk_sqs::config::Credentials::new("test", "test", None, None, "tests");
    let config = aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(credentials)
        .endpoint_url(store_of_2001(now));
    let outputs = Arc::new(S3Outputs::open(&config.load().await, "renditions", "").await.unwrap());
    let age = outputs.list("a.mp4/1f/attempts/claims/").await.unwrap()[0].age;
    let hold = Duration::from_secs(60);
    let mut claim = Claim::new(outputs, "a.mp4/1f".to_owned(), "mine", "worker", hold);
    (age, claim.take(false).await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_lives_and_lapses_by_the_stores_clock_whatever_the_workers_says() {
    let seconds = Duration::from_secs;
    assert_eq!(taken_at("00:00:20").await, (Some(seconds(20)), Taken::Elsewhere(seconds(40))));
    assert_eq!(taken_at("00:01:00").await, (Some(seconds(60)), Taken::Ours));
    assert_eq!(taken_at("05:00:00").await, (Some(seconds(5 * 3600)), Taken::Ours));
}
