//! A long master is made in pieces: what comes out is what one go would have made, and nothing is made twice.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "tests")]

mod support;

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use reelpool_media::{
    Engine, Keep, KeepNothing, MediaError, Plan, PlanOptions, Progress, Source, Transcoded, plan,
};
use reelpool_protocol::Profile;
use support::{announced, cheap_plan_in_pieces, engine, files_below, free_engine, job, make};

/// Pieces of ten seconds, so that clips can be short.
const PIECE: u32 = 10;
const LADDER: &str = "144p,72p";

/// Keeps pieces in a folder, and says which it was given and which it gave.
#[derive(Debug)]
struct Shelf {
    folder: tempfile::TempDir,
    kept: Mutex<Vec<String>>,
    taken: Mutex<BTreeSet<String>>,
}

impl Shelf {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), kept: Mutex::default(), taken: Mutex::default() }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn kept(&self) -> Vec<String> {
        std::mem::take(&mut self.kept.lock().unwrap())
    }
}

impl Keep for Shelf {
    async fn keep(&self, name: &str, file: &Path) {
        std::fs::copy(file, self.file(name)).unwrap();
        self.kept.lock().unwrap().push(name.to_owned());
    }

    async fn take(&self, name: &str, into: &Path) -> bool {
        assert!(!into.exists());
        let there = self.file(name).exists() && std::fs::copy(self.file(name), into).is_ok();
        if there {
            self.taken.lock().unwrap().insert(name.to_owned());
        }
        there
    }
}

/// When each frame of the picture is shown, in the ticks of the file, and whether it is a key frame.
fn frames(file: &Path) -> Vec<String> {
    let out = Command::new("ffprobe")
        .args([
            "-v",
            "error",
            "-select_streams",
            "v:0",
            "-show_entries",
            "packet=pts_time,flags",
            "-of",
            "csv=p=0",
        ])
        .arg(file)
        .output()
        .unwrap();
    let mut lines: Vec<String> = String::from_utf8(out.stdout).unwrap().lines().map(str::to_owned).collect();
    lines.sort_by(|a, b| time(a).total_cmp(&time(b)));
    lines
}

fn time(line: &str) -> f64 {
    line.split(',').next().unwrap().parse().unwrap()
}

/// The worst frame of one file against another, in decibels.
fn worst_frame(one: &Path, other: &Path) -> f64 {
    let graph = "[0:v]settb=AVTB[a];[1:v]settb=AVTB[b];[a][b]psnr=stats_file=-";
    let out = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-i"])
        .arg(one)
        .arg("-i")
        .arg(other)
        .args(["-filter_complex", graph, "-f", "null", "-"])
        .output()
        .unwrap();
    let text = String::from_utf8(out.stdout).unwrap();
    let of = |line: &str| line.split("psnr_avg:").nth(1)?.split(' ').next()?.parse::<f64>().ok();
    text.lines().filter_map(of).fold(f64::INFINITY, f64::min)
}

async fn whole(
    engine: &Engine,
    input: &Path,
    piece: u32,
    keep: &impl Keep,
    out: &Path,
) -> Result<Transcoded, MediaError> {
    let (source, plan) = planned(engine, input, piece).await;
    engine.transcode(&job(input, &source, &plan, out), keep, |_| (), std::future::pending()).await
}

async fn planned(engine: &Engine, input: &Path, piece: u32) -> (Source, Plan) {
    let source = engine.probe(input).await.unwrap();
    let plan = cheap_plan_in_pieces(&source, LADDER, piece);
    (source, plan)
}

/// A picture that changes all the time and a tone, 36 seconds.
fn long(folder: &Path, name: &str, rate: &str, more: &str) -> PathBuf {
    let args = format!(
        "-f lavfi -i testsrc2=s=320x180:r={rate}:d=36 -f lavfi -i sine=d=36 -c:v libx264 -preset ultrafast -pix_fmt \
         yuv420p -c:a aac {more}"
    );
    make(folder, name, &args)
}

#[tokio::test]
async fn pieces_come_to_what_one_go_makes() {
    let folder = tempfile::tempdir().unwrap();
    let table = [
        long(folder.path(), "plain.mp4", "30000/1001", "-g 250"),
        long(folder.path(), "open.mp4", "25", "-bf 3 -x264opts open-gop=1:keyint=75"),
        // Frames are missing here and there.
        long(folder.path(), "variable.mkv", "30", "-vf select='mod(n,7)*mod(n,11)' -fps_mode vfr"),
        long(folder.path(), "stream.ts", "50", "-g 100"),
    ];
    for input in table {
        let (one, many) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let shelf = Shelf::new();
        let whole_one = whole(&engine(), &input, 3600, &KeepNothing, one.path()).await.unwrap();
        let whole_many = whole(&engine(), &input, PIECE, &shelf, many.path()).await.unwrap();
        let name = input.file_name().unwrap().display();
        assert_eq!(shelf.kept().len(), 1 + 4 * 2, "{name}: the sound, and four pieces of each");
        assert_eq!((whole_one.warnings, &whole_many.warnings), (Vec::new(), &Vec::new()), "{name}");
        for (a, b) in whole_one.renditions.iter().zip(&whole_many.renditions) {
            assert_eq!(frames(&a.path), frames(&b.path), "{name} {}", a.name);
            assert_eq!((a.frames, a.duration_ms, a.audio), (b.frames, b.duration_ms, b.audio), "{name}");
            let worst = worst_frame(&a.path, &b.path);
            assert!(worst > 25.0, "{name} {}: a frame is {worst} dB away", a.name);
        }
        assert_eq!(files_below(many.path()), announced(&whole_many), "nothing but what is told of");
    }
}

#[tokio::test]
async fn pieces_of_av1_are_joined_by_copying_too() {
    let folder = tempfile::tempdir().unwrap();
    let input = long(folder.path(), "plain.mp4", "30000/1001", "-g 250");
    let engine = engine();
    let source = engine.probe(&input).await.unwrap();
    let mut all = Vec::new();
    for (piece, pieces) in [(3600, 1), (PIECE, 4)] {
        let text = format!(r#"{{"video":{{"codec":"av1","preset":"13"}},"chunkSeconds":{piece}}}"#);
        let options = PlanOptions { profile: Profile::from_json(&text).unwrap(), threads: 2 };
        let plan = plan(&source, &LADDER.parse().unwrap(), &options);
        assert_eq!(plan.grid.pieces.len(), pieces);
        let out = tempfile::tempdir().unwrap();
        let job = job(&input, &source, &plan, out.path());
        let done = engine.transcode(&job, &KeepNothing, |_| (), std::future::pending()).await.unwrap();
        assert_eq!(done.warnings, Vec::<String>::new());
        all.push((out, done));
    }
    for (a, b) in all[0].1.renditions.iter().zip(&all[1].1.renditions) {
        assert_eq!(frames(&a.path), frames(&b.path), "{}", a.name);
        assert_eq!((a.frames, a.duration_ms, a.audio), (b.frames, b.duration_ms, b.audio));
        // Every frame is decoded, from the first piece to the last.
        let worst = worst_frame(&a.path, &b.path);
        assert!(worst > 20.0, "{}: a frame is {worst} dB away", a.name);
    }
}

#[tokio::test]
async fn what_was_done_is_not_done_again() {
    let folder = tempfile::tempdir().unwrap();
    let input = long(folder.path(), "plain.mp4", "30", "-g 60");
    let (engine, shelf) = (engine(), Shelf::new());
    let (source, plan) = planned(&engine, &input, PIECE).await;
    // Ends in the middle of the second piece.
    let out = tempfile::tempdir().unwrap();
    let shown = Mutex::new(0);
    let cancel = async {
        while *shown.lock().unwrap() <= 300 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    let note = |progress: Progress| *shown.lock().unwrap() = progress.frames;
    let ended = engine.transcode(&job(&input, &source, &plan, out.path()), &shelf, note, cancel).await;
    assert_eq!(ended.unwrap_err().category(), "cancelled");
    let first = ["sound.mp4", "00000-144p.mp4", "00000-72p.mp4"];
    assert_eq!(shelf.kept(), first);
    // The next attempt goes on from there.
    let out = tempfile::tempdir().unwrap();
    let mut permille = Vec::new();
    let note = |progress: Progress| permille.push(progress.permille);
    let job = job(&input, &source, &plan, out.path());
    let done = engine.transcode(&job, &shelf, note, std::future::pending()).await.unwrap();
    let rest = (1..4).flat_map(|n| ["144p", "72p"].map(|rung| format!("{n:05}-{rung}.mp4")));
    assert_eq!(shelf.kept(), rest.collect::<Vec<_>>());
    assert_eq!(*shelf.taken.lock().unwrap(), first.map(str::to_owned).into());
    assert_eq!(done.renditions.iter().map(|r| r.frames).collect::<Vec<_>>(), [1080, 1080]);
    assert!(permille[0] >= 277 && permille.is_sorted() && permille.last() == Some(&1000), "{permille:?}");
    // A third one with a piece that is spoiled, one that is another's, and one that is cut makes those again.
    std::fs::write(shelf.file("00000-144p.mp4"), "no video").unwrap();
    std::fs::copy(shelf.file("00000-72p.mp4"), shelf.file("00001-144p.mp4")).unwrap();
    let cut = std::fs::read(shelf.file("00002-72p.mp4")).unwrap();
    std::fs::write(shelf.file("00002-72p.mp4"), &cut[..cut.len() / 2]).unwrap();
    let out = tempfile::tempdir().unwrap();
    let done = whole(&engine, &input, PIECE, &shelf, out.path()).await.unwrap();
    assert_eq!(done.renditions[0].frames, 1080);
    let again: BTreeSet<String> = shelf.kept().into_iter().collect();
    for name in ["00000-144p.mp4", "00001-144p.mp4", "00002-72p.mp4"] {
        assert!(again.contains(name), "{again:?}");
    }
}

#[tokio::test]
async fn a_master_that_cannot_be_read_from_its_middle_is_made_in_one_go() {
    let folder = tempfile::tempdir().unwrap();
    let input = long(folder.path(), "plain.mp4", "30", "-g 60");
    let mut engine = free_engine();
    let (source, plan) = planned(&engine, &input, PIECE).await;
    // An ffmpeg that misses its aim: the second piece lacks some frames.
    let script = folder.path().join("ffmpeg");
    let text = format!(
        "#!/bin/bash\nexec {} \"${{@//end_frame=600/end_frame=595}}\"\n",
        engine.tools.ffmpeg.display()
    );
    std::fs::write(&script, text).unwrap();
    std::fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).unwrap();
    engine.tools.ffmpeg = script;
    let (out, shelf) = (tempfile::tempdir().unwrap(), Shelf::new());
    let job = job(&input, &source, &plan, out.path());
    let done = engine.transcode(&job, &shelf, |_| (), std::future::pending()).await.unwrap();
    assert_eq!(done.renditions[0].frames, 1080);
    assert!(!shelf.kept().contains(&"00001-144p.mp4".to_owned()), "what is wrong is not kept");
}
