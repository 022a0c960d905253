use proptest::prelude::*;
use reelpool_protocol::profile::Preset;
use reelpool_protocol::{Ladder, Profile};

use super::*;
use crate::plan::tests::master;
use crate::plan::{PlanOptions, plan};

const LADDER: &str = "2160p,1440p,1080p,720p,480p,360p";

fn planned(width: u32, height: u32, ladder: &str, preset: &str, threads: u32) -> (Source, Plan) {
    let source = master(width, height);
    let profile = if preset.parse::<u8>().is_ok() {
        format!(r#"{{"video":{{"codec":"av1","preset":"{preset}"}}}}"#)
    } else {
        format!(r#"{{"video":{{"preset":"{preset}"}}}}"#)
    };
    let options = PlanOptions { profile: Profile::from_json(&profile).unwrap(), threads };
    let plan = plan(&source, &ladder.parse::<Ladder>().unwrap(), &options);
    (source, plan)
}

/// What ffmpeg 5.1 took, in MiB: of data at most, sampled; a master of H.264 with three reference frames.
#[test]
fn what_was_measured_is_within_the_estimate() {
    const HD: &str = "1080p,720p,480p,360p";
    // (master, ladder, preset, threads, MiB)
    let table = [
        ((1920, 1080), "1080p", "ultrafast", 1, 111),
        ((1920, 1080), "1080p", "ultrafast", 8, 353),
        ((1920, 1080), "1080p", "veryfast", 1, 264),
        ((1920, 1080), "1080p", "veryfast", 2, 360),
        ((1920, 1080), "1080p", "veryfast", 8, 632),
        ((1920, 1080), "1080p", "faster", 1, 354),
        ((1920, 1080), "1080p", "faster", 4, 544),
        ((1920, 1080), "1080p", "medium", 1, 537),
        ((1920, 1080), "1080p", "medium", 8, 921),
        ((1920, 1080), "1080p", "slow", 1, 641),
        ((1920, 1080), "1080p", "slow", 8, 1026),
        ((1920, 1080), HD, "veryfast", 1, 457),
        ((1920, 1080), HD, "veryfast", 4, 807),
        ((1920, 1080), HD, "faster", 1, 627),
        ((1920, 1080), HD, "faster", 4, 967),
        ((1920, 1080), HD, "medium", 1, 973),
        ((1920, 1080), HD, "medium", 4, 1339),
        ((1920, 1080), "360p", "medium", 1, 117),
        ((1920, 1080), "360p", "medium", 4, 190),
        ((1280, 720), "720p", "medium", 1, 322),
        ((1280, 720), "720p", "medium", 2, 383),
        ((1280, 720), "540p,360p,240p", "medium", 1, 337),
        ((1280, 720), "540p,360p,240p", "medium", 2, 412),
        ((3840, 2160), LADDER, "veryfast", 1, 1450),
        ((3840, 2160), LADDER, "veryfast", 3, 2215),
        ((3840, 2160), "2160p", "veryfast", 1, 770),
        ((3840, 2160), "2160p", "veryfast", 3, 1174),
        ((3840, 2160), LADDER, "medium", 1, 3166),
        ((3840, 2160), LADDER, "medium", 3, 3962),
        ((3840, 2160), "2160p", "medium", 1, 1612),
        // AV1.
        ((1920, 1080), "1080p", "10", 1, 583 + 90),
        ((1920, 1080), "1080p", "10", 2, 1437 + 90),
        ((1280, 720), "720p", "10", 1, 387 + 40),
        ((1280, 720), "720p", "10", 2, 1049 + 40),
    ];
    let mut wrong = Vec::new();
    for ((width, height), ladder, preset, threads, measured) in table {
        let (source, plan) = planned(width, height, ladder, preset, threads);
        let estimate = plan.memory_estimate(&source, 0..plan.renditions.len(), threads) / MIB;
        println!("{height} {preset} {threads} {ladder}: {measured} MiB, estimate {estimate}");
        if !(measured..=measured * 2).contains(&estimate) {
            wrong.push((height, ladder, preset, threads, measured, estimate));
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn fewer_threads_first_then_more_passes_then_fewer_threads_still() {
    let (source, plan) = planned(3840, 2160, LADDER, "medium", 8);
    // (limit in MiB, threads, passes, fits)
    let table = [
        (None, 8, "[0..6]", true),
        (Some(100_000), 8, "[0..6]", true),
        (Some(6500), 6, "[0..6]", true),
        (Some(5800), 4, "[0..6]", true),
        (Some(5000), 8, "[0..2, 2..6]", true),
        (Some(3200), 4, "[0..1, 1..6]", true),
        (Some(2900), 4, "[0..1, 1..5, 5..6]", true),
        (Some(2700), 3, "[0..1, 1..5, 5..6]", true),
        (Some(2500), 1, "[0..1, 1..6]", true),
        (Some(2000), 1, "[0..1, 1..3, 3..6]", false),
        (Some(0), 1, "[0..1, 1..2, 2..3, 3..4, 4..5, 5..6]", false),
    ];
    let mut wrong = Vec::new();
    for (limit, threads, passes, fits) in table {
        let fit = plan.fit(&source, limit.map(|limit| limit * MIB));
        println!("{limit:?}: {} threads, {:?}, {} MiB", fit.threads, fit.passes, fit.needed / MIB);
        if (fit.threads, format!("{:?}", fit.passes).as_str(), fit.fits()) != (threads, passes, fits) {
            wrong.push((limit, fit.clone()));
        }
        assert_eq!(fit.shortage().is_some(), !fits);
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn hdr_and_wild_sizes_take_more_and_do_not_overflow() {
    let (mut source, mut plan) = planned(1920, 1080, "1080p", "medium", 1);
    let sdr = plan.memory_estimate(&source, 0..1, 1);
    source.video.transfer = Transfer::Pq;
    plan.tone_map =
        Some(crate::plan::ToneMap { transfer: "smpte2084", primaries: "bt2020", matrix: "bt2020nc" });
    assert!(plan.memory_estimate(&source, 0..1, 1) > sdr + 100 * MIB);
    (source.video.width, source.video.height) = (u32::MAX, u32::MAX);
    (plan.renditions[0].width, plan.renditions[0].height) = (u32::MAX, u32::MAX);
    assert!(plan.memory_estimate(&source, 0..1, u32::MAX) > u64::MAX / 4);
    assert!(plan.memory_bytes(&source) > u64::MAX / 4);
}

proptest! {
    #[test]
    fn every_rendition_is_made_once_and_more_memory_is_never_worse(
        width in 2_u32..8000, height in 2_u32..8000, threads in 1_u32..64, limit in 0_u64..20_000, more in 0_u64..20_000,
        preset in 0..Preset::NAMES.len(),
    ) {
        let (source, plan) = planned(width, height, LADDER, Preset::NAMES[preset], threads);
        let fit = plan.fit(&source, Some(limit * MIB));
        prop_assert!((1..=threads).contains(&fit.threads));
        let made: Vec<usize> = fit.passes.iter().cloned().flatten().collect();
        prop_assert_eq!(made, (0..plan.renditions.len()).collect::<Vec<_>>());
        prop_assert!(fit.passes.iter().all(|pass| !pass.is_empty()));
        let needed = fit.passes.iter().map(|pass| plan.memory_estimate(&source, pass.clone(), fit.threads)).max();
        prop_assert_eq!(needed, Some(fit.needed));
        let roomy = plan.fit(&source, Some((limit + more) * MIB));
        prop_assert!(roomy.fits() || !fit.fits());
        prop_assert!(!fit.fits() || roomy.passes.len() <= fit.passes.len() || roomy.threads > fit.threads);
        let all = plan.fit(&source, None);
        prop_assert_eq!((all.threads, all.passes.len()), (threads, 1));
    }
}
