//! A presentation as the pipeline makes it, from a picture and a tone that ffmpeg draws: two rungs and the sound
//! encoded on one grid, copied into CMAF tracks, and the playlists beside them.
#![allow(dead_code, reason = "each test file uses its part")]

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use reelpool_media::Rate;
use reelpool_media::package::{Presentation, Rung, Track, cmaf, dash, hls, layout};

/// The rungs: name, width, height.
pub const RUNGS: [(&str, u32, u32); 2] = [("360p", 640, 360), ("180p", 320, 180)];

/// What to draw.
#[derive(Debug, Clone, Copy)]
pub struct Drawn {
    /// ffmpeg's name of the video encoder.
    pub encoder: &'static str,
    /// Frames a second.
    pub rate: (u32, u32),
    /// How long.
    pub seconds: u32,
    /// How long segments shall be, in seconds.
    pub segment_seconds: u32,
}

impl Drawn {
    /// From one key frame to the next, in frames.
    pub fn grid(&self) -> u32 {
        (2 * self.rate.0).div_ceil(self.rate.1)
    }

    /// Whether this machine's ffmpeg has the encoder. H.264 it must have.
    pub fn can_be_encoded(&self) -> bool {
        let encoders = Command::new("ffmpeg").args(["-v", "error", "-encoders"]).output().unwrap();
        self.encoder == "libx264" || String::from_utf8_lossy(&encoders.stdout).contains(self.encoder)
    }

    /// Makes all files in `folder`.
    pub fn make(&self, folder: &Path) -> Presentation {
        self.encode(folder);
        self.package(folder)
    }

    /// The rungs' files without sound, and the sound's: what the encoders leave.
    fn encode(&self, folder: &Path) {
        let (num, den) = self.rate;
        let (seconds, grid) = (self.seconds, self.grid());
        let encoder = match self.encoder {
            "libsvtav1" => format!("libsvtav1 -preset 12 -crf 45 -g {grid} -svtav1-params lp=1"),
            encoder => format!("{encoder} -preset veryfast -sc_threshold 0 -g {grid} -keyint_min {grid}"),
        };
        let rung =
            |(name, map)| format!("-map {map} -c:v {encoder} -threads 1 -pix_fmt yuv420p encoded-{name}.mp4");
        let args = format!(
            "-f lavfi -i testsrc2=s=640x360:r={num}/{den}:d={seconds} -f lavfi -i sine=r=48000:d={seconds} \
             -filter_complex [0:v]split[a][b];[b]scale=320:180[c] {} {} \
             -map 1:a -c:a aac -b:a 96k -ac 2 encoded-audio.m4a",
            rung((RUNGS[0].0, "[a]")),
            rung((RUNGS[1].0, "[c]")),
        );
        ffmpeg(folder, args.split(' ').map(OsString::from));
    }

    /// The tracks, by copying, and the playlists.
    fn package(&self, folder: &Path) -> Presentation {
        fs::create_dir(folder.join(layout::TRACKS)).unwrap();
        let mut args = Vec::new();
        for input in RUNGS.iter().map(|(name, ..)| format!("encoded-{name}.mp4")) {
            args.extend(["-i".into(), input.into()]);
        }
        args.extend(["-i".into(), "encoded-audio.m4a".into()]);
        for (i, (name, ..)) in RUNGS.iter().enumerate() {
            args.extend(cmaf::video(&format!("{i}:v:0"), layout::track(name).as_ref()));
        }
        let fragment = Duration::from_secs(self.grid().into()) * self.rate.1 / self.rate.0;
        args.extend(cmaf::audio("2:a:0", fragment, layout::track(layout::AUDIO).as_ref()));
        ffmpeg(folder, args.into_iter());
        let track =
            |name: &str| Track::read(&mut File::open(folder.join(layout::track(name))).unwrap()).unwrap();
        let rate = Rate::new(self.rate.0, self.rate.1).unwrap();
        let rungs = RUNGS.iter().map(|(name, ..)| Rung { name: (*name).into(), rate, track: track(name) });
        let presentation =
            Presentation::new(rungs.collect(), Some(track(layout::AUDIO)), self.segment_seconds).unwrap();
        for (name, text) in texts(&presentation) {
            fs::write(folder.join(name), text).unwrap();
        }
        presentation
    }
}

/// All playlists, by the names of their files.
pub fn texts(presentation: &Presentation) -> Vec<(String, String)> {
    let mut texts = vec![(layout::MASTER.to_owned(), hls::master(presentation))];
    for packaged in presentation.rungs().iter().chain(presentation.audio()) {
        texts.push((layout::playlist(&packaged.name), hls::media(presentation, packaged)));
    }
    texts.push((layout::MPD.to_owned(), dash::mpd(presentation)));
    texts
}

fn ffmpeg(folder: &Path, args: impl Iterator<Item = OsString>) {
    let mut command = Command::new("ffmpeg");
    command.current_dir(folder).args(["-v", "error", "-nostdin", "-y"]).args(args);
    let done = command.output().unwrap();
    assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
}
