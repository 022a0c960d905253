use reelpool_protocol::{Ladder, Profile};

use super::*;
use crate::plan::{PlanOptions, plan};

/// The plan of a silent 640x360 master of ten seconds at 30 frames a second.
fn planned() -> Plan {
    let source = crate::plan::tests::master(640, 360);
    plan(&source, &Ladder::default(), &PlanOptions { profile: Profile::default(), threads: 1 })
}

/// What ffprobe lists of a file of `frames` frames with a key frame every `grid`.
fn listed(frames: u32, grid: u32) -> Found {
    let mut reader = Reader::default();
    for n in 0..frames {
        let flags = if n % grid == 0 { "K_" } else { "__" };
        let at = f64::from(n) / 30.0;
        reader.line(&format!("packet|stream_index=0|pts_time={at:.6}|duration_time=0.033333|flags={flags}"));
        reader.line("packet|stream_index=1|pts_time=0.000000|duration_time=9.000000|flags=K_");
    }
    reader.line("stream|codec_type=video|width=640|height=360|sample_aspect_ratio=1:1");
    let Reader { counter, mut found } = reader;
    found.picture = counter.finish();
    found
}

#[test]
fn a_sound_rendition_passes() {
    let plan = planned();
    assert_eq!(check(&plan, &plan.renditions[0], &listed(300, 60)), Ok(()));
    assert_eq!(check(&plan, &plan.renditions[0], &listed(1, 60)), Ok(()));
}

#[test]
fn each_fault_is_found() {
    let plan = planned();
    let faults: [(&str, Found); 8] = [
        ("its size is", Found { size: Some((640, 358)), ..listed(300, 60) }),
        ("its size is", Found { size: None, ..listed(300, 60) }),
        ("pixels are not square", Found { pixel_shape: Some("845:848".into()), ..listed(300, 60) }),
        ("a sound that was not planned", Found { audio: true, ..listed(300, 60) }),
        ("no key frame at 2000 ms", listed(300, 100)),
        (
            "a key frame at 9500 ms, beside",
            Found { keys: [listed(300, 60).keys, vec![9_500_000]].concat(), ..listed(300, 60) },
        ),
        (
            "no key frame at 4000 ms",
            Found { keys: vec![0, 2_000_000, 6_000_000, 8_000_000], ..listed(300, 60) },
        ),
        (
            "room for 300",
            Found { picture: Picture { frames: 290, ..listed(300, 60).picture }, ..listed(300, 60) },
        ),
    ];
    for (message, found) in faults {
        let told = check(&plan, &plan.renditions[0], &found).unwrap_err();
        assert!(told.contains(message), "{message}: {told}");
    }
}

#[test]
fn a_sound_that_is_missing_or_late_is_found() {
    let mut plan = planned();
    plan.audio = Some(crate::plan::AudioPlan { index: 1, kbps: 128, gain_centidb: 0 });
    let verdict = |found: Found| check(&plan, &plan.renditions[0], &found);
    assert_eq!(verdict(listed(300, 60)), Err("its sound is missing".into()));
    let heard = |start_us| Found { audio: true, audio_start_us: Some(start_us), ..listed(300, 60) };
    assert_eq!(verdict(heard(-21_000)), Ok(()));
    assert_eq!(verdict(heard(60_000)), Err("its sound starts 60 ms away from its picture".into()));
}
