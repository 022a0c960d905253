//! The status document, the manifest and the events: what is written can be read, and keeps its form.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, dead_code, reason = "tests")]

mod common;

use std::fmt::Debug;
use std::net::{IpAddr, SocketAddr};

use common::{any_ladder, any_profile, any_source};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use reelpool_protocol::event::Outcome;
use reelpool_protocol::manifest::{self, Companion, MasterInfo, Quality, Rendition, Role, Score, Timings};
use reelpool_protocol::status::{DrainRequest, JobStatus, Stage, Totals};
use reelpool_protocol::{JobId, Manifest, Source, WorkerEvent, WorkerState, WorkerStatus};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

fn any_job_id() -> impl Strategy<Value = JobId> {
    "[0-9a-f]{32}".prop_map(|text| text.parse().expect("32 digits"))
}

fn any_quality() -> impl Strategy<Value = Quality> {
    let score = (0.0..=100.0).prop_map(|score| Score::new(score).expect("in bounds"));
    (any::<bool>(), score)
        .prop_map(|(ssim, score)| if ssim { Quality::Ssim(score) } else { Quality::Vmaf(score) })
}

fn any_rendition() -> impl Strategy<Value = Rendition> {
    let size = (any::<u32>(), any::<u32>());
    (".*", ".*", size, any::<[u64; 4]>(), "[0-9a-f]{64}", any::<bool>(), option::of(any_quality())).prop_map(
        |(name, path, (width, height), numbers, sha256, audio, quality)| {
            let [frames, duration_ms, bytes, bits_per_second] = numbers;
            Rendition {
                name,
                path,
                width,
                height,
                frames,
                duration_ms,
                bytes,
                bits_per_second,
                sha256,
                audio,
                quality,
            }
        },
    )
}

fn any_companion() -> impl Strategy<Value = Companion> {
    use Role::{Dash, Hls, HlsPlaylist, Poster, Sprite, Storyboard, Track};
    let role = select(vec![Hls, HlsPlaylist, Dash, Track, Poster, Storyboard, Sprite]);
    (role, ".*", any::<u64>(), "[0-9a-f]{64}").prop_map(|(role, path, bytes, sha256)| Companion {
        role,
        path,
        bytes,
        sha256,
    })
}

fn any_manifest() -> impl Strategy<Value = Manifest> {
    let master = (any::<[u64; 2]>(), any::<[u32; 2]>(), ".*", option::of(".*")).prop_map(
        |([bytes, duration_ms], [width, height], video_codec, audio_codec)| MasterInfo {
            bytes,
            width,
            height,
            duration_ms,
            video_codec,
            audio_codec,
        },
    );
    let timings = any::<[u64; 4]>().prop_map(|[fetch_ms, probe_ms, transcode_ms, publish_ms]| Timings {
        fetch_ms,
        probe_ms,
        transcode_ms,
        publish_ms,
    });
    let lists = (vec(any_rendition(), 0..4), vec(any_companion(), 0..4), vec(".*", 0..3));
    let asked = (any_source(), any_ladder(), any_profile());
    (any_job_id(), ".*", ".*", asked, master, lists, timings).prop_map(
        |(job_id, attempt, worker, asked, master, (renditions, companions, warnings), timings)| {
            let (source, ladder, profile) = asked;
            Manifest {
                format: manifest::FORMAT,
                job_id,
                attempt,
                worker,
                source,
                ladder,
                profile,
                master,
                renditions,
                companions,
                warnings,
                timings,
            }
        },
    )
}

fn any_status() -> impl Strategy<Value = WorkerStatus> {
    let state = prop_oneof![
        Just(WorkerState::Starting),
        Just(WorkerState::Idle),
        Just(WorkerState::Busy),
        Just(WorkerState::Draining),
    ];
    let progress = prop_oneof![
        Just(Stage::Claiming),
        Just(Stage::Fetching),
        Just(Stage::Probing),
        Just(Stage::Transcoding),
        Just(Stage::Publishing),
        Just(Stage::Committing),
    ];
    let number = || option::of(any::<u64>());
    let job = (any_job_id(), ".*", any_source(), progress, 0..=1000_u32, number(), number(), any::<u64>())
        .prop_map(|(job_id, attempt, source, stage, permille, speed_milli, left_ms, held_for_ms)| {
            JobStatus { job_id, attempt, source, stage, permille, speed_milli, left_ms, held_for_ms }
        });
    let totals = any::<[u64; 7]>().prop_map(
        |[committed, already_done, retried, failed, handed_back, claimed_elsewhere, committed_ms]| Totals {
            committed,
            already_done,
            retried,
            failed,
            handed_back,
            claimed_elsewhere,
            committed_ms,
        },
    );
    (".*", state, any::<u64>(), any::<bool>(), number(), vec(job, 0..2), number(), totals).prop_map(
        |(worker, state, state_for_ms, drained, drain_lapses_in_ms, jobs, start_up_ms, totals)| {
            WorkerStatus {
                worker,
                state,
                state_for_ms,
                drained,
                drain_lapses_in_ms,
                jobs,
                start_up_ms,
                totals,
            }
        },
    )
}

fn any_event() -> impl Strategy<Value = WorkerEvent> {
    let outcome = prop_oneof![
        (vec(any_rendition(), 0..3), vec(".*", 0..3))
            .prop_map(|(renditions, warnings)| Outcome::Committed { renditions, warnings }),
        Just(Outcome::AlreadyDone),
        (".*", ".*", any::<u64>()).prop_map(|(reason, detail, delay_ms)| Outcome::Retried {
            reason,
            detail,
            delay_ms
        }),
        (".*", ".*").prop_map(|(reason, detail)| Outcome::Failed { reason, detail }),
        Just(Outcome::HandedBack),
        Just(Outcome::HoldLost),
        Just(Outcome::ClaimedElsewhere),
    ];
    prop_oneof![
        // Not any socket address: the flow label of an IPv6 one has no text.
        any::<(IpAddr, u16)>()
            .prop_map(|address| WorkerEvent::Listening { address: SocketAddr::from(address) }),
        (option::of(any_job_id()), option::of(any_source()), outcome, any::<u64>()).prop_map(
            |(job_id, source, outcome, held_for_ms)| WorkerEvent::JobEnded {
                job_id,
                source,
                outcome,
                held_for_ms
            }
        ),
    ]
}

fn comes_back<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T) {
    let line = serde_json::to_string(value).unwrap();
    assert!(!line.contains('\n'), "an event is one line");
    assert_eq!(&serde_json::from_str::<T>(&line).unwrap(), value);
}

proptest! {
    #[test]
    fn a_manifest_comes_back(manifest in any_manifest()) {
        comes_back(&manifest);
    }

    #[test]
    fn a_status_comes_back(status in any_status()) {
        comes_back(&status);
    }

    #[test]
    fn an_event_comes_back(event in any_event()) {
        comes_back(&event);
    }

    #[test]
    fn a_drain_request_comes_back(term_seconds in any::<u32>()) {
        comes_back(&DrainRequest { term_seconds });
    }
}

fn master() -> Source {
    Source {
        bucket: "masters".into(),
        key: "a/b.mp4".into(),
        version: None,
        etag: Some("e1".into()),
        size: None,
    }
}

const JOB: &str = "2f8cb7022656ea7dec7089ec9ce1897e";

#[test]
fn the_status_document_keeps_its_form() {
    let status = WorkerStatus {
        worker: "w1".into(),
        state: WorkerState::Draining,
        state_for_ms: 5,
        drained: false,
        drain_lapses_in_ms: Some(9),
        jobs: vec![JobStatus {
            job_id: JOB.parse().unwrap(),
            attempt: "a1".into(),
            source: master(),
            stage: Stage::Transcoding,
            permille: 420,
            speed_milli: Some(1500),
            left_ms: None,
            held_for_ms: 60,
        }],
        start_up_ms: None,
        totals: Totals { committed: 1, ..Totals::default() },
    };
    let expected = json!({
        "worker": "w1", "state": "draining", "state_for_ms": 5, "drained": false, "drain_lapses_in_ms": 9,
        "jobs": [{
            "job_id": JOB, "attempt": "a1",
            "source": { "bucket": "masters", "key": "a/b.mp4", "etag": "e1" },
            "stage": "transcoding", "permille": 420, "speed_milli": 1500, "held_for_ms": 60,
        }],
        "totals": {
            "committed": 1, "already_done": 0, "retried": 0, "failed": 0, "handed_back": 0, "claimed_elsewhere": 0, "committed_ms": 0,
        },
    });
    assert_eq!(serde_json::to_value(&status).unwrap(), expected);
    // A newer worker may tell more.
    let mut newer = expected;
    newer["temperature"] = 40.into();
    assert_eq!(serde_json::from_value::<WorkerStatus>(newer).unwrap(), status);
}

#[test]
fn the_events_keep_their_form() {
    let listening = WorkerEvent::Listening { address: "127.0.0.1:8080".parse().unwrap() };
    assert_eq!(
        serde_json::to_value(listening).unwrap(),
        json!({ "event": "listening", "address": "127.0.0.1:8080" })
    );
    let ended = WorkerEvent::JobEnded {
        job_id: None,
        source: Some(master()),
        outcome: Outcome::Failed { reason: "no_video".into(), detail: "it has no picture".into() },
        held_for_ms: 3,
    };
    let expected = json!({
        "event": "job_ended", "job_id": null,
        "source": { "bucket": "masters", "key": "a/b.mp4", "etag": "e1" },
        "outcome": { "outcome": "failed", "reason": "no_video", "detail": "it has no picture" },
        "held_for_ms": 3,
    });
    assert_eq!(serde_json::to_value(ended).unwrap(), expected);
}

#[test]
fn the_manifest_keeps_its_form() {
    let expected = json!({
        "format": 1, "job_id": JOB, "attempt": "a1", "worker": "w1",
        "source": { "bucket": "masters", "key": "a/b.mp4", "etag": "e1" },
        "ladder": ["720p", "480p"],
        "profile": {
            "video": { "codec": "h264", "preset": "faster", "crf": 22, "maxKbps": {} },
            "audio": { "kbps": 128 },
            "packaging": ["mp4", "hls", "dash"], "segmentSeconds": 6, "poster": true, "storyboard": true,
            "chunkSeconds": 60, "quality": "none",
        },
        "master": {
            "bytes": 9, "width": 1280, "height": 720, "duration_ms": 1000, "video_codec": "h264", "audio_codec": null,
        },
        "renditions": [{
            "name": "720p", "path": "attempts/a1/720p.mp4", "width": 1280, "height": 720, "frames": 25,
            "duration_ms": 1000, "bytes": 8, "bits_per_second": 64, "sha256": "00", "audio": false,
        }],
        "companions": [{ "role": "hls", "path": "attempts/a1/master.m3u8", "bytes": 7, "sha256": "11" }],
        "warnings": ["it is short"],
        "timings": { "fetch_ms": 1, "probe_ms": 2, "transcode_ms": 3, "publish_ms": 4 },
    });
    let manifest: Manifest = serde_json::from_value(expected.clone()).unwrap();
    assert_eq!(manifest.source, master());
    let mut older = expected.clone();
    older.as_object_mut().unwrap().remove("profile");
    assert_eq!(serde_json::from_value::<Manifest>(older).unwrap(), manifest);
    assert_eq!(serde_json::to_value(manifest).unwrap(), expected);
}

#[test]
fn a_source_that_no_store_could_have_is_not_read() {
    let read = |pointer: &str, value: Value| {
        let mut source = json!({ "bucket": "b", "key": "k", "version": "v", "etag": "e", "size": 1 });
        source[pointer] = value;
        serde_json::from_value::<Source>(source).map_err(|error| error.to_string())
    };
    assert!(read("size", json!(0)).is_ok());
    for (field, value, error) in [
        ("bucket", json!(""), "bucket: expected 1 to 255 bytes, found 0"),
        ("key", json!(""), "key: expected 1 to 1024 bytes, found 0"),
        ("key", json!("k".repeat(1025)), "key: expected 1 to 1024 bytes, found 1025"),
        ("key", json!("a\0"), "key: expected a key without NUL characters"),
        ("version", json!(" "), "version: expected visible ASCII characters only"),
        ("etag", json!("a\r\nb"), "etag: expected visible ASCII characters only"),
    ] {
        assert_eq!(read(field, value), Err(error.to_owned()));
    }
    let wrong_id = serde_json::from_value::<JobId>(json!("xyz")).map_err(|error| error.to_string());
    assert_eq!(wrong_id, Err("a job id is 32 lower-case hexadecimal digits".to_owned()));
}
