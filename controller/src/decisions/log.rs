//! Decisions as lines on a stream, such as standard output, written by a thread of its own: a reader that is slow, or
//! gone, holds nobody up.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, channel, sync_channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use bytes::Bytes;

/// How many lines may wait for the reader; more are left out.
const WAITING: usize = 64;
/// How long the end of the process waits for the reader of the last lines.
const AT_THE_END: Duration = Duration::from_secs(2);

/// A log of decisions. Dropped, it waits a moment for the last lines to be written.
#[derive(Debug)]
pub struct DecisionLog {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// `None` when it was closed or the reader is gone.
    lines: Option<SyncSender<Bytes>>,
    /// Lines that were left out since the last that was not.
    left_out: u64,
    /// Hangs up when all is written.
    done: Receiver<()>,
}

impl DecisionLog {
    /// A log on standard output. Everything else that the operator logs goes to standard error.
    pub fn stdout() -> io::Result<Self> {
        Self::start(io::stdout())
    }

    /// A log on `out`.
    pub fn start(mut out: impl Write + Send + 'static) -> io::Result<Self> {
        let (lines, waiting) = sync_channel::<Bytes>(WAITING);
        let (tell, done) = channel();
        thread::Builder::new().name("decision-log".to_owned()).spawn(move || {
            // Dropped at the end of the thread, whatever its cause.
            let _tell = tell;
            while let Ok(line) = waiting.recv() {
                if let Err(error) = out.write_all(&line).and_then(|()| out.flush()) {
                    tracing::warn!("decisions are not logged any more: {error}");
                    return;
                }
            }
        })?;
        Ok(Self { inner: Mutex::new(Inner { lines: Some(lines), left_out: 0, done }) })
    }

    /// Writes `line` when the reader is ready for it; leaves it out when too many wait already.
    pub fn write(&self, line: Bytes) {
        let mut inner = self.lock();
        let Some(lines) = &inner.lines else { return };
        match lines.try_send(line) {
            Ok(()) => {
                let left_out = std::mem::take(&mut inner.left_out);
                if left_out > 0 {
                    tracing::warn!("{left_out} decisions were not logged: whoever reads the log is too slow");
                }
            }
            Err(TrySendError::Full(_)) => inner.left_out += 1,
            Err(TrySendError::Disconnected(_)) => inner.lines = None,
        }
    }

    /// Takes no more lines and waits until those that wait are written, but at most `within`. It blocks.
    pub fn finish(&self, within: Duration) {
        let mut inner = self.lock();
        inner.lines = None;
        if inner.done.recv_timeout(within) == Err(RecvTimeoutError::Timeout) {
            tracing::warn!("the last decisions were not logged: whoever reads the log is too slow");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for DecisionLog {
    fn drop(&mut self) {
        self.finish(AT_THE_END);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Barrier};

    const SOON: Duration = Duration::from_secs(30);

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend(text);
            Ok(text.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_are_written_in_order_and_all_before_the_end() {
        let out = Shared::default();
        let log = DecisionLog::start(out.clone()).unwrap();
        for number in 0..WAITING {
            log.write(format!("{number}\n").into());
        }
        log.finish(SOON);
        log.write("late\n".into());
        let text = String::from_utf8(out.0.lock().unwrap().clone()).unwrap();
        let expected: Vec<String> = (0..WAITING).map(|number| number.to_string()).collect();
        assert_eq!(text.lines().collect::<Vec<_>>(), expected);
    }

    struct Held(Arc<Barrier>, Shared);

    impl Write for Held {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            if text == b"first\n" {
                self.0.wait();
                self.0.wait();
            }
            self.1.write(text)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_slow_reader_holds_nobody_up() {
        let (barrier, out) = (Arc::new(Barrier::new(2)), Shared::default());
        let log = DecisionLog::start(Held(Arc::clone(&barrier), out.clone())).unwrap();
        log.write("first\n".into());
        barrier.wait();
        for _ in 0..WAITING + 10 {
            log.write("next\n".into());
        }
        assert_eq!(log.lock().left_out, 10);
        barrier.wait();
        drop(log);
        assert_eq!(out.0.lock().unwrap().split(|byte| *byte == b'\n').count(), 1 + WAITING + 1);
    }

    struct Closed;

    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_is_gone_stops_nothing() {
        let log = DecisionLog::start(Closed).unwrap();
        for _ in 0..1000 {
            log.write("line\n".into());
        }
        log.finish(SOON);
    }
}
