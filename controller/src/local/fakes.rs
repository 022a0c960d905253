//! What the tests of this shell put in the place of the real world.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reelpool_core::{Timestamp, WorkerId};
use reelpool_protocol::WorkerStatus;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::fleet::LocalFleet;
use super::process::{self, News, Program};
use crate::clock::Clock;

/// A worker's program that does nothing: the shell takes the options that follow as its own.
pub fn program(logs: &Path) -> Program {
    Program {
        path: "/bin/sh".into(),
        arguments: ["-c", "exec sleep 600"].map(Into::into).to_vec(),
        token: String::new(),
        logs: logs.to_path_buf(),
    }
}

/// A fleet of `n` processes that do nothing.
pub fn fleet(
    logs: &Path,
    n: usize,
    started_at: Timestamp,
) -> (LocalFleet, Vec<WorkerId>, mpsc::Receiver<(WorkerId, News)>) {
    let mut fleet = LocalFleet::new("abc".to_owned());
    let (sender, news) = mpsc::channel(8);
    let mut ids = Vec::new();
    for _ in 0..n {
        let id = fleet.next_id();
        let process = process::start(&program(logs), &id, sender.clone()).unwrap();
        fleet.add(id.clone(), process, started_at);
        ids.push(id);
    }
    (fleet, ids, news)
}

/// Answers every question with one status, slowly.
pub struct Answerer {
    /// Where.
    pub address: SocketAddr,
    /// When each question came.
    pub asked: Arc<Mutex<Vec<Timestamp>>>,
}

impl Answerer {
    pub async fn start(status: &WorkerStatus, clock: Clock, delay: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let body = serde_json::to_string(status).unwrap();
        let answer =
            format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let times = Arc::clone(&asked);
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                times.lock().unwrap().push(clock.now());
                let _ = stream.read(&mut [0; 4096]).await;
                tokio::time::sleep(delay).await;
                let _ = stream.write_all(answer.as_bytes()).await;
                let _ = stream.shutdown().await;
            }
        });
        Self { address, asked }
    }

    pub fn first_asked(&self) -> Timestamp {
        self.asked.lock().unwrap()[0]
    }
}
