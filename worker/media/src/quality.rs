//! How near each rendition is to the picture that was given to its encoder: a pass of its own, when all is done.

use reelpool_protocol::manifest::{Quality, Score};
use reelpool_protocol::profile;
use tokio::time::Instant;

use crate::arguments;
use crate::child::{Access, Run};
use crate::engine::Engine;
use crate::transcode::{Job, RenditionFile};

/// Measures what the profile asks for and notes it in `renditions`, which are the plan's and all there. What cannot be
/// measured is told, and costs nothing else.
pub(crate) async fn measure(
    engine: &Engine,
    job: &Job<'_>,
    until: Instant,
    renditions: &mut [RenditionFile],
) -> Option<String> {
    let asked = job.plan.profile.quality();
    if asked == profile::Quality::None {
        return None;
    }
    let args = arguments::quality(job.plan, job.source, job.input, &engine.limits);
    let run = Run::measuring(engine, job, (args, Access::Read), until);
    let failed = |why: &str| Some(format!("its quality by {} could not be measured: {why}", asked.name()));
    let log = match run.finish(&engine.sandbox, "measuring the quality", |_| ()).await {
        Ok(log) => log.tail(),
        Err(error) => return failed(&error.to_string()),
    };
    for (i, rendition) in renditions.iter_mut().enumerate() {
        rendition.quality = parse(asked, i, &log);
    }
    let missing = renditions.iter().find(|rendition| rendition.quality.is_none())?;
    failed(&format!("ffmpeg says nothing of {}", missing.name))
}

/// The score of the plan's rendition `i`: the last line of the log that the measuring filter `…@i` wrote.
fn parse(asked: profile::Quality, i: usize, log: &str) -> Option<Quality> {
    let (filter, before) = match asked {
        profile::Quality::None => return None,
        profile::Quality::Ssim => ("ssim", " All:"),
        profile::Quality::Vmaf => ("libvmaf", "VMAF score: "),
    };
    let from = format!("[{filter}@{i} @ ");
    let line = log.lines().rev().find(|line| line.starts_with(&from) && line.contains(before))?;
    let number = line.rsplit_once(before)?.1.split_whitespace().next()?;
    let score = Score::new(number.parse().ok()?)?;
    Some(if asked == profile::Quality::Ssim { Quality::Ssim(score) } else { Quality::Vmaf(score) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rendition_has_its_own_line() {
        let log = "[info] Stream #0:0 title [ssim@0 @ 0x1] SSIM All:0.1\n\
                   [ssim@1 @ 0x5] [info] SSIM Y:0.914274 (10.7) U:0.94 (12.4) V:0.95 (13.8) All:0.926457 (11.3)\n\
                   [ssim@0 @ 0x6] [info] SSIM Y:1.0 (inf) U:1.0 (inf) V:1.0 (inf) All:1.000000 (inf)\n\
                   [libvmaf@1 @ 0x7] [info] VMAF score: 93.416253\n";
        let ssim = |i| parse(profile::Quality::Ssim, i, log);
        assert_eq!(ssim(0), Score::new(1.0).map(Quality::Ssim));
        assert_eq!(ssim(1), Score::new(0.9265).map(Quality::Ssim));
        assert_eq!(ssim(2), None);
        let vmaf = parse(profile::Quality::Vmaf, 1, log);
        assert_eq!(vmaf, Score::new(93.4163).map(Quality::Vmaf));
        assert_eq!(parse(profile::Quality::Vmaf, 1, "[libvmaf@1 @ 0x7] [info] VMAF score: nan"), None);
        assert_eq!(parse(profile::Quality::None, 0, log), None);
    }
}
