use std::path::Path;

use reelpool_worker::hex::hex;
use sha2::{Digest, Sha256};

use super::*;
use crate::outputs::Outputs;
use crate::reader::Reader;
use crate::work::draw;

const ATTEMPT: &str = "a1";

fn manifest(name: &str, attempt: &str, bytes: &[u8]) -> String {
    let sum = hex(&Sha256::digest(bytes));
    serde_json::json!({
        "format": 1,
        "job_id": "d47b58e09c3f4b09e2a5ed5c9a855093",
        "attempt": attempt,
        "worker": "w",
        "source": {"bucket": "b", "key": format!("in/{name}")},
        "ladder": ["32p"],
        "master": {
            "bytes": 1, "width": 2, "height": 2, "duration_ms": 1, "video_codec": "h264", "audio_codec": null,
        },
        "renditions": [{
            "name": "32p", "path": format!("attempts/{attempt}/32p.mp4"), "width": 2, "height": 2, "frames": 1,
            "duration_ms": 1, "bytes": bytes.len(), "sha256": sum, "audio": false,
        }],
        "warnings": [],
        "timings": {"fetch_ms": 0, "probe_ms": 0, "transcode_ms": 0, "publish_ms": 0},
    })
    .to_string()
}

/// What a fleet that keeps its promises leaves of this work.
fn finish(root: &Path, work: &[Job]) -> BTreeSet<String> {
    for job in work.iter().filter(|job| job.kind.is_video()) {
        let folder = root.join(&job.name).join("id");
        std::fs::create_dir_all(folder.join("attempts").join(ATTEMPT)).unwrap();
        std::fs::write(folder.join("attempts").join(ATTEMPT).join("32p.mp4"), &job.name).unwrap();
        let manifest = manifest(&job.name, ATTEMPT, job.name.as_bytes());
        std::fs::write(folder.join("manifest.json"), manifest).unwrap();
    }
    work.iter().filter(|job| !job.kind.is_video()).map(|job| job.name.clone()).collect()
}

/// The verdict over a good end to which this was done; the reader looks before and after.
async fn verdict(spoil: impl FnOnce(&Path, &[Job], &mut BTreeSet<String>)) -> Verdict {
    let folder = tempfile::tempdir().unwrap();
    let work = draw(1, 40, true);
    let mut dead = finish(folder.path(), &work);
    let outputs = Outputs::Folder(folder.path().to_path_buf());
    let mut reader = Reader::default();
    reader.look(&outputs).await;
    spoil(folder.path(), &work, &mut dead);
    let mut verdict = Verdict { to_zero: Some(Duration::ZERO), jobs_begun: 40, ..Verdict::default() };
    verdict.judge(&work, reader.close(&outputs).await, &dead);
    verdict
}

fn video(work: &[Job]) -> &str {
    &work.iter().find(|job| job.kind.is_video()).unwrap().name
}

#[tokio::test]
async fn a_good_end_is_one() {
    let verdict = verdict(|_, _, _| {}).await;
    assert_eq!(verdict.broken(), Vec::<String>::new());
    assert_eq!(verdict.commits, 40);
}

#[tokio::test]
async fn every_broken_promise_is_found() {
    type Spoil = fn(&Path, &[Job], &mut BTreeSet<String>);
    let cases: [(&str, Spoil); 9] = [
        ("lost", |root, work, _| std::fs::remove_dir_all(root.join(video(work))).unwrap()),
        ("has 2 manifests", |root, work, _| {
            let (from, to) = (root.join(video(work)).join("id"), root.join(video(work)).join("other"));
            std::fs::create_dir_all(to.join("attempts").join(ATTEMPT)).unwrap();
            for file in ["manifest.json", "attempts/a1/32p.mp4"] {
                std::fs::copy(from.join(file), to.join(file)).unwrap();
            }
        }),
        ("is another than when it was first read", |root, work, _| {
            let name = video(work);
            let folder = root.join(name).join("id");
            std::fs::create_dir_all(folder.join("attempts/b2")).unwrap();
            std::fs::rename(folder.join("attempts/a1/32p.mp4"), folder.join("attempts/b2/32p.mp4")).unwrap();
            std::fs::write(folder.join("manifest.json"), manifest(name, "b2", name.as_bytes())).unwrap();
        }),
        ("which is not there", |root, work, _| {
            std::fs::remove_file(root.join(video(work)).join("id/attempts/a1/32p.mp4")).unwrap();
        }),
        ("is not what", |root, work, _| {
            std::fs::write(root.join(video(work)).join("id/attempts/a1/32p.mp4"), "mixed").unwrap();
        }),
        ("left in the store", |root, work, _| {
            std::fs::write(root.join(video(work)).join("id/attempts/.part"), "half").unwrap();
        }),
        ("dead without a reason", |_, work, dead| {
            dead.insert(video(work).to_owned());
        }),
        ("dead without a reason", |_, _, dead| {
            dead.insert("what nobody sent".to_owned());
        }),
        ("not dead", |_, _, dead| {
            dead.pop_first();
        }),
    ];
    for (complaint, spoil) in cases {
        let verdict = verdict(spoil).await;
        let broken = verdict.broken().join("\n");
        assert!(broken.contains(complaint), "{complaint}: {broken}");
    }
}
