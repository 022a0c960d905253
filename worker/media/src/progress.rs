//! ffmpeg's `-progress` output.

use std::time::Duration;

/// How far a transcode is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Part of the picture that is done, in thousandths (0 to 1000); it never goes back.
    pub permille: u32,
    /// Position in the master that was reached.
    pub position: Duration,
    /// Frames of one rendition written so far.
    pub frames: u64,
    /// Seconds of video done in a second, in thousandths; `None` until known.
    pub speed_milli: Option<u64>,
    /// Estimated time until the end; `None` until known.
    pub left: Option<Duration>,
}

impl Progress {
    /// Of a part that is made in `passes` passes, each of `frames` frames, when pass `pass` (from 0) is as far as this.
    pub(crate) fn in_passes(self, pass: usize, passes: usize, frames: u64) -> Self {
        let (pass, passes) = (u64::try_from(pass).unwrap_or(0), u64::try_from(passes).unwrap_or(1).max(1));
        let of_all = |all: u64, part: u64| all.saturating_mul(pass).saturating_add(part) / passes;
        // What is left of this pass tells how long one takes.
        let one =
            self.left.map(|left| left.saturating_mul(1000) / 1000_u32.saturating_sub(self.permille).max(1));
        let more = u32::try_from(passes.saturating_sub(pass).saturating_sub(1)).unwrap_or(u32::MAX);
        let more = one.unwrap_or_default().saturating_mul(more);
        Self {
            permille: u32::try_from(of_all(1000, self.permille.into())).unwrap_or(1000),
            frames: of_all(frames, self.frames),
            left: self.left.map(|left| left.saturating_add(more)),
            ..self
        }
    }
}

/// The progress of a whole that is made part by part.
#[derive(Debug, Clone)]
pub(crate) struct Sum {
    frames: u64,
    before: u64,
    shown: u32,
}

impl Sum {
    /// Nothing of `frames` frames is done.
    pub fn new(frames: u64) -> Self {
        Self { frames, before: 0, shown: 0 }
    }

    /// The whole's progress, when a part of `frames` frames is as far as `part`.
    pub fn with(&mut self, part: Progress, frames: u64) -> Progress {
        let within = u64::from(part.permille).saturating_mul(frames) / 1000;
        let permille = self.permille(self.before.saturating_add(within));
        let rest = self.frames.saturating_sub(self.before).saturating_sub(frames);
        // What is left takes as long as the part does, by frames.
        let left = part.left.map(|left| {
            let done = frames.saturating_sub(within).max(1);
            let more = u32::try_from(rest.saturating_mul(1000) / done).unwrap_or(u32::MAX);
            left.saturating_add(left.saturating_mul(more) / 1000)
        });
        Progress { permille, frames: self.before.saturating_add(part.frames), left, ..part }
    }

    /// A part of `frames` frames is done.
    pub fn done(&mut self, frames: u64) -> Progress {
        self.before = self.before.saturating_add(frames);
        Progress { permille: self.permille(self.before), frames: self.before, ..Progress::default() }
    }

    /// All is done.
    pub fn end(&mut self) -> Progress {
        Progress { permille: 1000, frames: self.before, ..Progress::default() }
    }

    /// Below 1000 until the end: the files are still to be finished.
    fn permille(&mut self, frames: u64) -> u32 {
        let part = frames.saturating_mul(1000).checked_div(self.frames).unwrap_or(0).min(999);
        self.shown = self.shown.max(u32::try_from(part).unwrap_or(999));
        self.shown
    }
}

/// Collects `key=value` lines into [`Progress`]; any other text is passed over.
#[derive(Debug, Clone, Default)]
pub(crate) struct ProgressParser {
    total_us: u64,
    frame_us: u64,
    out_us: u64,
    frames: u64,
    speed_milli: Option<u64>,
    shown: Progress,
}

impl ProgressParser {
    /// A parser for a picture of `total_us` microseconds whose renditions have a frame every `frame_us`.
    pub fn new(total_us: u64, frame_us: u64) -> Self {
        Self { total_us, frame_us, ..Self::default() }
    }

    /// Takes one line; gives the progress when the line ends a block of them.
    pub fn line(&mut self, line: &str) -> Option<Progress> {
        let (key, value) = line.split_once('=')?;
        let value = value.trim();
        match key.trim() {
            "frame" => self.frames = value.parse().unwrap_or(self.frames),
            // `out_time_ms` has the same value: it counts microseconds too. It can be negative or N/A at first.
            "out_time_us" => self.out_us = value.parse().unwrap_or(self.out_us),
            "speed" => self.speed_milli = parse_speed(value),
            "progress" => return Some(self.block(value == "end")),
            _ => {}
        }
        None
    }

    fn block(&mut self, end: bool) -> Progress {
        // ffmpeg's time is that of whichever stream is ahead: the sound, as a rule. The picture is the work.
        let done_us = self.out_us.min(self.frames.saturating_mul(self.frame_us));
        let part = done_us.saturating_mul(1000).checked_div(self.total_us).unwrap_or(0).min(1000);
        // Below 1000 until ffmpeg says it is done: the files are still to be finished.
        let part = if end { 1000 } else { u32::try_from(part).unwrap_or(1000).min(999) };
        let left_us = self.total_us.saturating_sub(done_us);
        self.shown = Progress {
            permille: part.max(self.shown.permille),
            position: Duration::from_micros(done_us),
            frames: self.frames,
            speed_milli: self.speed_milli,
            left: self
                .speed_milli
                .filter(|speed| *speed > 0)
                .map(|speed| Duration::from_micros((left_us / speed).saturating_mul(1000))),
        };
        self.shown
    }
}

/// Reads `2.69x`; `None` for `N/A` and for nonsense.
fn parse_speed(text: &str) -> Option<u64> {
    let (whole, part) =
        text.trim_end_matches('x').trim().split_once('.').unwrap_or((text.trim_end_matches('x').trim(), "0"));
    let milli: String = part.chars().chain("000".chars()).take(3).collect();
    whole.parse::<u64>().ok()?.checked_mul(1000)?.checked_add(milli.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn passes_add_up() {
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        let at = |permille, frames, left| Progress { permille, frames, left, ..Progress::default() };
        // (at, pass, passes, then)
        let table = [
            (at(500, 50, seconds(10)), 0, 1, at(500, 50, seconds(10))),
            (at(500, 50, seconds(10)), 0, 2, at(250, 25, seconds(30))),
            (at(500, 50, seconds(10)), 1, 2, at(750, 75, seconds(10))),
            (at(1000, 100, seconds(0)), 0, 3, at(333, 33, seconds(0))),
            (at(1000, 100, None), 2, 3, at(1000, 100, None)),
        ];
        for (now, pass, passes, then) in table {
            assert_eq!(now.in_passes(pass, passes, 100), then, "{pass} of {passes}");
        }
    }

    #[test]
    fn parts_add_up() {
        let mut sum = Sum::new(1000);
        let half = Progress {
            permille: 500,
            frames: 250,
            left: Some(Duration::from_secs(10)),
            ..Progress::default()
        };
        let shown = sum.with(half, 500);
        assert_eq!((shown.permille, shown.frames, shown.left), (250, 250, Some(Duration::from_secs(30))));
        assert_eq!(sum.done(500).permille, 500);
        let shown = sum.with(half, 500);
        assert_eq!((shown.permille, shown.frames, shown.left), (750, 750, Some(Duration::from_secs(10))));
        assert_eq!((sum.done(500).permille, sum.end().permille), (999, 1000));
    }

    fn feed(parser: &mut ProgressParser, text: &str) -> Option<Progress> {
        text.lines().filter_map(|line| parser.line(line)).last()
    }

    #[test]
    fn a_block_of_lines_is_one_progress() {
        let mut parser = ProgressParser::new(10_000_000, 33_333);
        let first = "frame=1\ntotal_size=N/A\nout_time_us=N/A\nspeed=N/A\nprogress=continue\n";
        let shown = feed(&mut parser, first).unwrap();
        assert_eq!((shown.permille, shown.frames, shown.speed_milli, shown.left), (0, 1, None, None));
        let shown =
            feed(&mut parser, "frame=75\nout_time_us=2500000\nspeed=2.69x\nprogress=continue").unwrap();
        assert_eq!((shown.permille, shown.frames, shown.speed_milli), (249, 75, Some(2690)));
        assert_eq!(shown.left.unwrap().as_millis(), 2788);
        let shown =
            feed(&mut parser, "frame=9999\nout_time_us=99000000\nspeed=   0x\nprogress=continue").unwrap();
        assert_eq!((shown.permille, shown.left), (999, None));
        let shown = feed(&mut parser, "out_time_us=100\nprogress=end").unwrap();
        assert_eq!(shown.permille, 1000);
    }

    #[test]
    fn speeds() {
        let table =
            [("2.69x", Some(2690)), ("1e+03x", None), ("12x", Some(12_000)), (" 0x", Some(0)), ("N/A", None)];
        for (text, milli) in table {
            assert_eq!(parse_speed(text), milli, "{text}");
        }
    }

    proptest! {
        #[test]
        fn it_never_goes_back_or_over(total in any::<u64>(), lines in proptest::collection::vec(prop_oneof![
            any::<i64>().prop_map(|n| format!("out_time_us={n}")), any::<u64>().prop_map(|n| format!("speed={n}.{n}x")),
            Just("progress=continue".to_owned()), Just("progress=end".to_owned()), ".{0,30}",
        ], 0..60)) {
            let mut parser = ProgressParser::new(total, 40_000);
            let mut before = 0;
            for shown in lines.iter().filter_map(|line| parser.line(line)) {
                prop_assert!(shown.permille >= before && shown.permille <= 1000);
                before = shown.permille;
            }
        }
    }
}
