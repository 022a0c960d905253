//! A child that has used up its memory is a failed job, and whoever started it lives on.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "tests")]

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;

use reelpool_media::{Engine, KeepNothing, Limits};
use support::{clip, engine, make, whole};

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
        for memory in [8, 16, 32, 64, 96, 128].map(|mib| mib * MIB) {
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
    assert!(told > masters.len() * 2, "{told}");
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
    for (limit, ballast, kills) in [(160 * MIB, 0, false), (400 * MIB, 370 * MIB, true)] {
        let Some(container) = Container::new("memory", limit) else {
            println!("no control group can be made here (it takes root): not tested");
            return;
        };
        let variables = [
            ("REELPOOL_TEST_MASTER", master.display().to_string()),
            ("REELPOOL_TEST_BALLAST", ballast.to_string()),
        ];
        let (well, said) = container.run("in_a_small_container", &variables);
        assert!(well, "{said}");
        println!(
            "{} kills: {}",
            container.kills(),
            said.lines().find(|line| line.contains("resource")).unwrap()
        );
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
    let job = support::job(&master, &source, &plan, out.path());
    let error = engine.transcode(&job, &KeepNothing, |_| (), std::future::pending()).await.unwrap_err();
    println!("{}: {error}", error.category());
    assert_eq!((error.category(), error.is_permanent()), ("resource_limit", true), "{}", error.detail());
    assert!(ballast.iter().all(|byte| *byte == 1));
}
