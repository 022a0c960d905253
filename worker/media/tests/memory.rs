//! A child that has used up its memory is a failed job, and whoever started it lives on.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "tests")]

#[path = "support/meter.rs"]
mod meter;
mod support;

use std::future::pending;
use std::path::{Path, PathBuf};
use std::process::Command;

use meter::Meter;
use reelpool_media::{Engine, KeepNothing, Limits, PlanOptions, RenditionFile, plan};
use reelpool_protocol::Profile;
use support::{clip, engine, job, make, whole};

const MIB: u64 = 1 << 20;

/// However little there is, and wherever ffmpeg notices.
#[tokio::test]
async fn a_limit_of_any_size_is_told_as_such() {
    let folder = tempfile::tempdir().unwrap();
    let picture = "-f lavfi -i testsrc2=s=1280x720:r=25:d=1 -pix_fmt yuv420p";
    let masters = [
        make(folder.path(), "a.mp4", &format!("{picture} -c:v libx264 -preset ultrafast")),
        make(
            folder.path(),
            "b.mkv",
            &format!("{picture} -c:v libx265 -preset ultrafast -x265-params log-level=0"),
        ),
        make(folder.path(), "c.webm", &format!("{picture} -c:v libvpx-vp9 -deadline realtime -cpu-used 8")),
    ];
    let (mut told, mut wrong) = (0, Vec::new());
    for master in &masters {
        for memory in [8, 32, 64, 96].map(|mib| mib * MIB) {
            let engine = Engine { limits: Limits { memory: Some(memory), ..engine().limits }, ..engine() };
            let out = tempfile::tempdir().unwrap();
            if let Err(error) = whole(&engine, master, "720p,144p", out.path()).await {
                told += 1;
                if error.category() != "resource_limit" {
                    wrong.push(format!("{} with {} MiB: {}", master.display(), memory / MIB, error.detail()));
                }
            }
        }
    }
    println!("told {told} times");
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    assert!(told > masters.len(), "{told}");
}

#[tokio::test]
async fn with_little_memory_the_rungs_are_made_one_after_the_other() {
    let folder = tempfile::tempdir().unwrap();
    let master = clip(folder.path(), "master.mp4", "1280x720", "25", 3);
    let meter = Meter::new();
    let engine = meter.on(engine());
    let source = engine.probe(&master).await.unwrap();
    let options =
        PlanOptions { profile: Profile::from_json(r#"{"video":{"preset":"medium"}}"#).unwrap(), threads: 2 };
    let plan = plan(&source, &"720p,540p,360p,240p".parse().unwrap(), &options);
    let mut made = Vec::new();
    let mut peaks = Vec::new();
    let least = plan.fit(&source, Some(0)).needed * 9 / 8;
    for (limit, passes) in [(None, 1..=1), (Some(least), 2..=4)] {
        assert!(passes.contains(&plan.fit(&source, limit).passes.len()), "{plan:?}");
        let engine = Engine { limits: Limits { memory: limit, ..engine.limits.clone() }, ..engine.clone() };
        let out = tempfile::tempdir().unwrap();
        meter.read();
        let (job, mut shown) = (job(&master, &source, &plan, out.path()), Vec::new());
        let done = engine.transcode(&job, &KeepNothing, |now| shown.push(now.permille), pending()).await;
        let done = done.unwrap_or_else(|error| panic!("{limit:?}: {}", error.detail()));
        assert!(shown.is_sorted() && shown.last() == Some(&1000), "{shown:?}");
        assert_eq!(done.warnings, Vec::<String>::new());
        let used = meter.read().into_iter().filter(|used| used.program == "ffmpeg");
        peaks.push(used.map(|used| used.peak_bytes / MIB).max().unwrap());
        let each = |r: RenditionFile| (r.name, r.width, r.height, r.frames, r.duration_ms, r.audio);
        made.push(done.renditions.into_iter().map(each).collect::<Vec<_>>());
    }
    println!("in one pass {} MiB, in several {} MiB", peaks[0], peaks[1]);
    assert_eq!(made[0], made[1]);
    assert_eq!(made[0].len(), 4);
    assert!(peaks[1] < peaks[0] && peaks[1] * MIB < least, "{peaks:?}, {least}");
}

/// A control group (version 1 or 2) with a limit of memory; removed with it.
struct Container(PathBuf);

impl Container {
    /// Making one takes root, and a mount that can be written.
    fn new(name: &str, bytes: u64) -> Option<Self> {
        let unique = format!("reelpool-{name}-{}", std::process::id());
        let mounts = [("/sys/fs/cgroup", "memory.max"), ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")];
        mounts.iter().find_map(|(mount, limit)| {
            let container = Self(Path::new(mount).join(&unique));
            // A mount point without control groups is a folder like any other.
            std::fs::metadata(Path::new(mount).join("cgroup.procs")).ok()?;
            std::fs::create_dir(&container.0).ok()?;
            // Absent where there is no swap, or where it is not counted.
            let _ = std::fs::write(container.0.join("memory.swap.max"), "0");
            std::fs::write(container.0.join(limit), bytes.to_string()).ok()?;
            Some(container)
        })
    }

    /// Runs this program's ignored test `name` in it; whether it ended well, and what it said.
    fn run(&self, name: &str, variables: &[(&str, String)]) -> (bool, String) {
        let join = format!("echo $$ > {}/cgroup.procs && exec \"$@\"", self.0.display());
        let done = Command::new("/bin/sh")
            .args(["-c", &join, "sh"])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", name, "--ignored", "--nocapture", "--test-threads", "1"])
            .envs(variables.iter().map(|(key, value)| (key, value)))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned();
        (done.status.success() && said.contains("1 passed"), said)
    }

    /// Processes that the kernel killed in it.
    fn kills(&self) -> u64 {
        let read = |file: &str| std::fs::read_to_string(self.0.join(file)).unwrap_or_default();
        let counters = read("memory.events") + &read("memory.oom_control");
        let count = counters.lines().find_map(|line| line.strip_prefix("oom_kill "));
        count.unwrap().trim().parse().unwrap()
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir(&self.0);
    }
}

#[test]
fn a_child_comes_to_its_own_limit_before_the_containers_or_is_killed_in_the_workers_place() {
    let folder = tempfile::tempdir().unwrap();
    let master = clip(folder.path(), "master.mp4", "1920x1080", "30", 2);
    for (limit, ballast, ends, kills) in [
        (160 * MIB, 0, "resource_limit", false),
        (400 * MIB, 0, "ok", false),
        (400 * MIB, 370 * MIB, "resource_limit", true),
    ] {
        let Some(container) = Container::new("memory", limit) else {
            println!("no control group can be made here (it takes root): not tested");
            return;
        };
        let variables = [
            ("REELPOOL_TEST_MASTER", master.display().to_string()),
            ("REELPOOL_TEST_BALLAST", ballast.to_string()),
            ("REELPOOL_TEST_ENDS", ends.to_owned()),
        ];
        let (well, said) = container.run("in_a_small_container", &variables);
        assert!(well, "{said}");
        let how = said.lines().find(|line| line.contains("ended: ")).unwrap();
        println!("{} MiB, {} kills, {how}", limit / MIB, container.kills());
        assert_eq!(container.kills() > 0, kills, "{said}");
    }
}

/// The worker's stand-in, in a container of which it has some itself.
#[tokio::test]
#[ignore = "run by the test above, in a container"]
async fn in_a_small_container() {
    let variable = |name: &str| std::env::var(name).unwrap();
    let master = PathBuf::from(variable("REELPOOL_TEST_MASTER"));
    let engine = engine();
    let source = engine.probe(&master).await.unwrap();
    let plan = support::cheap_plan(&source, "1080p,720p,480p");
    let ballast = vec![1_u8; variable("REELPOOL_TEST_BALLAST").parse().unwrap()];
    let out = tempfile::tempdir().unwrap();
    let job = job(&master, &source, &plan, out.path());
    let result = engine.transcode(&job, &KeepNothing, |_| (), pending()).await;
    let (how, permanent) = match &result {
        Ok(done) => ("ok", done.renditions.len() == 3),
        Err(error) => (error.category(), error.is_permanent()),
    };
    println!("ended: {how} {:?}", result.as_ref().err().map(ToString::to_string));
    assert_eq!((how, permanent), (variable("REELPOOL_TEST_ENDS").as_str(), true), "{result:?}");
    assert!(ballast.iter().all(|byte| *byte == 1));
}
