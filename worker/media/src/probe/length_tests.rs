use super::*;
use crate::source::{Rate, Transfer};

fn video(header_frames: Option<u64>, header_us: Option<u64>) -> Video {
    Video {
        index: 0,
        codec: "h264".into(),
        width: 320,
        height: 180,
        pixel_shape: (1, 1),
        on_its_side: false,
        base_rate: Rate::new(25, 1),
        transfer: Transfer::Sdr,
        primaries: None,
        matrix: None,
        interlaced: false,
        header_frames,
        header_duration_us: header_us,
    }
}

/// So many frames from the first second on, 40 ms each, the last for `last_us`.
fn picture(frames: u64, last_us: u64) -> Picture {
    let start_us = 1_000_000;
    let last = start_us + 40_000 * i64::try_from(frames.saturating_sub(1)).unwrap();
    let end_us = last + i64::try_from(last_us).unwrap();
    Picture {
        frames,
        packets: frames,
        start_us,
        last_us: last,
        end_us,
        longest_gap_us: 40_000,
        ..Picture::default()
    }
}

const CUT: &str = "[mov @ 0x1] [error] stream 0, offset 0x1: partial file";

/// `ok`, the first words of the warning, or the category of the error.
fn judged(
    container: Container,
    video: &Video,
    picture: Picture,
    sound_end_us: i64,
    lines: &[&str],
) -> String {
    let mut log = Log::default();
    for line in lines {
        log.line(line);
    }
    let sound = Sound { packets: 1, end_us: sound_end_us };
    let breaks_off = lines.is_empty().then_some("it has no end mark").filter(|_| container == Container::Ogg);
    match (Counted { container, video, picture, sound, breaks_off }).judge(&log) {
        Ok(warnings) => {
            warnings.first().map_or("ok".into(), |text| text.split(' ').take(4).collect::<Vec<_>>().join(" "))
        }
        Err(error) => {
            assert!(error.is_permanent() && !error.to_string().contains('\n'));
            error.category().into()
        }
    }
}

#[test]
fn what_is_missing_and_how_it_is_told() {
    use Container::{Avi, Flv, IsoMedia, Matroska, Ogg};
    let second = 1_000_000;
    let whole = (Some(250), Some(10 * second));
    let frame = 40_000;
    let hours = 3600 * second;
    let table = [
        ("whole", IsoMedia, whole, picture(250, frame), 0, &[][..], "ok"),
        ("cut", IsoMedia, whole, picture(150, frame), 0, &[CUT], "truncated_input"),
        ("cut, and nobody says so", IsoMedia, whole, picture(150, frame), 0, &[], "truncated_input"),
        (
            "cut within the last frame",
            IsoMedia,
            whole,
            picture(249, frame),
            0,
            &[CUT],
            "the master ends early:",
        ),
        (
            "an edit list leaves frames out",
            IsoMedia,
            (Some(400), Some(10 * second)),
            picture(250, frame),
            0,
            &[],
            "ok",
        ),
        ("an AVI's empty frames", Avi, (Some(256), Some(10 * second)), picture(250, 6 * frame), 0, &[], "ok"),
        (
            "a cut AVI, which ffprobe makes shorter",
            Avi,
            (Some(250), Some(6 * second)),
            picture(150, frame),
            0,
            &[],
            "truncated_input",
        ),
        (
            "a live recording",
            Matroska,
            (None, None),
            picture(250, frame),
            0,
            &[CUT],
            "the master ends early:",
        ),
        (
            "the sound is longer",
            Flv,
            (None, Some(101 * second / 10)),
            picture(250, frame),
            10 * 1_100_000,
            &[],
            "ok",
        ),
        (
            "a header that lies",
            IsoMedia,
            (None, Some(143_165 * second)),
            picture(30, frame),
            0,
            &[],
            "the header says 143165.00",
        ),
        (
            "a twentieth is missing",
            Flv,
            (None, Some(220 * second)),
            picture(5000, frame),
            0,
            &[],
            "the header says 220.00",
        ),
        ("an Ogg without an end", Ogg, (None, None), picture(250, frame), 0, &[], "the master ends early:"),
        ("nothing, and more was promised", IsoMedia, whole, Picture::default(), 0, &[], "truncated_input"),
        ("nothing", Matroska, (None, None), Picture::default(), 0, &[], "corrupt_input"),
        ("a still of ten hours", IsoMedia, (Some(1), None), picture(1, 10 * hours), 0, &[], "ok"),
        (
            "two frames that are years apart",
            IsoMedia,
            (Some(2), None),
            picture(2, 20_000 * hours),
            0,
            &[],
            "corrupt_input",
        ),
    ];
    for (what, container, (frames, us), picture, sound_end, lines, expected) in table {
        assert_eq!(judged(container, &video(frames, us), picture, sound_end, lines), expected, "{what}");
    }
}
