//! Odd, broken and hostile clips: each ends as it should, none hangs, none takes its worker down.

use std::collections::BTreeMap;

use reelpool_spool::DeadLetter;
use reelpool_tests::clips::{self, Clip};
use reelpool_tests::probe::probe;
use reelpool_tests::results::{assert_nothing_else, published};
use reelpool_tests::{Machine, results::Published};

use crate::LONG;

const LADDER: [u32; 2] = [240, 144];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    Renditions,
    Failure,
    Either,
}

#[test]
fn every_clip_ends_as_expected() {
    let machine = Machine::new();
    let mut expected = BTreeMap::new();
    match clips::shared_media() {
        Some(folder) => {
            for (name, end) in read_expected(&folder) {
                machine.add(&folder.join(&name), &name);
                expected.insert(name, end);
            }
        }
        None => {
            println!("the folder of odd clips is not here (REELPOOL_SHARED_MEDIA names it): made ones only");
        }
    }
    for (name, end) in made_clips(&machine) {
        expected.insert(name, end);
    }

    // A deadline of 20 s ends the one that would take an hour.
    let arguments =
        ["--ladder", "240p,144p", "--max-workers", "2", "--deadline", "20", "--max-attempts", "2"];
    let ended = machine.up_until_done(&arguments, LONG * 2).expect_code(3);

    let jobs: BTreeMap<String, Published> =
        published(&machine.output()).into_iter().map(|job| (job.manifest.source.key.clone(), job)).collect();
    let dead = machine.queue().dead_letters(1000).unwrap();
    let mut wrong = Vec::new();
    for (name, end) in &expected {
        let letter = dead.iter().find(|letter| letter.body.contains(name.as_str()));
        let problems = match (jobs.get(name), letter) {
            (Some(job), None) => {
                let made = &job.manifest.renditions;
                let sizes: Vec<String> =
                    made.iter().map(|made| format!("{}x{}", made.width, made.height)).collect();
                println!("{name}: {} {:?}", sizes.join(" "), job.manifest.warnings);
                problems_of_renditions(*end, job)
            }
            (None, Some(letter)) => {
                println!("{name}: {}: {}", letter.reason, letter.detail.lines().next().unwrap_or_default());
                problems_of_failure(*end, letter)
            }
            (job, letter) => {
                vec![format!("not renditions or a dead letter: {job:?}, {letter:?}")]
            }
        };
        wrong.extend(problems.into_iter().map(|problem| format!("{name}: {problem}")));
    }
    assert!(wrong.is_empty(), "{} things are wrong:\n{}\n{ended}", wrong.len(), wrong.join("\n"));
    assert_eq!(jobs.len() + dead.len(), expected.len(), "each once: {dead:?}");
    assert_nothing_else(&machine.output(), &jobs.into_values().collect::<Vec<_>>());
    machine.assert_tidy();
    println!("clips: {} run", expected.len());
}

fn problems_of_failure(expected: Expected, letter: &DeadLetter) -> Vec<String> {
    let mut wrong = Vec::new();
    if expected == Expected::Renditions {
        wrong.push(format!("should have renditions: {}: {}", letter.reason, letter.detail));
    }
    if letter.detail.len() <= 10 {
        wrong.push(format!("a person would not understand why: {letter:?}"));
    }
    // A deadline may be a busy machine's doing: it is final when it is met again.
    let tries = if letter.reason == "deadline" { 2 } else { 1 };
    if letter.receive_count != tries {
        wrong.push(format!("what can never work was tried {} times", letter.receive_count));
    }
    wrong
}

/// Sizes are the ladder's, and ffprobe sees what the manifest says. Durations are held against the manifest's own:
/// the headers of these masters are seldom to be believed.
fn problems_of_renditions(expected: Expected, job: &Published) -> Vec<String> {
    let mut wrong = Vec::new();
    let master = &job.manifest.master;
    if expected == Expected::Failure {
        wrong.push("should have failed".to_owned());
    }
    if expected == Expected::Either && job.manifest.warnings.is_empty() {
        wrong.push("what is wrong with it is not said".to_owned());
    }
    let short = master.width.min(master.height);
    let rungs: Vec<u32> = LADDER.into_iter().filter(|rung| *rung <= short).collect();
    // Smaller than every rung: one at its own size, made even.
    let sides = if rungs.is_empty() { vec![short - short % 2] } else { rungs };
    if job.short_sides() != sides {
        wrong.push(format!("short sides {:?} instead of {sides:?}", job.short_sides()));
    }
    for rendition in &job.manifest.renditions {
        let seen = probe(&job.file(rendition));
        let found = (seen.width, seen.height, seen.frames, seen.audio, seen.square);
        let said = (rendition.width, rendition.height, rendition.frames, master.audio_codec.is_some(), true);
        if found != said {
            wrong.push(format!("{}: ffprobe sees {found:?}, it should be {said:?}", rendition.name));
        }
        let seconds = f64::from(u32::try_from(master.duration_ms).unwrap()) / 1000.0;
        // The beginning of a sound that starts a little before the picture is kept.
        if (seen.seconds - seconds).abs() > seen.frame_seconds.max(0.15) + 0.001 {
            wrong.push(format!("{}: lasts {} s, the master {seconds} s", rendition.name, seen.seconds));
        }
    }
    wrong
}

fn read_expected(folder: &std::path::Path) -> Vec<(String, Expected)> {
    let text = std::fs::read_to_string(folder.join("expected.tsv")).unwrap();
    let rows = text.lines().skip(1).filter(|line| !line.is_empty());
    rows.map(|line| {
        let mut columns = line.split('\t');
        let (name, end) = (columns.next().unwrap(), columns.next().unwrap());
        let end = match end {
            "renditions" => Expected::Renditions,
            "failure" => Expected::Failure,
            "either" => Expected::Either,
            other => panic!("expected.tsv: `{other}` is not understood: {line}"),
        };
        (name.to_owned(), end)
    })
    .collect()
}

/// Some that can be made anywhere, so that this test is never empty.
fn made_clips(machine: &Machine) -> Vec<(String, Expected)> {
    let good = Clip::default().file();
    machine.add(&good, "made-good.mp4");
    let put = |name: &str, bytes: &[u8]| {
        let file = machine.data().join("to-be-added");
        std::fs::write(&file, bytes).unwrap();
        machine.add(&file, name);
    };
    put("made-empty.mp4", b"");
    put("made-text.mp4", &b"not a video\n".repeat(200));
    put(
        "made-playlist.mp4",
        b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/hostname\n#EXT-X-ENDLIST\n",
    );
    let bytes = std::fs::read(&good).unwrap();
    put("made-cut.mp4", &bytes[..bytes.len() / 3]);
    [
        ("made-good.mp4", Expected::Renditions),
        ("made-empty.mp4", Expected::Failure),
        ("made-text.mp4", Expected::Failure),
        ("made-playlist.mp4", Expected::Failure),
        ("made-cut.mp4", Expected::Failure),
    ]
    .map(|(name, end)| (name.to_owned(), end))
    .to_vec()
}
