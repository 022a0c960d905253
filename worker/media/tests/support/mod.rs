//! What the integration tests share: engines, clips made by ffmpeg, and a look at files with ffprobe.
#![allow(dead_code, reason = "each test file uses its part")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use reelpool_media::{
    Engine, Job, KeepNothing, Limits, MediaError, Plan, PlanOptions, Sandbox, Source, Tools, Transcoded, plan,
};
use reelpool_protocol::Profile;
use serde_json::Value;

/// The engine as the worker has it.
pub fn engine() -> Engine {
    Engine {
        tools: Tools::find(None, None).unwrap(),
        sandbox: Sandbox::Via(env!("CARGO_BIN_EXE_reelpool-media-cage").into()),
        limits: Limits { threads: 2, ..Limits::default() },
    }
}

/// The engine without its cage.
pub fn free_engine() -> Engine {
    Engine { sandbox: Sandbox::Off, ..engine() }
}

/// A plan that costs little.
pub fn cheap_plan(source: &Source, ladder: &str) -> Plan {
    cheap_plan_in_pieces(source, ladder, 60)
}

/// The same, in pieces of so many seconds.
pub fn cheap_plan_in_pieces(source: &Source, ladder: &str, piece_seconds: u32) -> Plan {
    let profile = format!(r#"{{"video":{{"preset":"ultrafast"}},"chunkSeconds":{piece_seconds}}}"#);
    plan_by(source, ladder, &profile)
}

/// A plan by a profile in JSON.
pub fn plan_by(source: &Source, ladder: &str, profile: &str) -> Plan {
    let options = PlanOptions { profile: Profile::from_json(profile).unwrap(), threads: 2 };
    plan(source, &ladder.parse().unwrap(), &options)
}

/// Probe, plan, transcode, verify.
pub async fn whole(
    engine: &Engine,
    input: &Path,
    ladder: &str,
    out: &Path,
) -> Result<Transcoded, MediaError> {
    let source = engine.probe(input).await?;
    let plan = cheap_plan(&source, ladder);
    let job = job(input, &source, &plan, out);
    engine.transcode(&job, &KeepNothing, |_| (), std::future::pending()).await
}

/// A transcode into `out_dir`.
pub fn job<'a>(input: &'a Path, source: &'a Source, plan: &'a Plan, out_dir: &'a Path) -> Job<'a> {
    Job { input, source, plan, out_dir }
}

/// Makes a clip with ffmpeg: `args` stand before the output.
pub fn make(folder: &Path, name: &str, args: &str) -> PathBuf {
    let path = folder.join(name);
    let done = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-y"])
        .args(args.split(' '))
        .arg(&path)
        .output()
        .unwrap();
    assert!(done.status.success(), "{args}: {}", String::from_utf8_lossy(&done.stderr));
    path
}

/// A moving picture and a tone, `seconds` long.
pub fn clip(folder: &Path, name: &str, size: &str, rate: &str, seconds: u32) -> PathBuf {
    let args = format!(
        "-f lavfi -i testsrc2=s={size}:r={rate}:d={seconds} -f lavfi -i sine=d={seconds} -c:v libx264 -preset \
         ultrafast -pix_fmt yuv420p -c:a aac"
    );
    make(folder, name, &args)
}

/// All files in a folder and its folders.
pub fn files_below(folder: &Path) -> BTreeSet<PathBuf> {
    let mut files = BTreeSet::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_below(&path));
        } else {
            files.insert(path);
        }
    }
    files
}

/// All files that a transcode tells of.
pub fn announced(done: &Transcoded) -> BTreeSet<PathBuf> {
    let renditions = done.renditions.iter().map(|rendition| rendition.path.clone());
    renditions.chain(done.companions.iter().map(|companion| companion.path.clone())).collect()
}

/// ffprobe's streams of a file.
pub fn streams(path: &Path) -> Vec<Value> {
    let out = Command::new("ffprobe")
        .args(["-v", "error", "-count_packets", "-show_streams", "-of", "json"])
        .arg(path)
        .output()
        .unwrap();
    let document: Value = serde_json::from_slice(&out.stdout).unwrap();
    document["streams"].as_array().unwrap().clone()
}

/// A number that ffprobe writes as text.
pub fn number(value: &Value) -> f64 {
    value.as_str().map_or_else(|| value.as_f64().unwrap(), |text| text.parse().unwrap())
}

/// Whether any process has `needle` in its command line.
pub fn runs(needle: &str) -> bool {
    !running(needle).is_empty()
}

/// The processes that name `needle` in their command line.
pub fn running(needle: &str) -> Vec<rustix::process::Pid> {
    let table = std::fs::read_dir("/proc").unwrap().flatten();
    let named = table.filter(|entry| {
        let command = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&command).contains(needle)
    });
    let pid = |entry: std::fs::DirEntry| entry.file_name().to_str()?.parse().ok();
    named.filter_map(pid).filter_map(rustix::process::Pid::from_raw).collect()
}

/// Waits until `condition`, for at most ten seconds.
pub async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let end = tokio::time::Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(tokio::time::Instant::now() < end, "in ten seconds not: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
