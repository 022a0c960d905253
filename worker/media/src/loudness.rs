//! The loudness of the sound: measured in a pass of its own over the sound, and set right by one gain.

use tokio::time::Instant;

use crate::arguments;
use crate::child::{Access, Run};
use crate::engine::Engine;
use crate::error::MediaError;
use crate::plan::{AudioPlan, Plan};
use crate::transcode::Job;

/// No true peak of the sound may be raised over this, in hundredths of dBTP: encoders overshoot, and players convert
/// (EBU R 128, s3.2).
const HIGHEST_PEAK: i32 = -100;

/// What `ebur128` found, in hundredths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Measured {
    /// Integrated loudness, in LUFS.
    integrated: i32,
    /// The highest true peak, in dBTP.
    peak: i32,
}

/// The plan with the gain that brings the sound to the loudness of its profile, and what a person should know of it;
/// `None` where the profile leaves the sound as it is.
pub(crate) async fn level(
    engine: &Engine,
    job: &Job<'_>,
    until: Instant,
) -> Result<Option<(Plan, Option<String>)>, MediaError> {
    let Some((audio, target)) = job.plan.audio.as_ref().zip(job.plan.profile.loudness()) else {
        return Ok(None);
    };
    let args = arguments::loudness(job.plan, job.source, job.input, &engine.limits);
    let run = Run::measuring(engine, job, (args, Access::None), until);
    let log = run.finish(&engine.sandbox, "measuring the loudness", |_| ()).await?;
    let (gain_centidb, note) = match parse(&log.tail()) {
        Some(measured) => gain(measured, target.saturating_mul(100)),
        None => (0, Some("the loudness of its sound cannot be measured: it is left as it is".to_owned())),
    };
    let audio = AudioPlan { gain_centidb, ..audio.clone() };
    Ok(Some((Plan { audio: Some(audio), ..job.plan.clone() }, note)))
}

/// The gain, in hundredths of a decibel, that brings a sound to `target` hundredths of LUFS, or as near as its peaks
/// allow.
fn gain(measured: Measured, target: i32) -> (i32, Option<String>) {
    // Nothing is over the gate: silence has no loudness.
    if measured.integrated <= -7000 {
        return (0, None);
    }
    let wanted = target.saturating_sub(measured.integrated);
    let most = HIGHEST_PEAK.saturating_sub(measured.peak);
    let note = || {
        format!(
            "its sound is brought to {} LUFS instead of {}: its peaks would be over {} dBTP",
            tenths(measured.integrated.saturating_add(most)),
            tenths(target),
            tenths(HIGHEST_PEAK)
        )
    };
    // A tenth of a decibel is as near as it was measured.
    (wanted.min(most), (most.saturating_add(10) < wanted).then(note))
}

/// Reads the summary of `ebur128`, which is the last thing in the log; `None` where there is none, and for digital
/// silence, which has no peak.
fn parse(log: &str) -> Option<Measured> {
    let summary = log.rsplit_once("Summary:")?.1;
    let value = |name: &str, unit: &str| {
        let line = summary.lines().find_map(|line| line.trim().strip_prefix(name))?;
        hundredths(line.trim().strip_suffix(unit)?.trim())
    };
    let integrated = value("I:", "LUFS")?;
    let silent = integrated <= -7000;
    let peak = value("Peak:", "dBFS").or(silent.then_some(0))?;
    Some(Measured { integrated, peak })
}

/// `-23.0` as -2300; `None` for `-inf`, `nan` and nonsense.
#[expect(clippy::cast_possible_truncation, reason = "bounded")]
fn hundredths(text: &str) -> Option<i32> {
    let number: f64 = text.parse().ok()?;
    number.is_finite().then(|| (number.clamp(-1000.0, 1000.0) * 100.0).round() as i32)
}

/// -1650 as `-16.5`.
fn tenths(hundredths: i32) -> String {
    format!("{:.1}", f64::from(hundredths) / 100.0)
}

#[cfg(test)]
#[path = "loudness_tests.rs"]
mod tests;
