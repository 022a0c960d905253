//! The one thread that starts children.
//!
//! A child in the cage dies with the *thread* that started it (`PR_SET_PDEATHSIG`). A runtime's threads come and
//! go (a worker that blocks in place leaves its thread to the pool, which ends idle threads); this one stays for
//! as long as the process.

use std::io;
use std::sync::{Mutex, mpsc};

use tokio::process::{Child, Command};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

struct Order {
    command: Command,
    runtime: Handle,
    answer: oneshot::Sender<io::Result<Child>>,
}

static SPAWNER: Mutex<Option<mpsc::Sender<Order>>> = Mutex::new(None);

/// Starts a child from the thread that stays.
pub(crate) async fn spawn(command: Command) -> io::Result<Child> {
    let (answer, child) = oneshot::channel();
    let order = Order { command, runtime: Handle::current(), answer };
    orders()?.send(order).map_err(|_| io::Error::other("the thread that starts children is gone"))?;
    child.await.map_err(|_| io::Error::other("the thread that starts children is gone"))?
}

fn orders() -> io::Result<mpsc::Sender<Order>> {
    let mut spawner = SPAWNER.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(orders) = &*spawner {
        return Ok(orders.clone());
    }
    let (sender, orders) = mpsc::channel::<Order>();
    std::thread::Builder::new().name("spawner".into()).spawn(move || {
        for Order { mut command, runtime, answer } in orders {
            let _entered = runtime.enter();
            // Whoever asked may have gone; the child then goes with its handle.
            let _ = answer.send(command.spawn());
        }
    })?;
    *spawner = Some(sender.clone());
    Ok(sender)
}
