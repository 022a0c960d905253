//! A runtime of one thread beside the test: what the test waits for does not wait for the test.

use tokio::runtime::{Builder, Handle, Runtime};

/// Runs tasks until it is dropped; then all of them end where they stand.
#[derive(Debug)]
pub(crate) struct Background(Option<Runtime>);

impl Background {
    pub(crate) fn new(name: &str) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).thread_name(name).enable_all().build();
        Self(Some(runtime.unwrap()))
    }

    pub(crate) fn handle(&self) -> &Handle {
        self.0.as_ref().unwrap().handle()
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // Waiting for the tasks is not allowed where another runtime runs.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
