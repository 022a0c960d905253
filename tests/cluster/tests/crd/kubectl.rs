//! What people see.

use serde_json::json;

use crate::server::{apply_status, create, plane, pool};

#[test]
fn a_list_of_pools_reads_well() {
    create(&pool("shown", &json!({"maxWorkers": 1337}))).unwrap();
    let condition = json!({"type": "Ready", "status": "True", "reason": "AllGood", "message": "", "lastTransitionTime": "2026-11-21T10:00:00Z"});
    let status = json!({
        "desiredWorkers": 12,
        "workers": {"starting": 2, "idle": 0, "busy": 10, "draining": 0, "unreachable": 0},
        "lastDecision": {"reason": "Backlog", "message": "12 = ceil((2 waiting + 10 in flight) / 1)", "backlog": 2, "inFlight": 10, "time": "2026-11-21T10:00:00Z"},
        "conditions": [condition],
    });
    apply_status("shown", "test", &status).unwrap();
    let words = |args: &[&str]| {
        let text = plane().kubectl(args).ok();
        println!("$ kubectl {}\n{text}", args.join(" "));
        let lines = text.lines().map(|line| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
        let [head, row] = lines.collect::<Vec<_>>().try_into().unwrap();
        (head, row)
    };
    let first = ["NAME", "DESIRED", "READY", "BACKLOG", "REASON", "AGE"];
    for kind in ["workerpools", "workerpool", "wpool", "reelpool"] {
        let (head, row) = words(&["get", kind, "--field-selector=metadata.name=shown"]);
        assert_eq!(head, first);
        assert_eq!(row[..5], ["shown", "12", "True", "2", "Backlog"]);
    }
    let (head, row) = words(&["get", "wpool", "--field-selector=metadata.name=shown", "-o", "wide"]);
    assert_eq!(head[6..], ["MIN", "MAX", "STARTING", "IDLE", "BUSY", "DRAINING", "DECISION"]);
    assert_eq!(row[6..12], ["0", "1337", "2", "0", "10", "0"]);
    assert_eq!(row[12..].join(" "), "12 = ceil((2 waiting + 10 in flight) / 1)");
    let _ = plane().kubectl(&["wait", "--for=condition=Ready", "--timeout=10s", "wpool/shown"]).ok();
}

#[test]
fn every_field_is_explained() {
    let explain = |path: &str| plane().kubectl(&["explain", path]).ok();
    assert!(explain("workerpool").contains("A fleet of video workers that grows with a queue"));
    let spec = explain("workerpool.spec");
    println!("{spec}");
    assert!(spec.contains("maxWorkers\t<integer> -required-"), "{spec}");
    assert!(explain("wpool.spec.scaling.target").contains("exactly one of its"));
    assert!(explain("workerpool.spec.worker.preset").contains("ENUM:\n    ultrafast"));
    let all = plane().kubectl(&["explain", "workerpool", "--recursive"]).ok();
    for field in [
        "deadLetterQueueURL\t<string>",
        "statusPort\t<integer>",
        "lastDecision\t<Object>",
        "conditions\t<[]Object>",
    ] {
        assert!(all.contains(field), "{all}");
    }
}

#[test]
fn nobody_scales_a_pool_by_hand() {
    create(&pool("unscaled", &json!({}))).unwrap();
    let said = plane().kubectl(&["scale", "workerpool", "unscaled", "--replicas=3"]).refused();
    assert!(said.contains("not find") || said.contains("not found"), "{said}");
}

#[test]
fn a_manifest_as_people_write_it_is_applied_twice() {
    let manifest = "
apiVersion: reelpool.dev/v1alpha1
kind: WorkerPool
metadata:
  name: cattube
spec:
  queue:
    sqs:
      queueURL: https://sqs.eu-west-1.amazonaws.com/123456789012/masters
  masters: {url: s3://cattube-masters/in}
  output: {url: s3://cattube-renditions/}
  maxWorkers: 1337
  ladder: [2160p, 1440p, 1080p, 720p, 480p, 360p]
";
    for (way, said) in [
        (&["apply"][..], ["created", "unchanged"]),
        (&["apply", "--server-side", "--force-conflicts"], ["applied", "applied"]),
    ] {
        for expected in said {
            let args = [way, &["--validate=strict", "-f", "-"]].concat();
            let ran = plane().kubectl_with(&args, manifest).ok();
            assert!(ran.contains(expected), "{ran}");
        }
    }
}
