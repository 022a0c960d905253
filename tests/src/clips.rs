//! Clips: made by ffmpeg where a test needs a certain shape, real ones where they can be had.

use std::fs::OpenOptions;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

/// A clip that ffmpeg makes.
#[derive(Debug, Clone, Copy)]
pub struct Clip {
    /// Width of the picture, in pixels.
    pub width: u32,
    /// Height of the picture, in pixels.
    pub height: u32,
    /// Duration in seconds.
    pub seconds: u32,
    /// Frames in a second.
    pub fps: u32,
    /// Whether there is a sound track.
    pub audio: bool,
}

impl Default for Clip {
    /// Two seconds of 320x180 at 25 frames a second, with sound.
    fn default() -> Self {
        Self { width: 320, height: 180, seconds: 2, fps: 25, audio: true }
    }
}

impl Clip {
    /// The clip as a file. Made once, then taken from target/tmp.
    #[must_use]
    pub fn file(&self) -> PathBuf {
        // Two tests of one process may want the same clip at the same time.
        static MAKING: Mutex<()> = Mutex::new(());
        let folder = crate::repository().join("target/tmp/clips");
        let Self { width, height, seconds, fps, audio } = *self;
        let sound = if audio { "sound" } else { "silent" };
        let file = folder.join(format!("{width}x{height}-{seconds}s-{fps}fps-{sound}.mp4"));
        let _only_one = MAKING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if !file.exists() {
            std::fs::create_dir_all(&folder).unwrap();
            self.make(&file);
        }
        file
    }

    fn make(&self, file: &Path) {
        let Self { width, height, seconds, fps, .. } = self;
        let mut command = Command::new("ffmpeg");
        command.args(["-v", "error", "-y", "-f", "lavfi", "-i"]);
        command.arg(format!("testsrc2=size={width}x{height}:rate={fps}:duration={seconds}"));
        if self.audio {
            command.args(["-f", "lavfi", "-i"]).arg(format!("sine=frequency=440:duration={seconds}"));
        }
        command.args(["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac"]);
        let unfinished = file.with_extension(format!("{}.part", std::process::id()));
        let output = command.args(["-f", "mp4"]).arg(&unfinished).output().expect("ffmpeg is installed");
        assert!(output.status.success(), "ffmpeg: {}", String::from_utf8_lossy(&output.stderr));
        std::fs::rename(&unfinished, file).unwrap();
    }
}

/// Makes `clip` as long as `bytes` by a `free` box at its end (ISO/IEC 14496-12, 8.1.2), which players pass over.
pub fn pad(clip: &Path, to: &Path, bytes: u64) {
    std::fs::copy(clip, to).unwrap();
    let mut file = OpenOptions::new().write(true).open(to).unwrap();
    let end = file.seek(SeekFrom::End(0)).unwrap();
    let size = u32::try_from(bytes - end).unwrap();
    file.write_all(&size.to_be_bytes()).unwrap();
    file.write_all(b"free").unwrap();
    file.set_len(bytes).unwrap();
}

/// One of the demo's clips; panics when they have not been fetched.
#[must_use]
pub fn demo(name: &str) -> PathBuf {
    let file = crate::repository().join(".tools/clips").join(name);
    assert!(file.is_file(), "{} is not there: run scripts/setup --tests (`make test` does)", file.display());
    file
}

/// The folder of odd, broken and hostile clips, if this machine has it: `$REELPOOL_SHARED_MEDIA`, or
/// `../shared/media` beside the repository.
#[must_use]
pub fn shared_media() -> Option<PathBuf> {
    let folder = match std::env::var_os("REELPOOL_SHARED_MEDIA") {
        Some(named) => PathBuf::from(named),
        None => crate::repository().parent()?.join("shared/media"),
    };
    folder.join("expected.tsv").is_file().then_some(folder)
}
