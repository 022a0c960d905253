//! A port of the loopback that can be shut and opened again.

use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, mpsc};

use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, listen, socket_with, sockopt};
use tokio::net::TcpStream;
use tokio::task::{AbortHandle, JoinSet};

use crate::background::Background;
use crate::port::Port;

/// How many connections may wait to be taken.
const BACKLOG: i32 = 128;

type Serve = Arc<dyn Fn(TcpStream) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// A listening port. While it is shut connections are refused, and nobody else gets the port.
pub struct Gate {
    address: Ipv4Addr,
    port: Port,
    serve: Serve,
    listening: Mutex<Option<Listening>>,
    background: Background,
}

/// What runs while the gate is open.
struct Listening {
    task: AbortHandle,
    /// Ends when the listener and all of its connections are gone.
    gone: mpsc::Receiver<()>,
}

impl Gate {
    /// An open gate on the loopback's address; `serve` is given every connection.
    pub fn open<F>(serve: impl Fn(TcpStream) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self::open_on(Ipv4Addr::LOCALHOST, serve)
    }

    /// An open gate on every address of this machine: `serve` may ask a connection which was called.
    pub fn open_everywhere<F>(serve: impl Fn(TcpStream) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self::open_on(Ipv4Addr::UNSPECIFIED, serve)
    }

    fn open_on<F>(address: Ipv4Addr, serve: impl Fn(TcpStream) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let gate = Self {
            address,
            port: Port::reserve(),
            serve: Arc::new(move |client| Box::pin(serve(client))),
            listening: Mutex::default(),
            background: Background::new("gate"),
        };
        gate.open_again();
        gate
    }

    /// The port's number.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// Refuses new connections and closes those that are open.
    pub fn shut(&self) {
        let listening = self.listening.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(listening) = listening {
            listening.task.abort();
            let _ = listening.gone.recv();
        }
    }

    /// Takes connections again.
    pub fn open_again(&self) {
        let mut listening = self.listening.lock().unwrap_or_else(PoisonError::into_inner);
        if listening.is_some() {
            return;
        }
        let runtime = self.background.handle();
        let _in_it = runtime.enter();
        let listener = tokio::net::TcpListener::from_std(self.listener()).unwrap();
        let serve = Arc::clone(&self.serve);
        let (alive, gone) = mpsc::channel();
        let task = runtime.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let Ok((client, _)) = listener.accept().await else { continue };
                let served = serve(client);
                let alive = alive.clone();
                connections.spawn(async move {
                    let _alive = alive;
                    served.await;
                });
                while connections.try_join_next().is_some() {}
            }
        });
        *listening = Some(Listening { task: task.abort_handle(), gone });
    }

    fn listener(&self) -> TcpListener {
        // Programs that the test starts must not inherit it: they would go on listening.
        let server =
            socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap();
        sockopt::set_socket_reuseport(&server, true).unwrap();
        sockopt::set_socket_reuseaddr(&server, true).unwrap();
        bind(&server, &SocketAddrV4::new(self.address, self.port())).unwrap();
        listen(&server, BACKLOG).unwrap();
        let listener = TcpListener::from(server);
        listener.set_nonblocking(true).unwrap();
        listener
    }
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gate").field("port", &self.port()).finish_non_exhaustive()
    }
}
