//! A full disk stops a job for a while; it loses nothing.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use reelpool_spool::{Queue, QueueOptions};
use reelpool_tests::clips::Clip;
use reelpool_tests::probe::probe;
use reelpool_tests::process::Process;
use reelpool_tests::results::{assert_nothing_else, published};
use reelpool_tests::{binaries, results};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::LONG;

/// A file system of its own, small enough to be filled.
struct SmallDisk {
    folder: TempDir,
}

impl SmallDisk {
    /// Mounts one; `None` where this user may not.
    fn mount(megabytes: u32) -> Option<Self> {
        let folder = TempDir::new().unwrap();
        let size = format!("size={megabytes}m");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(folder.path()).output();
        mounted.is_ok_and(|output| output.status.success()).then_some(Self { folder })
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a process of a failed test may still stand in it.
        let _ = Command::new("umount").arg("--lazy").arg(self.folder.path()).status();
    }
}

#[test]
fn a_disk_that_fills_while_transcoding_loses_nothing() {
    let Some(disk) = SmallDisk::mount(64) else {
        println!("skipped: this user may not mount a small file system (root may)");
        return;
    };
    let clip = Clip { width: 1280, height: 720, seconds: 8, fps: 30, audio: true }.file();
    let masters = TempDir::new().unwrap();
    std::fs::copy(&clip, masters.path().join("long.mp4")).unwrap();
    let output = disk.data().join("renditions");
    let up = |arguments: &[&str]| {
        let mut command = Command::new(binaries::reelpool());
        command.arg("up").arg("--data").arg(disk.data()).arg("--masters").arg(masters.path());
        command.arg("--worker").arg(binaries::reelpool_worker());
        command
            .args(["--zero-after", "1", "--ladder", "720p,360p", "--visibility-timeout", "5"])
            .args(arguments);
        Process::spawn(command, Some(disk.folder.path()))
    };

    // The disk fills while ffmpeg writes; queue, logs and scratch are on it too.
    let mut running = up(&["--preset", "slow"]);
    running.wait_until("ffmpeg writes", LONG, |_| {
        let scratch = results::files(&disk.data().join("scratch"));
        let is_720p = |file: &Path| file.to_string_lossy().ends_with("720p.mp4");
        scratch.iter().any(|file| is_720p(file) && file.metadata().is_ok_and(|meta| meta.len() > 0))
    });
    let filler = disk.data().join("filler");
    fill(&filler);
    running.wait_until("the full disk is said", LONG, |up| {
        format!("{}{}", up.stdout(), up.stderr()).contains("disk_full")
    });
    running.signal(Signal::INT);
    let _ = running.wait(Duration::from_secs(60)).expect_code(0);
    std::fs::remove_file(&filler).unwrap();

    let queue = Queue::open_existing(&disk.data().join("queue"), QueueOptions::default()).unwrap();
    let counts = queue.counts().unwrap();
    assert_eq!(counts.waiting + counts.in_flight, 1, "the message is still there: {counts:?}");
    assert_eq!(counts.dead, 0, "a full disk is no reason to give up a master: {counts:?}");
    assert_nothing_else(&output, &[]);

    let _ = up(&["--preset", "ultrafast", "--exit-when-done"]).wait(LONG).expect_code(0);
    let jobs = published(&output);
    assert_eq!(jobs.len(), 1);
    jobs[0].assert_matches(&probe(&clip));
    assert_nothing_else(&output, &jobs);
    assert_eq!(queue.integrity_check().unwrap(), Vec::<String>::new());
}

/// Takes all the room there is.
fn fill(file: &Path) {
    let mut file = std::fs::File::create(file).unwrap();
    for size in [1 << 20, 1 << 12, 1] {
        let piece = vec![0; size];
        while file.write_all(&piece).is_ok() {}
    }
}
