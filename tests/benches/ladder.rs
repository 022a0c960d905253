//! What a ladder costs from a 4K master: (a) one ffmpeg for each rung, (b) the worker, with verification, packaging and
//! pictures, and (c) the worker's own ffmpeg commands run bare; and whether scaling each rung from the next larger one
//! can be seen (VMAF).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a benchmark is a test of speed")]

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use reelpool_media::arguments::{PIECES, Share, encode, join, stills};
use reelpool_media::package::layout;
use reelpool_media::{
    Engine, Limits, Piece, Plan, PlanOptions, Planned, Sandbox, Source, Stills, Tools, plan,
};
use reelpool_protocol::Profile;
use reelpool_tests::binaries::reelpool_worker;
use reelpool_tests::{clips, repository};
use tempfile::TempDir;

const LADDER: &str = "2160p,1440p,1080p,720p,480p,360p";
const PRESETS: [&str; 2] = ["veryfast", "medium"];
const ROUNDS: usize = 3;
const SECONDS: u32 = 2;
/// Runs a command, and tells processor seconds and the peak memory, in KiB, of it and all below it.
const METER: &str = "import resource, subprocess, sys
ended = subprocess.call(sys.argv[1:], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(used.ru_utime + used.ru_stime, used.ru_maxrss)
sys.exit(ended)";

/// What some processes used.
#[derive(Debug, Clone, Copy, Default)]
struct Used {
    cpu_seconds: f64,
    /// Of the largest process, in MiB.
    peak_mib: u64,
}

#[tokio::main]
async fn main() {
    let folder = TempDir::new().unwrap();
    let master = master(folder.path());
    let engine =
        Engine { tools: Tools::find(None, None).unwrap(), sandbox: Sandbox::Off, limits: Limits::default() };
    let source = engine.probe(&master).await.unwrap();
    println!(
        "{SECONDS} s of 3840x2160 at 30 frames/s, {LADDER}, {} threads, median of {ROUNDS}",
        engine.limits.threads
    );
    for preset in PRESETS {
        let mut used: [Vec<Used>; 3] = Default::default();
        let mut places = None;
        // In turns, so that a machine that slows down slows all.
        for _ in 0..ROUNDS {
            let place = || TempDir::new_in(folder.path()).unwrap();
            let (apart, whole, bare) = (place(), place(), place());
            used[0].push(one_by_one(&engine, &master, &source, preset, apart.path()));
            used[1].push(worker(&master, preset, whole.path()));
            used[2].push(commands(&engine, &master, &source, preset, bare.path()));
            places = Some((apart, whole));
        }
        let [a, b, c] = used.map(median);
        println!("{preset}: (a) one ffmpeg for each rung {:6.2} CPU s, {:5} MiB", a.cpu_seconds, a.peak_mib);
        println!("{preset}: (b) the worker              {:6.2} CPU s, {:5} MiB", b.cpu_seconds, b.peak_mib);
        println!("{preset}: (c) its commands, bare      {:6.2} CPU s, {:5} MiB", c.cpu_seconds, c.peak_mib);
        println!(
            "{preset}: b/a {:.3}, b/c {:.3}",
            b.cpu_seconds / a.cpu_seconds,
            b.cpu_seconds / c.cpu_seconds
        );
        let (apart, whole) = places.unwrap();
        if preset == PRESETS[0] {
            compare(&master, &plan_of(&engine, &source, preset, LADDER), apart.path(), whole.path());
        }
    }
}

/// Real footage, scaled up, with grain.
fn master(folder: &Path) -> PathBuf {
    let path = folder.join("master.mp4");
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-i"]).arg(clips::demo("bigbuckbunny.mp4"));
    command.args(["-vf", "fps=30,scale=3840:2160:flags=lanczos,noise=c0s=5:c0f=t,format=yuv420p"]);
    command.args([
        "-t",
        &SECONDS.to_string(),
        "-an",
        "-c:v",
        "libx264",
        "-preset",
        "veryfast",
        "-b:v",
        "65M",
    ]);
    assert!(command.arg(&path).status().unwrap().success());
    path
}

fn plan_of(engine: &Engine, source: &Source, preset: &str, ladder: &str) -> Plan {
    let profile = Profile::default().with_x264_preset(preset.parse().unwrap()).unwrap();
    plan(source, &ladder.parse().unwrap(), &PlanOptions { profile, threads: engine.limits.threads })
}

fn encode_args(engine: &Engine, plan: &Plan, source: &Source, master: &Path) -> Vec<OsString> {
    let renditions = 0..plan.renditions.len();
    let share = Share { number: 0, piece: Piece::WHOLE, renditions, sound: plan.audio.is_some() };
    encode(plan, source, master, &share, &engine.limits)
}

/// (a): each rung is decoded and scaled for itself, with the same encoder's options.
fn one_by_one(engine: &Engine, master: &Path, source: &Source, preset: &str, place: &Path) -> Used {
    std::fs::create_dir(place.join(PIECES)).unwrap();
    let one = |rung| {
        let plan = plan_of(engine, source, preset, rung);
        measured(place, "ffmpeg", &encode_args(engine, &plan, source, master))
    };
    LADDER.split(',').map(one).fold(Used::default(), add)
}

/// (b)
fn worker(master: &Path, preset: &str, place: &Path) -> Used {
    let args = ["transcode", "--ladder", LADDER, "--preset", preset, "--force", "--out"];
    let args = args.iter().map(OsString::from).chain([place.into(), master.into()]).collect::<Vec<_>>();
    measured(place, reelpool_worker(), &args)
}

/// (c)
fn commands(engine: &Engine, master: &Path, source: &Source, preset: &str, place: &Path) -> Used {
    for folder in [PIECES, layout::TRACKS] {
        std::fs::create_dir(place.join(folder)).unwrap();
    }
    let plan = plan_of(engine, source, preset, LADDER);
    let taken = Stills::of(&plan, plan.grid.frames(source));
    let all = [encode_args(engine, &plan, source, master), join(&plan), stills(&plan, &taken)];
    all.iter().map(|args| measured(place, "ffmpeg", args)).fold(Used::default(), add)
}

fn measured(place: &Path, program: impl AsRef<std::ffi::OsStr>, args: &[OsString]) -> Used {
    let mut command = Command::new("python3");
    command.args(["-c", METER]).arg(program).args(args).current_dir(place).stderr(Stdio::piped());
    let done = command.output().unwrap();
    assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
    let text = String::from_utf8(done.stdout).unwrap();
    let (cpu, peak) = text.trim().split_once(' ').unwrap();
    Used { cpu_seconds: cpu.parse().unwrap(), peak_mib: peak.parse::<u64>().unwrap() / 1024 }
}

fn add(a: Used, b: Used) -> Used {
    Used { cpu_seconds: a.cpu_seconds + b.cpu_seconds, peak_mib: a.peak_mib.max(b.peak_mib) }
}

fn median(mut used: Vec<Used>) -> Used {
    used.sort_by(|a, b| a.cpu_seconds.total_cmp(&b.cpu_seconds));
    used[used.len() / 2]
}

/// VMAF of each rung against the master scaled to its size: scaled for itself, and by the pyramid.
fn compare(master: &Path, plan: &Plan, apart: &Path, whole: &Path) {
    let Some(ffmpeg) = ffmpeg_with_vmaf() else {
        println!("VMAF: not measured, there is no ffmpeg with libvmaf: scripts/bench ladder installs one");
        return;
    };
    for rendition in &plan.renditions {
        let direct = apart.join(reelpool_media::arguments::piece_file(0, rendition));
        let [direct, pyramid] =
            [direct, whole.join(rendition.file_name())].map(|made| vmaf(&ffmpeg, &made, master, rendition));
        let name = &rendition.name;
        println!(
            "VMAF {name:>6}: scaled directly {direct:6.2}, by the pyramid {pyramid:6.2}, {:+.2}",
            pyramid - direct
        );
    }
}

fn vmaf(ffmpeg: &Path, made: &Path, master: &Path, Planned { width, height, .. }: &Planned) -> f64 {
    // Paired by number: the two files round times differently.
    let counted = "settb=AVTB,setpts=N/30/TB";
    let graph = format!(
        "[0:v]{counted}[made];[1:v]scale={width}:{height}:flags=bicubic,{counted}[master];[made][master]libvmaf"
    );
    let mut command = Command::new(ffmpeg);
    command.args(["-hide_banner", "-nostdin", "-i"]).arg(made).arg("-i").arg(master);
    let done = command.args(["-lavfi", &graph, "-f", "null", "-"]).output().unwrap();
    let text = String::from_utf8_lossy(&done.stderr).into_owned();
    let score = text.rsplit_once("VMAF score: ").unwrap_or_else(|| panic!("{text}")).1;
    score.lines().next().unwrap().trim().parse().unwrap()
}

/// The one that Python package `imageio-ffmpeg` carries.
fn ffmpeg_with_vmaf() -> Option<PathBuf> {
    let python = repository().join(".tools/python/bin/python");
    let ask = "import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())";
    let done = Command::new(python).args(["-c", ask]).stderr(Stdio::null()).output().ok()?;
    let path = String::from_utf8(done.stdout).ok()?;
    (!path.trim().is_empty()).then(|| path.trim().into())
}
