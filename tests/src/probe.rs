//! What ffprobe says of a file: the judge of every rendition, and no part of Reelpool.

use std::path::Path;
use std::process::Command;

use serde::Deserialize;

/// What ffprobe found in a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Probed {
    /// Width of the picture, in pixels.
    pub width: u32,
    /// Height of the picture, in pixels.
    pub height: u32,
    /// From the first to the end of the last picture, in seconds.
    pub seconds: f64,
    /// How long one frame is shown, in seconds.
    pub frame_seconds: f64,
    /// The number of pictures, counted.
    pub frames: u64,
    /// Whether there is a sound track.
    pub audio: bool,
    /// Whether pixels are square.
    pub square: bool,
}

#[derive(Deserialize)]
struct Answer {
    streams: Vec<Stream>,
    format: Format,
}

/// A stream in ffprobe's words; it writes most numbers as text.
#[derive(Deserialize)]
struct Stream {
    codec_type: Option<String>,
    #[serde(default)]
    width: u32,
    #[serde(default)]
    height: u32,
    duration: Option<String>,
    nb_read_packets: Option<String>,
    avg_frame_rate: Option<String>,
    sample_aspect_ratio: Option<String>,
}

#[derive(Deserialize)]
struct Format {
    duration: Option<String>,
}

/// Asks ffprobe; panics when the file has no readable video.
#[must_use]
pub fn probe(file: &Path) -> Probed {
    let Answer { streams, format } = ffprobe(file);
    let of_type = |kind: &str| streams.iter().find(|stream| stream.codec_type.as_deref() == Some(kind));
    let video = of_type("video").unwrap_or_else(|| panic!("no video in {}", file.display()));
    let known = |what: &str, text: Option<&String>| -> f64 {
        let number = text.and_then(|text| text.parse().ok());
        number.unwrap_or_else(|| panic!("no {what} in {}", file.display()))
    };
    let packets = video.nb_read_packets.as_deref().and_then(|text| text.parse().ok());
    let rate = video.avg_frame_rate.as_deref().and_then(ratio);
    Probed {
        width: video.width,
        height: video.height,
        // Matroska tells no duration of a single stream.
        seconds: known("duration", video.duration.as_ref().or(format.duration.as_ref())),
        frame_seconds: 1.0 / rate.unwrap_or_else(|| panic!("no frame rate in {}", file.display())),
        frames: packets.unwrap_or_else(|| panic!("no packets in {}", file.display())),
        audio: of_type("audio").is_some(),
        square: matches!(video.sample_aspect_ratio.as_deref(), None | Some("1:1" | "0:1")),
    }
}

impl Probed {
    /// The length of the short side, in pixels.
    #[must_use]
    pub fn short_side(&self) -> u32 {
        self.width.min(self.height)
    }

    /// Panics unless this is the right duration: within one frame of either file, or a tenth of a second.
    pub fn assert_lasts(&self, master: &Self, what: &str) {
        let allowed = self.frame_seconds.max(master.frame_seconds).max(0.1) + 0.001;
        assert!(
            (self.seconds - master.seconds).abs() <= allowed,
            "{what}: lasts {} s, the master {} s",
            self.seconds,
            master.seconds
        );
    }
}

fn ffprobe(file: &Path) -> Answer {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-count_packets", "-show_streams", "-show_format", "-of", "json"])
        .arg(file)
        .output()
        .expect("ffprobe is installed: run scripts/setup");
    assert!(
        output.status.success(),
        "ffprobe cannot read {}: {}",
        file.display(),
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).expect("ffprobe writes JSON")
}

fn ratio(text: &str) -> Option<f64> {
    let (over, under) = text.split_once('/')?;
    let (over, under): (f64, f64) = (over.parse().ok()?, under.parse().ok()?);
    (under > 0.0 && over > 0.0).then_some(over / under)
}
