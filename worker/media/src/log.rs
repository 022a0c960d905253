//! What the children say on standard error: kept short, and searched for the few lines that mean something.

use std::collections::BTreeSet;

/// How much of a log is kept, in bytes.
const TAIL_BYTES: usize = 4096;
/// Longer lines are cut; hostile files make ffmpeg print their own content.
const LINE_BYTES: usize = 512;

/// Splits bytes into lines of bounded length, whatever comes.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    partial: Vec<u8>,
}

impl Lines {
    /// Takes bytes and calls `line` for each line that they complete.
    pub fn push(&mut self, bytes: &[u8], mut line: impl FnMut(&str)) {
        for part in bytes.split_inclusive(|byte| matches!(byte, b'\n' | b'\r')) {
            let (body, ended) = match part.split_last() {
                Some((b'\n' | b'\r', body)) => (body, true),
                _ => (part, false),
            };
            let room = LINE_BYTES.saturating_sub(self.partial.len());
            self.partial.extend_from_slice(&body[..body.len().min(room)]);
            if ended {
                self.finish(&mut line);
            }
        }
    }

    /// Calls `line` for a last line without an end.
    pub fn finish(&mut self, mut line: impl FnMut(&str)) {
        if !self.partial.is_empty() {
            line(&String::from_utf8_lossy(&self.partial));
            self.partial.clear();
        }
    }
}

/// Something that a line of the log means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Finding {
    /// The demuxer came to the end of the file before the header's end.
    CutShort,
    /// The disk is full.
    NoSpace,
    /// A file grew over its limit.
    FileTooLarge,
    /// An allocation failed, or a thread could not be started for want of memory for its stack.
    NoMemory,
    /// A decoder was given data that it could not make sense of.
    BadData,
    /// There is no decoder for a stream.
    NoDecoder,
    /// The file is of a format that is not let in.
    OtherFormat,
}

/// What ffmpeg 5 to 9 say, and what it means.
const PHRASES: [(&str, Finding); 15] = [
    (": partial file", Finding::CutShort),
    ("ended prematurely", Finding::CutShort),
    ("No space left on device", Finding::NoSpace),
    ("Disk quota exceeded", Finding::NoSpace),
    ("File too large", Finding::FileTooLarge),
    ("Cannot allocate memory", Finding::NoMemory),
    ("malloc of size", Finding::NoMemory),
    ("Resource temporarily unavailable", Finding::NoMemory),
    // The loader's word, before there is an ffmpeg; one that cannot be loaded for other reasons is found at start.
    ("failed to map segment from shared object", Finding::NoMemory),
    ("cannot map zero-fill pages", Finding::NoMemory),
    ("Invalid data found", Finding::BadData),
    ("Error while decoding", Finding::BadData),
    ("Decoder (codec", Finding::NoDecoder),
    ("no decoder found", Finding::NoDecoder),
    ("Format not on whitelist", Finding::OtherFormat),
];

/// A child's log: its end, and the findings.
#[derive(Debug, Default)]
pub(crate) struct Log {
    tail: String,
    /// Lines of level error or worse, repetitions counted.
    pub errors: u64,
    last_was_error: bool,
    /// The first line of level error or worse: usually the cause of the ones that follow.
    pub first_error: Option<String>,
    /// A frame was refused for its size: width, height, and the limit in pixels.
    pub frame_size: Option<(u64, u64, u64)>,
    findings: BTreeSet<Finding>,
    /// What the sandbox said when it could not be set up.
    pub sandbox_failed: Option<String>,
    /// What the sandbox said of a layer that this kernel lacks.
    pub sandbox_warning: Option<String>,
}

impl Log {
    /// Takes one line.
    pub fn line(&mut self, line: &str) {
        let line: String = line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        self.look(&line);
        self.tail.push_str(&line);
        self.tail.push('\n');
        if self.tail.len() > 2 * TAIL_BYTES {
            self.shorten();
        }
    }

    /// The end of the log, in whole lines.
    pub fn tail(&self) -> String {
        let mut copy = Self { tail: self.tail.clone(), ..Self::default() };
        copy.shorten();
        copy.tail
    }

    fn shorten(&mut self) {
        let Some(from) = self.tail.len().checked_sub(TAIL_BYTES) else {
            return;
        };
        let cut = self.tail.bytes().skip(from).position(|byte| byte == b'\n').map_or(0, |at| from + at + 1);
        self.tail.drain(..cut);
    }

    fn look(&mut self, line: &str) {
        if let Some(detail) = line.strip_prefix(crate::sandbox::FAILED) {
            self.sandbox_failed = Some(detail.to_owned());
            return;
        }
        if let Some(detail) = line.strip_prefix(crate::sandbox::WARNED) {
            self.sandbox_warning = Some(detail.to_owned());
            return;
        }
        if let Some(times) = repeated(line) {
            if self.last_was_error {
                self.errors = self.errors.saturating_add(times);
            }
            return;
        }
        self.last_was_error = ["[error]", "[fatal]", "[panic]"].iter().any(|level| line.contains(level));
        if self.last_was_error {
            self.errors = self.errors.saturating_add(1);
            self.first_error.get_or_insert_with(|| line.to_owned());
        }
        self.findings
            .extend(PHRASES.iter().filter(|(phrase, _)| line.contains(phrase)).map(|(_, found)| found));
        if let Some((_, rest)) = line.split_once("Picture size ") {
            self.frame_size = self.frame_size.or_else(|| read_refusal(rest));
        }
    }

    /// Takes the log of another child whose work is part of the same.
    pub fn extend(&mut self, other: Self) {
        self.tail.push_str(&other.tail);
        if self.tail.len() > 2 * TAIL_BYTES {
            self.shorten();
        }
        self.errors = self.errors.saturating_add(other.errors);
        self.first_error = self.first_error.take().or(other.first_error);
        self.frame_size = self.frame_size.or(other.frame_size);
        self.findings.extend(other.findings);
    }

    /// The errors so far mean nothing.
    pub fn forget_errors(&mut self) {
        (self.errors, self.first_error) = (0, None);
    }

    /// Whether a line meant this.
    pub fn has(&self, finding: Finding) -> bool {
        self.findings.contains(&finding)
    }
}

/// Reads `16000x16000 exceeds specified max pixel count 40000000, see …`.
fn read_refusal(text: &str) -> Option<(u64, u64, u64)> {
    let (size, rest) = text.split_once(" exceeds specified max pixel count ")?;
    let (width, height) = size.split_once('x')?;
    let max = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    Some((width.parse().ok()?, height.parse().ok()?, max.parse().ok()?))
}

/// Reads `    Last message repeated 7 times`.
fn repeated(line: &str) -> Option<u64> {
    line.trim().strip_prefix("Last message repeated ")?.strip_suffix(" times")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_bounded_and_none_is_lost() {
        let mut lines = Lines::default();
        let mut seen = Vec::new();
        lines.push(b"one\ntw", |line| seen.push(line.to_owned()));
        lines.push(b"o\r", |line| seen.push(line.to_owned()));
        lines.push(&b"x".repeat(100_000), |line| seen.push(line.to_owned()));
        lines.finish(|line| seen.push(line.to_owned()));
        assert_eq!(seen[..2], ["one", "two"]);
        assert_eq!(seen[2].len(), LINE_BYTES);
    }

    #[test]
    fn tail_is_the_end_in_whole_lines() {
        let mut log = Log::default();
        for n in 0..10_000 {
            log.line(&format!("line {n} ä"));
        }
        let tail = log.tail();
        assert!(tail.len() <= TAIL_BYTES, "{}", tail.len());
        assert!(tail.starts_with("line ") && tail.ends_with("line 9999 ä\n"), "{tail}");
    }

    #[test]
    fn errors_are_counted_with_their_repetitions() {
        let mut log = Log::default();
        log.line("[h264 @ 0x1] [error] no frame!");
        log.line("    Last message repeated 3 times");
        log.line("[warning] Guessed Channel Layout");
        log.line("    Last message repeated 9 times");
        assert_eq!(log.errors, 4);
        assert_eq!(log.first_error.as_deref(), Some("[h264 @ 0x1] [error] no frame!"));
    }

    #[test]
    fn telling_lines_are_found() {
        let mut log = Log::default();
        log.line("[png @ 0x1] [IMGUTILS @ 0x2] Picture size 16000x16000 exceeds specified max pixel count 40000000, see");
        log.line("[mov @ 0x1] [error] stream 0, offset 0xc0112: partial file");
        log.line("[tee @ 0x1] [error] Slave muxer #0 failed: No space left on device, aborting.");
        assert_eq!(log.frame_size, Some((16000, 16000, 40_000_000)));
        assert_eq!(log.findings, BTreeSet::from([Finding::CutShort, Finding::NoSpace]));
        assert!(log.has(Finding::NoSpace) && !log.has(Finding::NoMemory));
    }
}
