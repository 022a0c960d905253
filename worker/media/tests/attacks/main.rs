//! Masters that would have ffmpeg open files and connections, tried on engines that lack layers: no layer alone is
//! the only thing that holds.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "tests")]

mod forms;
mod layers;
#[path = "../support/mod.rs"]
mod support;
mod witness;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use forms::{Form, Gets, Ground, Worn};
use layers::{COLUMNS, Layer, NONE, without};
use reelpool_media::{KeepNothing, MediaError, Source};
use witness::{Seen, Witness, strace_works};

/// What came of one form on one engine.
struct Cell {
    /// The error's category, or `ok`.
    ended: String,
    permanent: bool,
    seen: Seen,
}

fn cell<T>(result: Result<T, MediaError>, seen: Seen) -> Cell {
    match result {
        Ok(_) => Cell { ended: "ok".into(), permanent: false, seen },
        Err(error) => {
            assert!(!error.to_string().contains('\n'), "{error}");
            Cell { ended: error.category().into(), permanent: error.is_permanent(), seen }
        }
    }
}

struct Bench<'a> {
    ground: &'a Ground,
    innocent: Source,
    traced: bool,
}

impl Bench<'_> {
    async fn probe(&self, form: &Form, off: &[Layer]) -> Cell {
        let master = self.ground.path("in/master");
        let first =
            if off.contains(&Layer::Sniff) { &self.ground.path("forms/innocent.mp4") } else { &form.file };
        std::fs::copy(first, &master).unwrap();
        let engine = without(self.ground, form, off, self.traced);
        let witness = Witness::new(self.ground);
        let result = engine.probe(&master).await;
        cell(result, witness.testify())
    }

    /// As if the probe had been deceived altogether.
    async fn transcode(&self, form: &Form, off: &[Layer]) -> Cell {
        let (master, out) = (self.ground.path("in/master"), self.ground.path("out"));
        std::fs::copy(&form.file, &master).unwrap();
        let _ = std::fs::remove_dir_all(&out);
        std::fs::create_dir(&out).unwrap();
        let engine = without(self.ground, form, off, self.traced);
        let plan = support::cheap_plan(&self.innocent, "144p");
        let witness = Witness::new(self.ground);
        let job = support::job(&master, &self.innocent, &plan, &out);
        let result = engine.transcode(&job, &KeepNothing, |_| (), std::future::pending()).await;
        cell(result, witness.testify())
    }
}

async fn bench(ground: &Ground) -> Bench<'_> {
    let traced = strace_works();
    if !traced {
        println!("strace is not here or may not trace: the kernel's own word and the listener's only");
    }
    let innocent = support::engine().probe(&ground.path("forms/innocent.mp4")).await.unwrap();
    Bench { ground, innocent, traced }
}

/// Whether a column says anything of a form's probe, and of its transcode.
fn applies(form: &Form, column: &str) -> (bool, bool) {
    match column {
        // A transcode does not look at the first bytes: it is "all on" to it. Limits are not of files and calls.
        "sniff off" | "limits off" => (true, false),
        // Without the cage, "only formats" tells of the others.
        "tracks off" | "cage off" => (form.demuxer() == "mov", form.demuxer() == "mov"),
        // Our own look does not guard against what wears a container.
        "only sniff" => (form.worn == Worn::Nothing, false),
        // To the demuxer that is let in, these are what they should be.
        "only formats" => (form.demuxer() != "mov", form.demuxer() != "mov"),
        _ => (true, true),
    }
}

/// What a form may end with. Where the formats are not held back, an ffmpeg that is held back by others fails in words
/// of its own; so it does where the picture is elsewhere.
fn may_end_with(form: &Form, off: &[Layer], step: &str) -> Vec<&'static str> {
    let is_off = |layer| off.contains(&layer);
    if step == "probe" && form.worn == Worn::Nothing && !is_off(Layer::Sniff) {
        return vec!["not_media"];
    }
    let mut reasons = vec!["unsupported_format", "corrupt_input", "truncated_input"];
    if is_off(Layer::Formats) || form.demuxer() == "mov" {
        reasons.extend(["no_video", "ffmpeg_failed"]);
    }
    if form.fine {
        reasons.push("ok");
    }
    reasons
}

type Rows = BTreeMap<&'static str, Vec<String>>;

/// Tries every second form on all engines; the cells, and what is wrong.
async fn half(first: usize) -> (Rows, Vec<String>) {
    let ground = Ground::new();
    let bench = bench(&ground).await;
    let (mut rows, mut wrong) = (Rows::new(), Vec::new());
    for form in ground.forms().iter().skip(first).step_by(2) {
        let mut row = Vec::new();
        for (column, off) in COLUMNS {
            let (probes, transcodes) = applies(form, column);
            let mut ends = Vec::new();
            for (applies, step) in [(probes, "probe"), (transcodes, "transcode")] {
                if !applies {
                    ends.push("-".to_owned());
                    continue;
                }
                let cell = match step {
                    "probe" => bench.probe(form, off).await,
                    _ => bench.transcode(form, off).await,
                };
                let expected = may_end_with(form, off, step).contains(&cell.ended.as_str());
                let final_one = cell.permanent || cell.ended == "ok";
                if !cell.seen.is_nothing() || !expected || !final_one {
                    wrong.push(format!("{}, {column}, {step}: {}, {:?}", form.name, cell.ended, cell.seen));
                }
                ends.push(cell.ended);
            }
            row.push(ends.join(" / "));
        }
        rows.insert(form.name, row);
    }
    (rows, wrong)
}

#[tokio::test]
async fn no_layer_alone_is_what_holds() {
    let ((mut rows, mut wrong), (more, more_wrong)) = tokio::join!(half(0), half(1));
    rows.extend(more);
    wrong.extend(more_wrong);
    print(&rows);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn print(rows: &Rows) {
    println!("what the probe / the transcode of each form ended with; nothing was opened and nobody called:");
    print!("{:22}", "");
    let line = |name: &str, cells: Vec<&str>| {
        print!("{name:22}");
        for cell in cells {
            print!(" | {cell:34}");
        }
        println!();
    };
    line("", COLUMNS.map(|(column, _)| column).into());
    for (name, cells) in rows {
        line(name, cells.iter().map(String::as_str).collect());
    }
}

#[tokio::test]
async fn with_all_layers_off_the_attacks_succeed() {
    let ground = Ground::new();
    let bench = bench(&ground).await;
    let demuxers = demuxers();
    let old = support::engine().tools.version.contains("version 5.1");
    let (mut files, mut calls, mut shown, mut wrong) = (0, 0, 0, Vec::new());
    for form in &ground.forms() {
        if !demuxers.contains(form.demuxer()) {
            println!("{}: NOT SHOWN, this ffmpeg has no demuxer `{}`", form.name, form.demuxer());
            continue;
        }
        let cell = bench.probe(form, NONE).await;
        let seen = (!cell.seen.opened.is_empty(), !cell.seen.called.is_empty());
        if seen.0 && cell.ended == "ok" {
            let made = bench.transcode(form, NONE).await;
            shown += u32::from(made.ended == "ok" && is_red(&ground.path("out/144p.mp4")));
        }
        println!("{}: {} {:?}", form.name, cell.ended, cell.seen);
        files += u32::from(seen.0);
        calls += u32::from(seen.1);
        let expected = match form.gets {
            Gets::Nothing => (false, false),
            Gets::File => (true, false),
            Gets::Call => (false, true),
            // Only strace sees it.
            Gets::Socket => (false, bench.traced),
            Gets::Both => (true, true),
        };
        if old && seen != expected {
            wrong.push(format!("{}: {:?}", form.name, cell.seen));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    println!("{files} opened a file, {calls} called, {shown} showed the victim in a rendition");
    assert!(files > 0 && shown > 0 && calls > 0, "no attack works here: the other test shows nothing");
}

/// The demuxers that this ffmpeg has: lines such as ` D  mov,mp4,m4a,3gp,3g2,mj2 QuickTime / MOV`.
fn demuxers() -> BTreeSet<String> {
    let out =
        Command::new(support::engine().tools.ffmpeg).args(["-v", "error", "-demuxers"]).output().unwrap();
    let text = String::from_utf8(out.stdout).unwrap();
    let names = text.lines().filter_map(|line| line.split_whitespace().nth(1));
    names.flat_map(|names| names.split(',')).map(str::to_owned).collect()
}

/// Whether a video's first frame is plain red, as the victims are.
fn is_red(video: &Path) -> bool {
    let ffmpeg = support::engine().tools.ffmpeg;
    let args = ["-v", "error", "-i", &video.display().to_string(), "-frames:v", "1"].map(str::to_owned);
    let pixel = ["-vf", "scale=1:1", "-pix_fmt", "rgb24", "-f", "rawvideo", "-"];
    let out = Command::new(ffmpeg).args(args).args(pixel).output().unwrap().stdout;
    matches!(out[..], [red, green, blue] if red > 150 && green < 80 && blue < 80)
}
