//! ffmpeg and ffprobe: where they are and what they can do.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use reelpool_protocol::profile::{Encoder, Quality};

use crate::encoder;
use crate::error::MediaError;

/// An ffmpeg and an ffprobe that were found and asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tools {
    /// Absolute path of ffmpeg.
    pub ffmpeg: PathBuf,
    /// Absolute path of ffprobe.
    pub ffprobe: PathBuf,
    /// The first line of `ffmpeg -version`.
    pub version: String,
    /// Whether it can turn HDR into SDR (the filters `zscale` and `tonemap`).
    pub tone_mapping: bool,
    /// Whether it can encode AV1 (the encoder `libsvtav1`).
    pub svt_av1: bool,
    /// Whether it can measure VMAF (the filter `libvmaf`).
    pub vmaf: bool,
}

impl Tools {
    /// Finds both programs, by the paths given or else in `PATH`, and asks them what they can.
    ///
    /// Blocks for some tens of milliseconds. Fails with [`MediaError::FfmpegMissing`] or, when the encoders
    /// `libx264` or `aac` are not in it, [`MediaError::FfmpegLacks`].
    pub fn find(ffmpeg: Option<&Path>, ffprobe: Option<&Path>) -> Result<Self, MediaError> {
        let ffmpeg = locate("ffmpeg", ffmpeg)?;
        let ffprobe = locate("ffprobe", ffprobe)?;
        let version = ask("ffmpeg", &ffmpeg, "-version")?.lines().next().unwrap_or_default().to_owned();
        ask("ffprobe", &ffprobe, "-version")?;
        let encoders = ask("ffmpeg", &ffmpeg, "-encoders")?;
        for encoder in ["libx264", "aac"] {
            if !lists(&encoders, encoder) {
                let lacks = format!("the encoder {encoder}");
                return Err(MediaError::FfmpegLacks { program: "ffmpeg", path: ffmpeg, lacks });
            }
        }
        let svt_av1 = lists(&encoders, encoder::name(Encoder::SvtAv1 { preset: 0, crf: 0 }));
        let filters = ask("ffmpeg", &ffmpeg, "-filters")?;
        let tone_mapping = lists(&filters, "zscale") && lists(&filters, "tonemap");
        let vmaf = lists(&filters, "libvmaf");
        Ok(Self { ffmpeg, ffprobe, version, tone_mapping, svt_av1, vmaf })
    }

    /// Whether the encoder and the measure that a profile names are there; else [`MediaError::FfmpegLacks`].
    pub fn check(&self, encoder: Encoder, quality: Quality) -> Result<(), MediaError> {
        let lacks = match (encoder, quality) {
            // x264 is not looked for: without it there are no tools.
            (Encoder::SvtAv1 { .. }, _) if !self.svt_av1 => {
                format!("the encoder {}, which AV1 needs", encoder::name(encoder))
            }
            (_, Quality::Vmaf) if !self.vmaf => {
                "the filter libvmaf, which the profile's quality: vmaf needs and Debian's build lacks (ssim needs nothing)".to_owned()
            }
            _ => return Ok(()),
        };
        Err(MediaError::FfmpegLacks { program: "ffmpeg", path: self.ffmpeg.clone(), lacks })
    }
}

/// Whether a table of `-encoders` or `-filters` has a line for `name`: the name is the second word.
fn lists(table: &str, name: &str) -> bool {
    table.lines().any(|line| line.split_whitespace().nth(1) == Some(name))
}

fn locate(program: &'static str, given: Option<&Path>) -> Result<PathBuf, MediaError> {
    let missing = |detail| MediaError::FfmpegMissing { program, detail };
    if let Some(path) = given {
        let found = if path.components().count() == 1 { in_path(path.as_os_str()) } else { None };
        let path = found.unwrap_or_else(|| path.to_owned());
        return path.canonicalize().map_err(|error| missing(format!("{}: {error}", path.display())));
    }
    in_path(OsStr::new(program)).ok_or_else(|| missing("not in PATH".into()))
}

fn in_path(program: &OsStr) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let found =
        std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())?;
    std::path::absolute(found).ok()
}

fn ask(program: &'static str, path: &Path, question: &str) -> Result<String, MediaError> {
    let missing = |detail| MediaError::FfmpegMissing { program, detail };
    let answer = Command::new(path)
        .args(["-hide_banner", question])
        .env_clear()
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .map_err(|error| missing(format!("{}: {error}", path.display())))?;
    if !answer.status.success() {
        return Err(missing(format!("{} {question} ended with {}", path.display(), answer.status)));
    }
    Ok(String::from_utf8_lossy(&answer.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_says_what_to_do() {
        let error = Tools::find(Some(Path::new("/nowhere/ffmpeg")), None).unwrap_err();
        assert_eq!(error.category(), "ffmpeg_missing");
        assert!(!error.is_permanent());
        let text = error.to_string();
        assert!(text.contains("ffmpeg was not found (/nowhere/ffmpeg:"), "{text}");
        assert!(text.contains("install it (apt-get install ffmpeg) or name it with --ffmpeg"), "{text}");
    }

    #[test]
    fn a_program_that_is_not_ffmpeg_is_told() {
        let error = Tools::find(Some(Path::new("/bin/false")), None).unwrap_err();
        assert_eq!(error.category(), "ffmpeg_missing");
    }

    #[test]
    fn a_table_is_read_by_its_second_word() {
        let table =
            " V....D libx264              libx264 H.264\n A....D aac                  AAC (codec aac)\n";
        assert!(lists(table, "libx264") && lists(table, "aac") && !lists(table, "H.264"));
    }
}
