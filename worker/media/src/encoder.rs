//! A profile's encoder in ffmpeg's words. Pure.

use reelpool_protocol::profile::Encoder;

/// Neither side of a picture may be shorter for SVT-AV1, in pixels.
const SHORTEST_AV1: u32 = 64;
/// Newer SVT-AV1 takes a level of parallelism, at most 6, where older ones take processors.
pub(crate) const MOST_PARALLEL_AV1: u32 = 6;

/// The encoder's name in ffmpeg.
pub(crate) fn name(encoder: Encoder) -> &'static str {
    match encoder {
        Encoder::X264 { .. } => "libx264",
        Encoder::SvtAv1 { .. } => "libsvtav1",
    }
}

/// Whether it can make pictures of this size, in pixels.
pub(crate) fn takes(encoder: Encoder, width: u32, height: u32) -> bool {
    match encoder {
        Encoder::X264 { .. } => true,
        Encoder::SvtAv1 { .. } => width.min(height) >= SHORTEST_AV1,
    }
}

/// Which encoder it is and how hard it tries; it sets no key frames but those of the grid.
pub(crate) fn options(encoder: Encoder, threads: u32) -> Vec<(&'static str, String)> {
    let more = match encoder {
        Encoder::X264 { crf, .. } => {
            vec![("-crf", crf.to_string()), ("-profile:v", "high".into()), ("-sc_threshold", "0".into())]
        }
        // ffmpeg 5.1 takes its own `-crf 0` for none.
        Encoder::SvtAv1 { crf, .. } => {
            let parallel = threads.clamp(1, MOST_PARALLEL_AV1);
            vec![("-svtav1-params", format!("crf={crf}:lp={parallel}:scd=0"))]
        }
    };
    let first = [("-c:v", name(encoder).to_owned()), ("-preset", encoder.preset_name())];
    first.into_iter().chain(more).collect()
}
