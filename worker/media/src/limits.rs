//! How much one master may cost.

use std::time::Duration;

/// What a probe and a transcode may use at most. The defaults are generous for honest masters up to 8K.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Pixels in one frame of the master; more is refused before anything is decoded. Default 40 million (8K is 33).
    pub max_pixels: u64,
    /// The largest single allocation inside ffmpeg, in bytes. Default 1 GiB.
    pub max_alloc: u64,
    /// Wall time of one transcode. `None` (default) takes it from the work to do: see [`Limits::deadline_for`].
    pub deadline: Option<Duration>,
    /// ffmpeg is stopped when neither its progress nor its files moved for so long. Default 120 s.
    pub stall: Duration,
    /// Wall time of ffprobe's look at the header. Counting the packets gets more, by the master's size. Default 30 s.
    pub probe_deadline: Duration,
    /// Size of each output file, in bytes, whatever the plan; the plan sets a lower limit for all but very long
    /// masters. Default 64 GiB.
    pub max_output_bytes: u64,
    /// ffmpeg's own writable memory, in bytes. `None` (default) estimates it from the plan.
    pub memory: Option<u64>,
    /// Threads of the decoder and of each encoder. Default: the processors this process may use.
    pub threads: u32,
}

impl Default for Limits {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
        Self {
            max_pixels: 40_000_000,
            max_alloc: 1 << 30,
            deadline: None,
            stall: Duration::from_secs(120),
            probe_deadline: Duration::from_secs(30),
            max_output_bytes: 64 << 30,
            memory: None,
            threads: u32::try_from(cores).unwrap_or(u32::MAX),
        }
    }
}

impl Limits {
    /// The slowest honest transcode, in pixels of the master a second: about a tenth of what two cores do with
    /// the default preset and a six-rung ladder.
    const SLOWEST_PIXELS_PER_SECOND: u64 = 4_000_000;
    /// No transcode gets less than this.
    const SHORTEST_DEADLINE: Duration = Duration::from_secs(600);

    /// The deadline of a transcode: the one set, or at least ten minutes and a second for every 4 million pixels
    /// of the master (frames × area).
    #[must_use]
    pub fn deadline_for(&self, pixels_in_all: u64) -> Duration {
        self.deadline.unwrap_or_else(|| {
            Duration::from_secs(pixels_in_all / Self::SLOWEST_PIXELS_PER_SECOND).max(Self::SHORTEST_DEADLINE)
        })
    }

    /// The deadline of counting the packets of a master of `bytes` bytes: the probe's, and a second for every 4 MB.
    #[must_use]
    pub fn scan_deadline_for(&self, bytes: u64) -> Duration {
        self.probe_deadline.saturating_add(Duration::from_secs(bytes / 4_000_000))
    }
}
