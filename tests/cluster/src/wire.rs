//! A wire between one client and a server, that can be cut or go silent: TLS and all pass through it as they are.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::gate::Gate;

/// A way to a server; it ends when this is dropped.
#[derive(Debug)]
pub struct Wire {
    gate: Gate,
    passes: watch::Sender<bool>,
}

impl Wire {
    /// A wire to the server at `https://ADDRESS:PORT`, or `http://`.
    #[must_use]
    pub fn to(server: &str) -> Self {
        let address = server.rsplit('/').next().unwrap_or_default();
        let upstream: SocketAddr = address.parse().unwrap_or_else(|error| panic!("{server}: {error}"));
        let passes = watch::Sender::new(true);
        let gate = Gate::open({
            let passes = Arc::new(passes.clone());
            move |client| {
                let passes = passes.subscribe();
                async move {
                    let _ = join(client, upstream, passes).await;
                }
            }
        });
        Self { gate, passes }
    }

    /// This end of the wire: `https://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.gate.port())
    }

    /// Connections are closed, and new ones refused.
    pub fn cut(&self) {
        self.gate.shut();
    }

    /// Nothing passes any more and nobody is told: connections stay open, new ones are taken, answers do not come.
    pub fn silence(&self) {
        self.passes.send_replace(false);
    }

    /// All is well again; what was held back is delivered.
    pub fn mend(&self) {
        self.passes.send_replace(true);
        self.gate.open_again();
    }
}

async fn join(client: TcpStream, upstream: SocketAddr, passes: watch::Receiver<bool>) -> std::io::Result<()> {
    let server = TcpStream::connect(upstream).await?;
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let there = carry(from_client, to_server, passes.clone());
    let back = carry(from_server, to_client, passes);
    tokio::try_join!(there, back).map(|_| ())
}

async fn carry(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    mut passes: watch::Receiver<bool>,
) -> std::io::Result<()> {
    let mut bytes = vec![0; 16 * 1024];
    loop {
        let read = from.read(&mut bytes).await?;
        // The end of the test drops the sender: nothing is to be carried then.
        if passes.wait_for(|passes| *passes).await.is_err() {
            return Ok(());
        }
        if read == 0 {
            return to.shutdown().await;
        }
        to.write_all(&bytes[..read]).await?;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::net::TcpListener;

    use super::*;

    async fn echo() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = client.into_split();
                    let _ = tokio::io::copy(&mut from, &mut to).await;
                });
            }
        });
        format!("http://{address}")
    }

    async fn says(wire: &mut TcpStream, word: &str) -> Option<String> {
        wire.write_all(word.as_bytes()).await.ok()?;
        let mut answer = vec![0; word.len()];
        let read = tokio::time::timeout(Duration::from_secs(5), wire.read_exact(&mut answer)).await;
        read.ok()?.ok().map(|_| String::from_utf8(answer).unwrap())
    }

    async fn connect(wire: &Wire) -> std::io::Result<TcpStream> {
        TcpStream::connect(("127.0.0.1", wire.gate.port())).await
    }

    #[tokio::test]
    async fn a_silent_wire_holds_back_and_a_mended_one_delivers() {
        let wire = Wire::to(&echo().await);
        let mut client = connect(&wire).await.unwrap();
        assert_eq!(says(&mut client, "one").await.as_deref(), Some("one"));
        wire.silence();
        client.write_all(b"two").await.unwrap();
        let mut answer = [0; 3];
        let none = tokio::time::timeout(Duration::from_millis(200), client.read_exact(&mut answer)).await;
        assert!(none.is_err(), "it answered: {answer:?}");
        connect(&wire).await.expect("a silent wire still takes connections");
        wire.mend();
        client.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"two");
    }

    #[tokio::test]
    async fn a_cut_wire_closes_and_refuses_until_it_is_mended() {
        let wire = Wire::to(&echo().await);
        let mut client = connect(&wire).await.unwrap();
        assert_eq!(says(&mut client, "one").await.as_deref(), Some("one"));
        wire.cut();
        assert_eq!(says(&mut client, "two").await, None);
        assert!(connect(&wire).await.is_err(), "it is refused");
        wire.mend();
        let mut client = connect(&wire).await.unwrap();
        assert_eq!(says(&mut client, "three").await.as_deref(), Some("three"));
    }
}
