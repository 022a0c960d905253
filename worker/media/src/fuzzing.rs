//! The doors through which the fuzzer reaches this crate's readers of foreign text. There in its builds only.

use std::io::{self, Cursor};

use crate::error::MediaError;
use crate::log::{Lines, Log};
use crate::progress::{Progress, ProgressParser};
use crate::scan::{Packet, Picture, PictureCounter};
use crate::sniff::{self, Container};

/// Our own look at a file's first bytes.
pub fn container(head: &[u8]) -> Result<Container, MediaError> {
    sniff::container(head)
}

/// Our own look into the boxes of an ISO base media file.
pub fn has_encrypted_track(file: &[u8]) -> io::Result<bool> {
    sniff::has_encrypted_track(&mut Cursor::new(file), file.len() as u64)
}

/// ffprobe's list of packets, read in pieces of `piece` bytes.
#[must_use]
pub fn count_packets(list: &[u8], piece: usize, clock_may_jump: bool) -> Picture {
    let mut counter = PictureCounter::new(clock_may_jump);
    let mut count = |line: &str| {
        if let Some(packet) = Packet::parse(line) {
            counter.add(packet);
        }
    };
    in_pieces(list, piece, &mut count);
    counter.finish()
}

/// ffmpeg's `-progress`, read in pieces of `piece` bytes.
#[must_use]
pub fn progress(text: &[u8], piece: usize, total_us: u64, frame_us: u64) -> Vec<Progress> {
    let mut parser = ProgressParser::new(total_us, frame_us);
    let mut shown = Vec::new();
    in_pieces(text, piece, &mut |line| shown.extend(parser.line(line)));
    shown
}

/// What is kept of a child's log.
#[derive(Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its end.
    pub tail: String,
    /// How many errors it has.
    pub errors: u64,
    /// The first of them.
    pub first_error: Option<String>,
    /// A refused size: width, height, limit.
    pub frame_size: Option<(u64, u64, u64)>,
    /// What the sandbox said.
    pub sandbox: [Option<String>; 2],
}

/// A child's log, read in pieces of `piece` bytes.
#[must_use]
pub fn log(bytes: &[u8], piece: usize) -> Kept {
    let mut log = Log::default();
    in_pieces(bytes, piece, &mut |line| log.line(line));
    let sandbox = [log.sandbox_failed.clone(), log.sandbox_warning.clone()];
    let first_error = log.first_error.clone();
    Kept { tail: log.tail(), errors: log.errors, first_error, frame_size: log.frame_size, sandbox }
}

fn in_pieces(bytes: &[u8], piece: usize, line: &mut dyn FnMut(&str)) {
    let mut lines = Lines::default();
    for piece in bytes.chunks(piece.max(1)) {
        lines.push(piece, &mut *line);
    }
    lines.finish(line);
}
