#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "tests")]
mod support;
use support::{cheap_plan, engine, streams};
#[tokio::test]
async fn look() {
    let folder = std::env::var("LOOK").unwrap();
    let ladder = std::env::var("LADDER").unwrap_or("720p,144p".into());
    let engine = engine();
    let mut names: Vec<_> = std::fs::read_dir(folder).unwrap().flatten().map(|e| e.path()).collect();
    names.sort();
    for p in names {
        let n = p.file_name().unwrap().to_string_lossy().into_owned();
        if n.ends_with(".sh") || n.ends_with(".png") || n.ends_with(".txt") {
            continue;
        }
        let t = std::time::Instant::now();
        let s = match engine.probe(&p).await {
            Ok(s) => s,
            Err(e) => {
                println!("{n}: PROBE {}: {}", e.category(), e.detail().replace('\n', " // "));
                continue;
            }
        };
        let plan = cheap_plan(&s, &ladder);
        let v = &s.video;
        println!(
            "{n}: {} {}x{} par{:?} side{} r{:?} {:?} int{} a{:?} | {} fr lost{} {}..{}..{} gap{} | plan {} {:?} drop{} notes{:?}",
            v.codec,
            v.width,
            v.height,
            v.pixel_shape,
            v.on_its_side,
            v.base_rate.map(|r| r.fps()),
            v.transfer,
            v.interlaced,
            s.audio.as_ref().map(|a| (a.codec.clone(), a.channels, a.index)),
            s.picture.frames,
            s.picture.lost_at_start,
            s.picture.start_us,
            s.picture.last_us,
            s.picture.end_us,
            s.picture.longest_gap_us,
            plan.rate,
            plan.renditions.iter().map(|r| format!("{}x{}", r.width, r.height)).collect::<Vec<_>>(),
            plan.drop_frames_first,
            s.warnings
        );
        let out = tempfile::tempdir().unwrap();
        match engine.transcode(&p, &s, &plan, out.path(), |_| (), std::future::pending()).await {
            Err(e) => println!("    FAIL {}: {}", e.category(), e.detail().replace('\n', " // ")),
            Ok(d) => {
                let r = &d.renditions[0];
                let st = streams(&r.path);
                let g = |i: usize, k: &str| st.get(i).map_or("-".into(), |x| x[k].to_string());
                println!(
                    "    ok {:.1}s {}x{} {} fr {} ms audio{} | v {} +{} {} a {} +{} w{:?}",
                    t.elapsed().as_secs_f32(),
                    r.width,
                    r.height,
                    r.frames,
                    r.duration_ms,
                    r.audio,
                    g(0, "start_time"),
                    g(0, "duration"),
                    g(0, "color_transfer"),
                    g(1, "start_time"),
                    g(1, "duration"),
                    d.warnings.iter().filter(|w| !s.warnings.contains(w)).collect::<Vec<_>>()
                );
            }
        }
    }
}
