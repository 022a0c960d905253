//! All of it: the chart, a pool, videos in a bucket; renditions appear, the fleet rises from zero and is gone, and no
//! job is interrupted. Counted from outside: in the store, in the queues, and by what became of each pod.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use reelpool_cluster::{ControlPlane, Node, Replicas, Samples, Settings, eventually, image};
use reelpool_tests::emulator::QueuePair;
use reelpool_tests::probe::probe;
use reelpool_tests::results::{Published, assert_nothing_else, published};
use reelpool_tests::{Emulator, clips};
use tempfile::TempDir;

use crate::chart::install;
use crate::witness::{Seen, Witness};

const POOL: &str = include_str!("pool.yaml");
const MAX_WORKERS: i32 = 4;
/// Ten times what it takes on a busy machine.
const DONE_WITHIN: Duration = Duration::from_secs(600);

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_becomes_renditions_and_the_fleet_comes_and_goes() {
    let _alone = crate::ALONE.lock().await;
    let start = Instant::now();
    let emulator = Emulator::start();
    let queue = queue_and_buckets(&emulator).await;
    let plane = ControlPlane::start(Settings::default());
    let node = Node::start(&plane, &[&image("reelpool-operator"), &image("reelpool-worker")]);
    let _report = Report { plane: &plane, node: &node };
    println!("a node with both images after {:.1?}", start.elapsed());
    let endpoint = format!("http://{}", node.relay(emulator.port()));

    let operator = install(&plane, &endpoint);
    println!("the operator is ready after {:.1?}", start.elapsed());
    let witness = Witness::follow(plane.client().await, "media");
    let replicas = Replicas::follow(&plane, "media");
    plane.apply(&POOL.replace("$ENDPOINT", &endpoint));
    let ready = "--for=condition=Ready";
    let _ = plane.kubectl(&["wait", "workerpool/cattube", "-n=media", ready, "--timeout=60s"]).ok();
    assert!(witness.pods().is_empty(), "there is nothing to do: {:?}", witness.pods());

    let work = TempDir::new().unwrap();
    let masters = masters(work.path());
    let uploaded = Instant::now();
    for (key, clip) in &masters {
        emulator.upload("masters", key, clip).await;
    }
    let all_done = async || {
        let dead = emulator.messages(&queue.dead_letter_url).await;
        assert_eq!(dead, 0, "a message that is received twice is dead: {:#?}", witness.pods());
        manifests(&emulator).await == masters.len()
    };
    let took = eventually("every master has its manifest", DONE_WITHIN, all_done).await;
    println!("{} masters done after {took:.1?}", masters.len());
    println!("{}", plane.kubectl(&["get", "workerpools", "-A"]).ok());
    let gone = async || {
        let pods = witness.pods();
        pods.values().all(|pod| !pod.is_there && pod.is_read)
            && replicas.of("cattube-workers").numbers().ends_with(&[0])
    };
    eventually("the fleet is gone", DONE_WITHIN, gone).await;
    println!("the fleet is gone {:.1?} after the first upload", uploaded.elapsed());

    // In the store: each master's renditions, of one attempt, and nothing else.
    let output = work.path().join("output");
    let _ = emulator.download_all("renditions", &output).await;
    let jobs = published(&output);
    assert_renditions(&jobs, &masters);
    assert_nothing_else(&output, &jobs);
    // In the queues: none was received twice.
    assert_eq!(emulator.messages(&queue.url).await, 0);
    assert_eq!(emulator.messages(&queue.dead_letter_url).await, 0);
    // In the numbers: from zero up to the maximum as the uploads come in, and down to zero when their jobs end.
    let numbers = replicas.of("cattube-workers").numbers();
    println!("replicas: {numbers:?}");
    assert_eq!(numbers.iter().max(), Some(&MAX_WORKERS), "{numbers:?}");
    assert_eq!((numbers.first(), numbers.last()), (Some(&0), Some(&0)), "{numbers:?}");
    let top = numbers.iter().position(|number| *number == MAX_WORKERS).unwrap();
    assert!(numbers[..=top].is_sorted() && numbers[top..].is_sorted_by(|a, b| a >= b), "{numbers:?}");
    // In the pods.
    assert_uninterrupted(&witness.pods(), masters.len());

    let metrics = plane
        .kubectl(&[
            "get",
            "--raw",
            &format!("/api/v1/namespaces/reelpool-system/pods/{operator}:8080/proxy/metrics"),
        ])
        .ok();
    Samples::parse(&metrics).assert_sound();
    println!("{}", plane.kubectl(&["events", "-n=media", "--for=workerpool/cattube"]).ok());
    let _ = plane.helm(&["uninstall", "reelpool", "--namespace=reelpool-system", "--wait"]).ok();
    assert!(plane.kubectl(&["get", "workerpools", "-n=media", "-o=name"]).ok().contains("cattube"));
}

async fn queue_and_buckets(emulator: &Emulator) -> QueuePair {
    let queue = emulator.create_queue_with_dlq("masters", 1).await;
    emulator.create_bucket("masters").await;
    emulator.create_bucket("renditions").await;
    emulator.notify("masters", &queue, "in/", "").await;
    // S3 announces itself with a message of its own; without it the fleet begins at zero.
    let test_event = emulator.sqs.receive_message().queue_url(&queue.url).wait_time_seconds(10).send().await;
    for message in test_event.unwrap().messages.unwrap() {
        let handle = message.receipt_handle.unwrap();
        emulator.sqs.delete_message().queue_url(&queue.url).receipt_handle(handle).send().await.unwrap();
    }
    queue
}

async fn manifests(emulator: &Emulator) -> usize {
    let listed = emulator.s3.list_objects_v2().bucket("renditions").send().await.unwrap();
    let keys = listed.contents.unwrap_or_default().into_iter().filter_map(|object| object.key);
    keys.filter(|key| key.ends_with("/manifest.json")).count()
}

/// The masters by key: the demo's clips twice, and where this machine has them some more. One is much longer than the
/// others: its worker is busy when they have nothing to do any more, and must stay.
fn masters(work: &Path) -> BTreeMap<String, PathBuf> {
    let mut masters = BTreeMap::from([("in/long.mp4".to_owned(), long_clip(work))]);
    for clip in ["bigbuckbunny.mp4", "bikes.mp4", "carphone_pristine.mp4"] {
        for copy in ["one", "the other (2)"] {
            masters.insert(format!("in/{copy}/{clip}"), clips::demo(clip));
        }
    }
    if let Some(shared) = clips::shared_media() {
        for clip in ["h264-aac-basic.mp4", "h264-40s-noaudio.mp4", "vp9-square.webm"] {
            masters.insert(format!("in/{clip}"), shared.join(clip));
        }
    }
    masters
}

/// One of the demo's clips, twenty times in a row.
fn long_clip(work: &Path) -> PathBuf {
    let file = work.join("long.mp4");
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-stream_loop", "19", "-i"]).arg(clips::demo("bigbuckbunny.mp4"));
    let made = command.args(["-c", "copy"]).arg(&file).status().unwrap();
    assert!(made.success());
    file
}

fn assert_renditions(jobs: &[Published], masters: &BTreeMap<String, PathBuf>) {
    let keys: Vec<&String> = jobs.iter().map(|job| &job.manifest.source.key).collect();
    assert_eq!(keys, masters.keys().collect::<Vec<_>>());
    for (job, clip) in jobs.iter().zip(masters.values()) {
        job.assert_matches(&probe(clip));
    }
}

/// Every message that a pod received it finished before it was told to go, and it went by itself.
fn assert_uninterrupted(pods: &BTreeMap<String, Seen>, masters: usize) {
    let mut committed = 0;
    for (name, pod) in pods {
        let messages = pod.messages();
        assert_eq!((pod.restarts, pod.exit), (0, Some(0)), "{name}: {:#?}", pod.log);
        let mut busy = false;
        for message in &messages {
            match *message {
                "received" => busy = true,
                "committed" => (busy, committed) = (false, committed + 1),
                "asked to stop" => assert!(!busy, "{name} was told to go while it was busy: {:#?}", pod.log),
                "started" | "stopped" => {}
                other => panic!("{name} says {other:?}: {:#?}", pod.log),
            }
        }
        assert!(!busy, "{name} did not finish: {:#?}", pod.log);
        println!(
            "{name}: {} jobs, exit code 0",
            messages.iter().filter(|message| **message == "committed").count()
        );
    }
    assert!(pods.len() >= MAX_WORKERS.unsigned_abs() as usize, "{:?}", pods.keys());
    assert_eq!(committed, masters, "{pods:#?}");
}

/// Tells what there is to know when the test fails.
struct Report<'a> {
    plane: &'a ControlPlane,
    node: &'a Node,
}

impl Drop for Report<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.node.report());
            for arguments in [
                ["get", "workerpools,deployments,pods", "-A", "-o=wide"].as_slice(),
                &["events", "-A"],
                &["logs", "-n=reelpool-system", "deployment/reelpool-operator", "--tail=50"],
            ] {
                eprintln!("{}", self.plane.kubectl(arguments));
            }
        }
    }
}
