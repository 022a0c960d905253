//! A folder to work in, clips to work on, and the program.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use reelpool_protocol::Manifest;
use reelpool_protocol::manifest::FILE_NAME;
use tempfile::TempDir;

/// A folder to work in.
pub struct Bench {
    dir: TempDir,
}

/// How the program ended.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    pub fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        Self { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }

    /// The last line of standard error.
    pub fn last(&self) -> &str {
        self.stderr.lines().last().unwrap_or_default()
    }

    /// It ended with this code, and its last line says so.
    #[track_caller]
    pub fn failed(&self, code: i32, last: &str) {
        assert_eq!((self.code, self.last()), (Some(code), last), "{}", self.stderr);
        assert!(self.stderr.ends_with('\n') && self.stdout.is_empty(), "{self:?}");
    }
}

impl Bench {
    pub fn new() -> Self {
        Self { dir: TempDir::new().unwrap() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The folder that the program is told to write to.
    pub fn out(&self) -> PathBuf {
        self.path("out")
    }

    /// A copy of the short clip under this name.
    pub fn clip(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        fs::copy(clip(), &path).unwrap();
        path
    }

    /// `transcode FILE --out …/out` and more.
    pub fn command(&self, file: &Path, more: &[&str]) -> Command {
        let mut command = program(more);
        command.arg("--out").arg(self.out()).arg("--").arg(file);
        command
    }

    pub fn run(&self, file: &Path, more: &[&str]) -> Ended {
        Ended::of(&self.command(file, more).output().unwrap())
    }

    pub fn manifest(&self) -> Manifest {
        serde_json::from_slice(&fs::read(self.out().join(FILE_NAME)).unwrap()).unwrap()
    }

    /// The names of all that is in the output folder; nothing where it is not there.
    pub fn names(&self) -> BTreeSet<String> {
        names(&self.out())
    }
}

/// `transcode` and these arguments, away from the settings of whoever runs the tests.
pub fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_reelpool-worker"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("REELPOOL_")) {
        command.env_remove(name);
    }
    command.env_remove("RUST_LOG").stdin(Stdio::null());
    command.args(["transcode", "--threads", "1"]).args(arguments);
    command
}

pub fn names(folder: &Path) -> BTreeSet<String> {
    let Ok(entries) = fs::read_dir(folder) else { return BTreeSet::new() };
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

pub fn set<const N: usize>(names: [&str; N]) -> BTreeSet<String> {
    names.map(str::to_owned).into()
}

/// What is beside the rungs of a short clip with sound, by the built-in profiles.
pub fn beside<const N: usize>(rungs: [&str; N]) -> BTreeSet<String> {
    let playlists = rungs.iter().copied().chain(["audio", "master"]).map(|name| format!("{name}.m3u8"));
    let pictures = ["poster.jpg", "sprite_001.jpg", "storyboard.vtt"].map(str::to_owned);
    let rest = ["cmaf", "manifest.json", "manifest.mpd"].map(str::to_owned);
    rungs.iter().map(|rung| format!("{rung}.mp4")).chain(playlists).chain(pictures).chain(rest).collect()
}

/// One second of 320x180 at 25 frames a second, with sound.
pub fn clip() -> &'static Path {
    static CLIP: OnceLock<PathBuf> = OnceLock::new();
    CLIP.get_or_init(|| made("short", 1))
}

/// The same for so long that it is not done soon.
pub fn long_clip() -> &'static Path {
    static CLIP: OnceLock<PathBuf> = OnceLock::new();
    CLIP.get_or_init(|| made("long", 120))
}

fn made(name: &str, seconds: u32) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    fs::create_dir_all(folder).unwrap();
    let clip = folder.join(format!("transcode-{name}.mp4"));
    // Another test process may be making it too.
    let part = folder.join(format!("transcode-{name}-{}.part", std::process::id()));
    let source = format!("testsrc2=size=320x180:rate=25:duration={seconds}");
    let tone = format!("sine=frequency=440:duration={seconds}");
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-y", "-f", "lavfi", "-i", &source, "-f", "lavfi", "-i", &tone]);
    command.args([
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-pix_fmt",
        "yuv420p",
        "-c:a",
        "aac",
        "-f",
        "mp4",
    ]);
    let output = command.arg(&part).output().expect("ffmpeg is installed");
    assert!(output.status.success(), "ffmpeg: {}", String::from_utf8_lossy(&output.stderr));
    fs::rename(&part, &clip).unwrap();
    clip
}
