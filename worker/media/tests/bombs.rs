//! Masters that are small and cost much: they are stopped by the limit that is theirs, and cost little until then.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "tests")]

#[path = "support/meter.rs"]
mod meter;
mod support;

use std::path::{Path, PathBuf};
use std::time::Duration;

use meter::Meter;
use reelpool_media::{Engine, KeepNothing, Limits, MediaError, Source};
use support::{cheap_plan, clip, engine, job, make, shared, whole};

const MEGABYTE: u64 = 1_000_000;

/// A picture in a MOV whose index, and whose own header if `both`, tell `told` as its size.
fn bomb(folder: &Path, name: &str, size: &str, told: Option<(u16, u16, bool)>) -> PathBuf {
    let path = make(folder, name, &format!("-f lavfi -i color=s={size}:r=1 -frames:v 1 -c:v png"));
    if let Some((width, height, both)) = told {
        let mut bytes = std::fs::read(&path).unwrap();
        let find = |bytes: &[u8], name: &[u8]| bytes.windows(4).rposition(|window| window == name).unwrap();
        // The sample description's size stands 24 bytes after the name of its codec (ISO/IEC 14496-12, 12.1.3).
        let entry = find(&bytes[..find(&bytes, b"png ")], b"stsd") + 16;
        bytes[entry + 28..entry + 30].copy_from_slice(&width.to_be_bytes());
        bytes[entry + 30..entry + 32].copy_from_slice(&height.to_be_bytes());
        if both {
            // PNG (ISO/IEC 15948), 11.2.2; its checksum is none of a decoder's concern.
            let header = find(&bytes, b"IHDR") + 4;
            bytes[header..header + 4].copy_from_slice(&u32::from(width).to_be_bytes());
            bytes[header + 4..header + 8].copy_from_slice(&u32::from(height).to_be_bytes());
        }
        std::fs::write(&path, bytes).unwrap();
    }
    path
}

/// The transcode alone, as if the probe had been deceived.
async fn transcode(engine: &Engine, input: &Path, source: &Source) -> MediaError {
    let plan = cheap_plan(source, "144p");
    let out = tempfile::tempdir().unwrap();
    let job = job(input, source, &plan, out.path());
    engine.transcode(&job, &KeepNothing, |_| (), std::future::pending()).await.unwrap_err()
}

#[tokio::test]
async fn a_picture_of_hundreds_of_megabytes_costs_less_than_a_hundred() {
    let folder = tempfile::tempdir().unwrap();
    let small = bomb(folder.path(), "small.mov", "320x180", None);
    let innocent = engine().probe(&small).await.unwrap();
    let mut bombs = vec![
        bomb(folder.path(), "plain.mov", "9000x9000", None),
        bomb(folder.path(), "liar.mov", "9000x9000", Some((320, 180, false))),
        bomb(folder.path(), "told.mov", "320x180", Some((16_000, 16_000, true))),
    ];
    bombs.extend(shared("bomb-16000x16000-png.mov"));
    let meter = Meter::new();
    let metered = meter.on(engine());
    for bomb in &bombs {
        let name = bomb.file_name().unwrap().to_string_lossy();
        let out = tempfile::tempdir().unwrap();
        let error = whole(&metered, bomb, "144p", out.path()).await.unwrap_err();
        assert_eq!((error.category(), error.is_permanent()), ("too_many_pixels", true), "{name}: {error}");
        let error = transcode(&metered, bomb, &innocent).await;
        assert_eq!((error.category(), error.is_permanent()), ("too_many_pixels", true), "{name}: {error}");
        for used in meter.read() {
            println!(
                "{name}: {} peak {} MB, {:.2} CPU s",
                used.program,
                used.peak_bytes / MEGABYTE,
                used.cpu_seconds
            );
            assert!(used.peak_bytes < 100 * MEGABYTE, "{name}: {used:?}");
        }
    }
    // Without the limit it is a bomb: this test can fail.
    let limits = Limits { max_pixels: 1 << 30, ..engine().limits };
    let _ = meter.on(Engine { limits, ..engine() }).probe(&bombs[0]).await;
    let most = meter.read().iter().map(|used| used.peak_bytes).max().unwrap();
    println!("without a limit of pixels: peak {} MB", most / MEGABYTE);
    assert!(most > 200 * MEGABYTE);
}

#[tokio::test]
async fn work_without_end_ends_at_the_users_deadline() {
    let folder = tempfile::tempdir().unwrap();
    let second = "-f lavfi -i color=s=3840x2160:r=60:d=1 -c:v libx264 -preset ultrafast -pix_fmt yuv420p";
    let second = make(folder.path(), "second.mkv", second);
    let long = make(folder.path(), "long.mkv", &format!("-stream_loop 362 -i {} -c copy", second.display()));
    let limits = Limits { deadline: Some(Duration::from_secs(3)), ..engine().limits };
    let engine = Engine { limits, ..engine() };
    for input in [Some(long), shared("costbomb-4k60-363s-1MB.mp4")].into_iter().flatten() {
        let bytes = std::fs::metadata(&input).unwrap().len();
        let out = tempfile::tempdir().unwrap();
        let error = whole(&engine, &input, "1080p,144p", out.path()).await.unwrap_err();
        println!("{} ({bytes} bytes): {error}", input.display());
        assert_eq!((error.category(), error.is_permanent()), ("deadline", true), "{error}");
        assert!(error.to_string().contains("its deadline of 3 s"), "{error}");
    }
}

#[tokio::test]
async fn a_header_that_says_143_165_seconds_neither_hangs_nor_fails() {
    let folder = tempfile::tempdir().unwrap();
    let plain = clip(folder.path(), "plain.mp4", "320x180", "25", 1);
    let parts = format!("-i {} -c copy -movflags frag_keyframe+empty_moov", plain.display());
    let mut bytes = std::fs::read(make(folder.path(), "parts.mp4", &parts)).unwrap();
    // Of each header box of version 0: the duration, in its own time scale (ISO/IEC 14496-12, 8.2.2, 8.4.2).
    for (name, at) in [(b"mvhd", 20), (b"mdhd", 20), (b"tkhd", 24)] {
        let places: Vec<usize> = bytes
            .windows(4)
            .enumerate()
            .filter(|(_, window)| window == name)
            .map(|(place, _)| place)
            .collect();
        for place in places {
            bytes[place + at..place + at + 4].copy_from_slice(&0xfff0_0000_u32.to_be_bytes());
        }
    }
    let liar = folder.path().join("liar.mp4");
    std::fs::write(&liar, bytes).unwrap();
    for input in [Some(liar), shared("fragmented-bogus-duration.mp4")].into_iter().flatten() {
        let out = tempfile::tempdir().unwrap();
        let done = whole(&engine(), &input, "144p", out.path()).await.unwrap();
        println!("{}: {} ms, {:?}", input.display(), done.master.duration_ms, done.warnings);
        assert!((900..1300).contains(&done.master.duration_ms), "{}", done.master.duration_ms);
        assert!(done.renditions[0].duration_ms.abs_diff(done.master.duration_ms) <= 100);
        assert!(
            done.warnings.iter().any(|warning| warning.contains("the header says")),
            "{:?}",
            done.warnings
        );
    }
}
