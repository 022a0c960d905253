//! Counting packets: what a stream really holds, whatever its header says.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// What the packets of a master's video stream say. Times are in microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Picture {
    /// Frames to be shown, from the first key frame on.
    pub frames: u64,
    /// Frames before the first key frame: nothing can be made of them.
    pub lost_at_start: u64,
    /// All packets, shown or not.
    pub packets: u64,
    /// When the first frame is shown.
    pub start_us: i64,
    /// When the last frame is shown; equal to `start_us` for one frame.
    pub last_us: i64,
    /// When the last frame ends.
    pub end_us: i64,
    /// The longest time between two frames that follow each other.
    pub longest_gap_us: u64,
    /// How often the clock jumped and was set right.
    pub clock_breaks: u64,
}

impl Picture {
    /// From the start of the first frame to the end of the last, in microseconds.
    #[must_use]
    pub fn duration_us(&self) -> u64 {
        u64::try_from(self.end_us.saturating_sub(self.start_us)).unwrap_or(0)
    }

    /// Mean time from one frame to the next, in microseconds; `None` for fewer than two frames.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "microseconds of years fit")]
    pub fn mean_gap_us(&self) -> Option<f64> {
        let span = self.last_us.checked_sub(self.start_us).filter(|span| *span > 0)?;
        let gaps = self.frames.checked_sub(1).filter(|gaps| *gaps > 0)?;
        Some(span as f64 / gaps as f64)
    }
}

/// One line of ffprobe's packet list. Times are in microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Packet {
    /// When it is shown, or else when it is decoded.
    pub at_us: Option<i64>,
    /// When it is decoded, or else when it is shown.
    pub decoded_us: Option<i64>,
    /// For how long it is shown.
    pub lasts_us: i64,
    /// It can be decoded alone.
    pub key: bool,
    /// It is decoded but not shown (an edit list says so).
    pub hidden: bool,
    /// The stream it is of, where the list tells.
    pub stream: Option<u32>,
}

/// The entries of `-show_entries` that [`Packet::parse`] reads, and the form in which it does.
pub(crate) const ENTRIES: [&str; 4] =
    ["-show_entries", "packet=stream_index,pts_time,dts_time,duration_time,flags", "-of", "compact=p=0:nk=0"];

impl Packet {
    /// Reads `stream_index=0|pts_time=0.066733|dts_time=0.000000|duration_time=0.033367|flags=K_`; unknown fields
    /// are passed over.
    pub fn parse(line: &str) -> Option<Self> {
        let (mut packet, mut pts, mut dts, mut seen) = (Self::default(), None, None, false);
        for (key, value) in line.trim().split('|').filter_map(|field| field.split_once('=')) {
            match key {
                "stream_index" => packet.stream = value.parse().ok(),
                "pts_time" => pts = parse_us(value),
                "dts_time" => dts = parse_us(value),
                "duration_time" => packet.lasts_us = parse_us(value).unwrap_or(0).max(0),
                "flags" => {
                    seen = true;
                    packet.key = value.contains('K');
                    packet.hidden = value.contains('D');
                }
                _ => {}
            }
        }
        (packet.at_us, packet.decoded_us) = (pts.or(dts), dts.or(pts));
        seen.then_some(packet)
    }
}

/// Reads seconds with a point, such as `-0.466667`, into microseconds; `None` for `N/A` and what does not fit.
pub(crate) fn parse_us(text: &str) -> Option<i64> {
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let numeric = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !numeric(whole) || !numeric(part) {
        return None;
    }
    let part: String = part.chars().chain("000000".chars()).take(6).collect();
    let us = whole.parse::<i64>().ok()?.checked_mul(1_000_000)?.checked_add(part.parse().ok()?)?;
    Some(if negative { -us } else { us })
}

/// A jump forward of more than this in a recording's clock is a break, not a pause; ffmpeg closes such gaps too
/// (`-dts_delta_threshold`).
const CLOCK_BREAK_US: i64 = 10_000_000;
/// So is a jump back of more than this in the order of decoding: the start of another recording, for one.
const CLOCK_BACK_US: i64 = 100_000;
/// Frames before the first one with a time are held back for it, up to this many.
const UNTIMED: usize = 10_000;
/// Frames come in the order of decoding; this many are held back to bring them in the order of showing.
const REORDER: usize = 64;

/// Adds packets up to a [`Picture`], in little memory.
#[derive(Debug, Default)]
pub(crate) struct PictureCounter {
    picture: Picture,
    clock_may_jump: bool,
    offset_us: i64,
    /// When the frame before was decoded, on the unbroken clock, and for how long it is shown.
    decoded: Option<(i64, i64)>,
    /// For how long each frame before the first one with a time is shown.
    untimed: Vec<i64>,
    /// When the frame before ends.
    expected_us: Option<i64>,
    key_seen: bool,
    waiting: BinaryHeap<Reverse<i64>>,
    shown_us: Option<i64>,
}

impl PictureCounter {
    /// A counter; `clock_may_jump` for containers whose time stamps may.
    pub fn new(clock_may_jump: bool) -> Self {
        Self { clock_may_jump, ..Self::default() }
    }

    /// Takes one packet.
    pub fn add(&mut self, packet: Packet) {
        self.picture.packets += 1;
        self.key_seen |= packet.key;
        if !self.key_seen {
            self.picture.lost_at_start += 1;
            return;
        }
        if packet.hidden {
            return;
        }
        if packet.at_us.is_none() && self.expected_us.is_none() && self.untimed.len() < UNTIMED {
            self.untimed.push(packet.lasts_us);
            return;
        }
        self.put_untimed(packet.at_us);
        let at = self.place(packet);
        self.put(at, packet.lasts_us);
    }

    /// Puts what had no time before the first time that is told: containers that cannot tell times below zero leave
    /// them out. Without any, the first frame is at zero.
    fn put_untimed(&mut self, told: Option<i64>) {
        let untimed = std::mem::take(&mut self.untimed);
        let all = untimed.iter().fold(0, |sum: i64, lasts| sum.saturating_add(*lasts));
        let mut at = told.map_or(0, |told| told.saturating_sub(all));
        for lasts in untimed {
            self.put(at, lasts);
            at = at.saturating_add(lasts);
        }
    }

    fn put(&mut self, at: i64, lasts_us: i64) {
        let end = at.saturating_add(lasts_us);
        if self.picture.frames == 0 {
            (self.picture.start_us, self.picture.last_us, self.picture.end_us) = (at, at, end);
        }
        self.picture.frames += 1;
        self.picture.start_us = self.picture.start_us.min(at);
        self.picture.last_us = self.picture.last_us.max(at);
        self.picture.end_us = self.picture.end_us.max(end);
        self.expected_us = Some(end);
        self.waiting.push(Reverse(at));
        if self.waiting.len() > REORDER {
            self.show();
        }
    }

    /// The time of a packet on one unbroken clock.
    fn place(&mut self, packet: Packet) -> i64 {
        let Some((told, decoded)) = packet.at_us.zip(packet.decoded_us) else {
            return self.expected_us.unwrap_or(0);
        };
        let mut now = decoded.saturating_add(self.offset_us);
        if let Some((before, lasts)) = self.decoded.filter(|_| self.clock_may_jump) {
            let expected = before.saturating_add(lasts);
            if now.saturating_sub(expected) > CLOCK_BREAK_US || before.saturating_sub(now) > CLOCK_BACK_US {
                self.offset_us = expected.saturating_sub(decoded);
                self.picture.clock_breaks += 1;
                now = expected;
            }
        }
        self.decoded = Some((now, packet.lasts_us));
        told.saturating_add(self.offset_us)
    }

    fn show(&mut self) {
        let Some(Reverse(at)) = self.waiting.pop() else {
            return;
        };
        if let Some(before) = self.shown_us {
            let gap = u64::try_from(at.saturating_sub(before)).unwrap_or(0);
            self.picture.longest_gap_us = self.picture.longest_gap_us.max(gap);
        }
        self.shown_us = Some(at);
    }

    /// The sum.
    pub fn finish(mut self) -> Picture {
        self.put_untimed(None);
        while !self.waiting.is_empty() {
            self.show();
        }
        self.picture
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn count(clock_may_jump: bool, lines: &[&str]) -> Picture {
        let mut counter = PictureCounter::new(clock_may_jump);
        lines.iter().filter_map(|line| Packet::parse(line)).for_each(|packet| counter.add(packet));
        counter.finish()
    }

    #[test]
    fn seconds_to_microseconds() {
        let table = [
            ("0.066733", Some(66_733)),
            ("-0.466667", Some(-466_667)),
            ("143165.576500", Some(143_165_576_500)),
            ("8", Some(8_000_000)),
            ("N/A", None),
            ("", None),
            ("1e9", None),
            ("99999999999999999999", None),
        ];
        for (text, us) in table {
            assert_eq!(parse_us(text), us, "{text}");
        }
    }

    #[test]
    fn reordered_and_hidden_frames() {
        let picture = count(
            false,
            &[
                "pts_time=-0.100000|dts_time=-0.200000|duration_time=0.100000|flags=KD",
                "pts_time=0.200000|dts_time=-0.100000|duration_time=0.100000|flags=__",
                "pts_time=0.000000|dts_time=0.000000|duration_time=0.100000|flags=__",
                "pts_time=0.100000|dts_time=N/A|duration_time=N/A|flags=__",
                "noise",
            ],
        );
        let expected = Picture {
            frames: 3,
            lost_at_start: 0,
            packets: 4,
            start_us: 0,
            last_us: 200_000,
            end_us: 300_000,
            longest_gap_us: 100_000,
            clock_breaks: 0,
        };
        assert_eq!(picture, expected);
        assert_eq!(picture.duration_us(), 300_000);
        assert_eq!(picture.mean_gap_us(), Some(100_000.0));
    }

    #[test]
    fn frames_before_the_first_key_frame_do_not_count() {
        let lines = [
            "pts_time=0.000000|duration_time=1.000000|flags=__",
            "pts_time=1.000000|duration_time=1.000000|flags=K_",
            "pts_time=2.000000|duration_time=1.000000|flags=__",
        ];
        let picture = count(false, &lines);
        assert_eq!((picture.frames, picture.lost_at_start, picture.start_us), (2, 1, 1_000_000));
    }

    #[test]
    fn frames_without_a_time_stand_before_the_first_that_has_one() {
        let untimed = "pts_time=N/A|dts_time=N/A|duration_time=0.040000|flags=K_";
        let timed = ["pts_time=0.020000|duration_time=0.040000|flags=__", untimed];
        let picture = count(false, &[&[untimed; 3][..], &timed].concat());
        assert_eq!((picture.start_us, picture.last_us, picture.end_us), (-100_000, 60_000, 100_000));
        assert_eq!((picture.frames, picture.longest_gap_us), (5, 40_000));
        let picture = count(false, &[untimed; 5]);
        assert_eq!((picture.start_us, picture.end_us, picture.frames), (0, 200_000, 5));
    }

    #[test]
    fn a_broken_clock_is_bridged_only_where_clocks_may_break() {
        let lines = [
            "pts_time=0.000000|duration_time=1.000000|flags=K_",
            "pts_time=90000.000000|duration_time=1.000000|flags=K_",
            "pts_time=90001.000000|duration_time=1.000000|flags=__",
        ];
        let back = [
            "pts_time=5.200000|dts_time=5.000000|duration_time=0.100000|flags=K_",
            "pts_time=5.100000|dts_time=5.100000|duration_time=0.100000|flags=__",
            "pts_time=0.200000|dts_time=0.000000|duration_time=0.100000|flags=K_",
            "pts_time=0.100000|dts_time=0.100000|duration_time=0.100000|flags=__",
        ];
        let picture = count(true, &back);
        assert_eq!(
            (picture.start_us, picture.end_us, picture.clock_breaks),
            (5_100_000, 5_500_000, 1),
            "another recording after the first"
        );
        assert_eq!((count(true, &lines).duration_us(), count(true, &lines).clock_breaks), (3_000_000, 1));
        assert_eq!(count(false, &lines).duration_us(), 90_002_000_000);
    }

    proptest! {
        #[test]
        fn any_lines_are_counted(lines in proptest::collection::vec(
            ("-?[0-9]{0,20}(\\.[0-9]{0,8})?", "[0-9]{0,20}", "[KD_]{0,3}"), 0..200), jump in any::<bool>()) {
            let mut counter = PictureCounter::new(jump);
            for (pts, lasts, flags) in lines {
                if let Some(packet) = Packet::parse(&format!("pts_time={pts}|duration_time={lasts}|flags={flags}")) {
                    counter.add(packet);
                }
            }
            let picture = counter.finish();
            prop_assert!(picture.frames + picture.lost_at_start <= picture.packets);
            prop_assert!(picture.start_us <= picture.last_us && picture.last_us <= picture.end_us);
        }

        #[test]
        fn any_text_is_parsed(line in ".{0,200}") {
            let _ = Packet::parse(&line);
        }
    }
}
