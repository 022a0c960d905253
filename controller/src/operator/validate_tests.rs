use reelpool_core::{Freshness, Millis, Poll, Target};
use serde_json::{Value, json};

use super::*;

fn defaults() -> Defaults {
    Defaults {
        worker_image: "worker:1".to_owned(),
        endpoint_url: None,
        drain_token_sha256: "5e".repeat(32),
        log_format: LogFormat::Json,
    }
}

/// The least a pool says.
fn least() -> Value {
    json!({
        "apiVersion": "reelpool.dev/v1alpha1",
        "kind": "WorkerPool",
        "metadata": {"name": "cats", "namespace": "video", "uid": "u1", "generation": 7},
        "spec": {
            "queue": {"sqs": {"queueURL": "https://sqs.eu-west-1.amazonaws.com/123456789012/masters"}},
            "masters": {"url": "s3://cats/in"},
            "output": {"url": "s3://cats/out/"},
            "maxWorkers": 1337,
        },
    })
}

/// The least, with `change` merged into it; `null` takes away.
fn read(change: Value) -> Result<ValidPool, InvalidPool> {
    let mut pool = least();
    k8s_openapi::DeepMerge::merge_from(&mut pool, change);
    validate(&serde_json::from_value(pool).unwrap(), &defaults())
}

fn of_spec(change: Value) -> Result<ValidPool, InvalidPool> {
    read([("spec".to_owned(), change)].into_iter().collect())
}

fn owned(pool: ValidPool) -> WorkerSettings {
    match pool.fleet {
        ValidFleet::Owned(settings) => *settings,
        ValidFleet::Target { .. } => panic!("somebody else's"),
    }
}

/// The first problem, as `field: message`; there must be no other.
fn one_problem(change: Value) -> String {
    let error = of_spec(change).unwrap_err();
    assert_eq!(error.problems().len(), 1, "{error}");
    error.to_string()
}

#[test]
fn the_least_is_enough() {
    let pool = read(json!({})).unwrap();
    assert_eq!((pool.namespace.as_str(), pool.name.as_str()), ("video", "cats"));
    assert_eq!(pool.queue_url, "https://sqs.eu-west-1.amazonaws.com/123456789012/masters");
    let policy = pool.policy.spec();
    assert_eq!((policy.min_workers, policy.max_workers, policy.paused), (0, 1337, false));
    assert_eq!(policy.target, Target::default());
    assert_eq!((policy.zero_after, policy.idle), (Millis::from_secs(60), None));
    assert_eq!(policy.poll, Poll { shortest: Millis::from_secs(1), longest: Millis::from_secs(1) });
    assert_eq!(policy.freshness, Freshness::default());
    assert_eq!(policy.jobs_per_worker.get(), 1);
    let worker = owned(pool);
    assert_eq!(
        (worker.image.as_str(), worker.grace_period, worker.visibility_timeout),
        ("worker:1", 3600, 120)
    );
    assert_eq!((worker.ladder, worker.template, worker.endpoint_url), (None, None, None));
}

#[test]
fn every_number_arrives_where_it_belongs() {
    let pool = of_spec(json!({
        "minWorkers": 2,
        "paused": true,
        "scaling": {
            "target": {"drainWithinSeconds": 600},
            "scaleOut": {"maxStep": 30},
            "scaleIn": {"maxStep": 10, "zeroAfterSeconds": 90, "idleSeconds": 45},
            "pollSeconds": 20,
        },
        "worker": {"gracePeriodSeconds": 7200, "visibilityTimeoutSeconds": 60, "maxAttempts": 3},
    }))
    .unwrap();
    let policy = pool.policy.spec();
    assert_eq!((policy.min_workers, policy.paused), (2, true));
    assert_eq!(policy.target, Target::Time { drain_within: Millis::from_secs(600) });
    assert_eq!(policy.max_step_out.map(u32::from), Some(30));
    assert_eq!(policy.max_step_in.map(u32::from), Some(10));
    assert_eq!((policy.zero_after, policy.idle), (Millis::from_secs(90), Some(Millis::from_secs(45))));
    assert_eq!(policy.poll, Poll { shortest: Millis::from_secs(1), longest: Millis::from_secs(20) });
    let fresh = Millis::from_secs(60);
    assert_eq!(policy.freshness, Freshness { queue: fresh, workers: fresh });
    let worker = owned(pool);
    assert_eq!((worker.grace_period, worker.visibility_timeout, worker.max_attempts), (7200, 60, 3));
}

#[test]
fn somebody_elses_deployment_is_scaled() {
    let target = |target: Value| of_spec(json!({"masters": null, "output": null, "targetRef": target}));
    let port = |pool: ValidPool| match pool.fleet {
        ValidFleet::Target { name, status_port } => (name, status_port),
        ValidFleet::Owned(_) => panic!("Reelpool's own"),
    };
    assert_eq!(port(target(json!({"name": "mine"})).unwrap()), ("mine".to_owned(), None));
    assert_eq!(
        port(target(json!({"name": "mine", "statusPort": 9000})).unwrap()),
        ("mine".to_owned(), Some(9000))
    );
    let error =
        of_spec(json!({"targetRef": {"name": "mine"}, "worker": {}, "ladder": ["720p"], "profile": {}}))
            .unwrap_err();
    let fields: Vec<_> = error.problems().iter().map(|problem| problem.field.as_str()).collect();
    assert_eq!(fields, ["spec.masters", "spec.output", "spec.ladder", "spec.profile", "spec.worker"]);
    for (wrong, field) in [
        (json!({"name": "Mine"}), "spec.targetRef.name: "),
        (json!({"name": ""}), "spec.targetRef.name: "),
        (
            json!({"name": "mine", "statusPort": 0}),
            "spec.targetRef.statusPort: must be from 1 to 65535, and is 0",
        ),
    ] {
        let error = target(wrong).unwrap_err().to_string();
        assert!(error.starts_with(field), "{error}");
    }
}

#[test]
fn what_is_wrong_is_named_and_what_to_do_is_said() {
    let queue = |queue: Value| json!({"queue": {"sqs": queue}});
    let cases = [
        (
            json!({"minWorkers": 5, "maxWorkers": 3}),
            "spec.minWorkers: must be less than or equal to maxWorkers (3), and is 5",
        ),
        (json!({"minWorkers": -1}), "spec.minWorkers: must be from 0 to 100000, and is -1"),
        (json!({"maxWorkers": 0}), "spec.maxWorkers: must be from 1 to 100000, and is 0"),
        (json!({"maxWorkers": 100_001}), "spec.maxWorkers: must be from 1 to 100000, and is 100001"),
        (json!({"scaling": {"target": {}}}), "spec.scaling.target: must have exactly one"),
        (
            json!({"scaling": {"target": {"backlogPerWorker": 1, "drainWithinSeconds": 9}}}),
            "spec.scaling.target: must have exactly one",
        ),
        (json!({"scaling": {"target": {"backlogPerWorker": 0}}}), "spec.scaling.target.backlogPerWorker: "),
        (
            json!({"scaling": {"target": {"drainWithinSeconds": 0}}}),
            "spec.scaling.target.drainWithinSeconds: ",
        ),
        (json!({"scaling": {"scaleOut": {"maxStep": 0}}}), "spec.scaling.scaleOut.maxStep: "),
        (json!({"scaling": {"scaleIn": {"maxStep": 0}}}), "spec.scaling.scaleIn.maxStep: "),
        (json!({"scaling": {"scaleIn": {"idleSeconds": -1}}}), "spec.scaling.scaleIn.idleSeconds: "),
        (
            json!({"scaling": {"scaleIn": {"zeroAfterSeconds": -1}}}),
            "spec.scaling.scaleIn.zeroAfterSeconds: ",
        ),
        (
            json!({"scaling": {"pollSeconds": 301}}),
            "spec.scaling.pollSeconds: must be from 1 to 300, and is 301",
        ),
        (queue(json!(null)), "spec.queue: must have exactly one kind of queue: set queue.sqs.queueURL"),
        (queue(json!({"queueURL": "masters"})), "spec.queue.sqs.queueURL: not the URL of a queue"),
        (queue(json!({"queueURL": "spool:///srv/queue"})), "spec.queue.sqs.queueURL: must be an SQS queue"),
        (
            queue(json!({"deadLetterQueueURL": "dead"})),
            "spec.queue.sqs.deadLetterQueueURL: not the URL of a queue",
        ),
        (
            queue(json!({"queueURL": "http://h/1/q", "deadLetterQueueURL": "http://h/1/q"})),
            "spec.queue.sqs.deadLetterQueueURL: must not be the queue itself",
        ),
        (json!({"masters": null}), "spec.masters: is required: set masters.url"),
        (json!({"output": null}), "spec.output: is required: set output.url"),
        (json!({"masters": {"url": "/srv/masters"}}), "spec.masters.url: must be a bucket"),
        (json!({"output": {"url": "gs://cats"}}), "spec.output.url: `gs://` is not understood"),
        (json!({"output": {"url": "s3://cats"}}), "spec.output: must not lie within masters"),
        (json!({"output": {"url": "s3://cats/in/out"}}), "spec.output: must not lie within masters"),
        (json!({"ladder": ["720p", "721p"]}), "spec.ladder[1]: 721p is odd"),
        (json!({"ladder": ["HD"]}), "spec.ladder[0]: `HD` is not a rung"),
        (json!({"ladder": ["720p", "480p", "720p"]}), "spec.ladder[2]: 720p is there twice"),
        (
            json!({"profile": {"name": "fast", "poster": false}}),
            "spec.profile.name: must stand alone: remove it, or the other fields",
        ),
        (
            json!({"profile": {"video": {"crf": 52}}}),
            "spec.profile.video.crf: expected a whole number from 0 to 51, found `52`",
        ),
        (
            json!({"profile": {"video": {"codec": "av1", "preset": "faster"}}}),
            "spec.profile.video.preset: expected a preset of SVT-AV1 (0 to 13), found `faster`",
        ),
        (
            json!({"profile": {"video": {"maxKbps": {"HD": 8000}}}}),
            "spec.profile.video.maxKbps.HD: `HD` is not a rung",
        ),
        (
            json!({"profile": {"chunkSeconds": 10, "segmentSeconds": 12}}),
            "spec.profile.chunkSeconds: expected at least a segment (12 s), found `10`",
        ),
        (
            json!({"profile": {"name": "av1"}, "worker": {"preset": "slow"}}),
            "spec.worker.preset: is x264's, and the profile is not: set spec.profile.video.preset",
        ),
        (json!({"worker": {"image": "a b"}}), "spec.worker.image: must be the name of an image"),
        (json!({"worker": {"serviceAccountName": "A"}}), "spec.worker.serviceAccountName: "),
        (
            json!({"worker": {"imagePullSecrets": [{"name": "a"}, {}]}}),
            "spec.worker.imagePullSecrets[1].name: ",
        ),
        (
            json!({"worker": {"gracePeriodSeconds": 29}}),
            "spec.worker.gracePeriodSeconds: must be from 30 to 43200",
        ),
        (json!({"worker": {"visibilityTimeoutSeconds": 9}}), "spec.worker.visibilityTimeoutSeconds: "),
        (json!({"worker": {"maxAttempts": 0}}), "spec.worker.maxAttempts: "),
        (
            json!({"worker": {"resources": {"limits": {"memory": "lots"}}}}),
            "spec.worker.resources.limits.memory: `lots`",
        ),
        (json!({"worker": {"scratchSizeLimit": "0Gi"}}), "spec.worker.scratchSizeLimit: `0Gi`"),
        (json!({"worker": {"scratchSizeLimit": "50 GB"}}), "spec.worker.scratchSizeLimit: `50 GB`"),
    ];
    for (change, says) in cases {
        let problem = one_problem(change.clone());
        assert!(problem.starts_with(says), "{change}: {problem}");
    }
}

#[test]
fn a_name_leaves_room_for_what_is_named_after_it() {
    let named = |name: &str| read(json!({"metadata": {"name": name}}));
    for good in ["a", "9-lives", &"x".repeat(46)] {
        assert_eq!(named(good).unwrap().name, good);
    }
    for bad in ["", "Cats", "cats.eu", "-cats", "cats-", &"x".repeat(47)] {
        let error = named(bad).unwrap_err();
        assert_eq!(error.problems()[0].field, "metadata.name", "{bad}");
    }
}

#[test]
fn all_that_is_wrong_is_told_at_once_in_one_line() {
    let error =
        of_spec(json!({"minWorkers": -1, "queue": {"sqs": null}, "ladder": ["1p", "HD"]})).unwrap_err();
    let fields: Vec<_> = error.problems().iter().map(|problem| problem.field.as_str()).collect();
    assert_eq!(fields, ["spec.minWorkers", "spec.queue", "spec.ladder[0]", "spec.ladder[1]"]);
    assert!(!error.to_string().contains('\n'));
    assert_eq!(error.category(), "invalid_spec");
}

#[test]
fn amounts_may_be_numbers() {
    let worker = json!({"resources": {"limits": {"cpu": 4, "memory": "1.5Gi"}, "requests": {"cpu": "500m", "memory": "1e9"}}});
    let limits = owned(of_spec(json!({ "worker": worker })).unwrap()).resources.unwrap().limits.unwrap();
    assert_eq!(limits["cpu"].0, "4");
}

#[test]
fn a_template_may_say_what_reelpool_does_not() {
    let template = json!({
        "metadata": {"labels": {"team": "cats"}, "annotations": {"prometheus.io/scrape": "true"}},
        "spec": {
            "nodeSelector": {"pool": "spot"},
            "tolerations": [{"key": "spot", "operator": "Exists"}],
            "containers": [
                {
                    "name": "worker",
                    "env": [{"name": "REELPOOL_THREADS", "value": "4"}],
                    "ports": [{"containerPort": 9000}],
                    "livenessProbe": {"periodSeconds": 30},
                    "resources": {"limits": {"cpu": 4}},
                },
                {"name": "sidecar", "image": "s", "args": ["x"], "command": ["y"], "env": []},
            ],
            "volumes": [{"name": "cache", "emptyDir": {}}],
            "priorityClassName": null,
        },
    });
    let settings = owned(of_spec(json!({"worker": {"template": template}})).unwrap());
    let spec = settings.template.unwrap().spec.unwrap();
    assert_eq!(spec.containers[0].resources.as_ref().unwrap().limits.as_ref().unwrap()["cpu"].0, "4");
    assert_eq!(spec.containers.len(), 2);
    for empty in
        [json!({}), json!({"spec": {}}), json!({"spec": {"containers": []}}), json!({"metadata": {}})]
    {
        of_spec(json!({"worker": {"template": empty}})).unwrap();
    }
}

#[test]
fn what_a_template_may_not_say_is_named() {
    let worker = |part: Value| {
        let mut container = json!({"name": "worker"});
        k8s_openapi::DeepMerge::merge_from(&mut container, part);
        json!({"spec": {"containers": [{"name": "other"}, container]}})
    };
    let cases = [
        (json!({"spec": {"nodeSelektor": {"a": "b"}}}), "spec.nodeSelektor: unknown field"),
        (json!({"spek": {}}), "spek: unknown field"),
        (
            worker(json!({"resources": {"limit": {"cpu": 1}}})),
            "spec.containers[1].resources.limit: unknown field",
        ),
        (
            json!({"spec": {"containers": [{"name": "a", "ports": [{"containerPort": "http"}]}]}}),
            "spec.containers[0].ports[0].containerPort: invalid type: string \"http\", expected i32",
        ),
        (
            json!({"spec": {"tolerations": {"key": "a"}}}),
            "spec.tolerations: invalid type: map, expected a sequence",
        ),
        (json!({"metadata": {"name": "a"}}), "metadata.name: only labels and annotations"),
        (
            json!({"metadata": {"labels": {"reelpool.dev/pool": "dogs"}}}),
            "metadata.labels[reelpool.dev/pool]: is set by Reelpool",
        ),
        (
            json!({"metadata": {"labels": {"app.kubernetes.io/name": "x"}}}),
            "metadata.labels[app.kubernetes.io/name]: is set by Reelpool",
        ),
        (
            json!({"metadata": {"annotations": {"controller.kubernetes.io/pod-deletion-cost": "1"}}}),
            "metadata.annotations[controller.kubernetes.io/pod-deletion-cost]: is set by Reelpool",
        ),
        (json!({"spec": {"restartPolicy": "Never"}}), "spec.restartPolicy: must be Always"),
        (
            json!({"spec": {"terminationGracePeriodSeconds": 5}}),
            "spec.terminationGracePeriodSeconds: is set from spec.worker.gracePeriodSeconds",
        ),
        (json!({"spec": {"activeDeadlineSeconds": 5}}), "spec.activeDeadlineSeconds: would interrupt jobs"),
        (worker(json!({"command": ["sh"]})), "spec.containers[1].command: is the image's own"),
        (worker(json!({"args": ["run"]})), "spec.containers[1].args: are set by Reelpool"),
        (
            worker(json!({"env": [{"name": "A"}, {"name": "REELPOOL_LADDER", "value": "720p"}]})),
            "spec.containers[1].env[1]: REELPOOL_LADDER is set from spec.ladder: set that instead",
        ),
        (
            worker(json!({"env": [{"name": "REELPOOL_DRAIN_TOKEN", "value": "x"}]})),
            "spec.containers[1].env[0]: REELPOOL_DRAIN_TOKEN is set by Reelpool: remove it",
        ),
        (
            worker(json!({"env": [{"name": "REELPOOL_ENDPOINT_URL", "value": "x"}]})),
            "spec.containers[1].env[0]: REELPOOL_ENDPOINT_URL is set from the operator's --endpoint-url",
        ),
        (
            worker(json!({"readinessProbe": {"exec": {"command": ["true"]}}})),
            "spec.containers[1].readinessProbe: asks the worker's status port",
        ),
        (
            worker(json!({"ports": [{"name": "status", "containerPort": 9000}]})),
            "spec.containers[1].ports[0].name: is the name of the worker's own port",
        ),
        (
            json!({"spec": {"containers": [{"name": "proxy", "ports": [{"containerPort": 8080}]}]}}),
            "spec.containers[0].ports[0].containerPort: 8080 is the port of the worker's status",
        ),
        (json!({"spec": {"containers": [{"image": "a"}]}}), "spec.containers[0].name: is required"),
        (
            json!({"spec": {"initContainers": [{"name": "worker"}]}}),
            "spec.initContainers[0].name: `worker` is the name of the worker's own container",
        ),
    ];
    for (template, says) in cases {
        let problem = one_problem(json!({"worker": {"template": template}}));
        assert!(problem.starts_with(&format!("spec.worker.template.{says}")), "{template}: {problem}");
    }
}

#[test]
fn many_unknown_fields_make_no_endless_message() {
    let many: serde_json::Map<String, Value> = (0..50).map(|n| (format!("field{n}"), json!(1))).collect();
    let error = of_spec(json!({"worker": {"template": {"spec": many}}})).unwrap_err();
    assert_eq!(error.problems().len(), 5);
}
