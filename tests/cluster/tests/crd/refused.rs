//! What is refused, with which words.

use serde_json::{Value, json};

use crate::server::{pool, target_pool, would_create};

fn refused(pool: &Value) -> String {
    match would_create(pool) {
        Ok(_) => panic!("it was taken: {}", pool["spec"]),
        Err(said) => said,
    }
}

#[test]
fn what_is_wrong_is_named_and_what_to_do_is_said() {
    let sqs = |queue: Value| json!({"queue": {"sqs": queue}});
    let queue_url = "https://sqs.eu-west-1.amazonaws.com/123456789012/masters";
    let place = "url must be a bucket and, if it is not the whole bucket, a prefix without empty parts";
    let rung = "a rung must be the short side in pixels and a p, even, from 16p to 4320p, such as 720p";
    let one_target = "spec.scaling.target: Invalid value: target must have exactly one of backlogPerWorker and drainWithinSeconds";
    let overlap = "spec.output: Invalid value: output and masters must not lie within one another";
    let cases = [
        (
            json!({"minWorkers": 4}),
            "spec.minWorkers: Invalid value: minWorkers must be less than or equal to maxWorkers",
        ),
        (json!({"minWorkers": -1}), "spec.minWorkers in body should be greater than or equal to 0"),
        (json!({"maxWorkers": null}), "spec.maxWorkers: Required value"),
        (json!({"maxWorkers": 0}), "spec.maxWorkers in body should be greater than or equal to 1"),
        (json!({"maxWorkers": 100_001}), "spec.maxWorkers in body should be less than or equal to 100000"),
        (json!({"maxWorkers": 1.5}), "spec.maxWorkers in body must be of type int"),
        (json!({"maxWorker": 3}), "unknown field \"spec.maxWorker\""),
        (json!({"worker": {"template": {"spek": {}}}}), "unknown field \"spec.worker.template.spek\""),
        (json!({"scaling": {"target": {}}}), one_target),
        (json!({"scaling": {"target": {"backlogPerWorker": 1, "drainWithinSeconds": 9}}}), one_target),
        (json!({"scaling": {"target": {"backlogPerWorker": 0}}}), "should be greater than or equal to 1"),
        (
            json!({"scaling": {"target": {"drainWithinSeconds": 604_801}}}),
            "should be less than or equal to 604800",
        ),
        (
            json!({"scaling": {"pollSeconds": 0}}),
            "spec.scaling.pollSeconds in body should be greater than or equal to 1",
        ),
        (json!({"scaling": {"scaleIn": {"zeroAfterSeconds": -1}}}), "should be greater than or equal to 0"),
        (json!({"scaling": {"scaleIn": {"maxStep": 0}}}), "should be greater than or equal to 1"),
        (json!({"scaling": {"scaleOut": {"maxStep": 0}}}), "should be greater than or equal to 1"),
        (json!({"queue": null}), "spec.queue: Required value"),
        (
            json!({"queue": {"sqs": null}}),
            "spec.queue: Required value: queue must have exactly one kind of queue: set queue.sqs.queueURL",
        ),
        (sqs(json!({"queueURL": null})), "spec.queue.sqs.queueURL: Required value"),
        (sqs(json!({"queueURL": "masters"})), "queueURL must be the queue's http or https URL, such as"),
        (
            sqs(json!({"queueURL": "https://sqs.eu-west-1.amazonaws.com/masters"})),
            "queueURL must be the queue's http or https URL",
        ),
        (sqs(json!({"queueURL": format!("{queue_url} ")})), "queueURL must be the queue's http or https URL"),
        (sqs(json!({"queueURL": "x".repeat(1025)})), "Too long: may not be more than 1024"),
        (
            sqs(json!({"deadLetterQueueURL": "dead"})),
            "deadLetterQueueURL must be a queue's http or https URL",
        ),
        (sqs(json!({ "deadLetterQueueURL": queue_url })), "deadLetterQueueURL must not be the queue itself"),
        (json!({"masters": null}), "spec.masters: Required value: masters is required: set masters.url"),
        (json!({"output": null}), "spec.output: Required value: output is required: set output.url"),
        (json!({"masters": {"url": "/srv/masters"}}), place),
        (json!({"masters": {"url": "s3://Cats"}}), place),
        (json!({"output": {"url": "s3://cats//out"}}), place),
        (json!({"output": {"url": "gs://cats"}}), place),
        (json!({"output": {"url": "s3://cats"}}), overlap),
        (json!({"output": {"url": "s3://cats/in"}}), overlap),
        (json!({"output": {"url": "s3://cats/in/"}}), overlap),
        (json!({"output": {"url": "s3://cats/in/out"}}), overlap),
        (json!({"masters": {"url": "s3://cats/"}}), overlap),
        (json!({"ladder": []}), "spec.ladder in body should have at least 1 items"),
        (json!({"ladder": ["721p"]}), rung),
        (json!({"ladder": ["HD"]}), rung),
        (json!({"ladder": ["14p"]}), rung),
        (json!({"ladder": ["4322p"]}), rung),
        (json!({"ladder": ["0720p"]}), rung),
        (json!({"ladder": [720]}), "spec.ladder[0] in body must be of type string"),
        (json!({"ladder": ["720p", "480p", "720p"]}), "spec.ladder[2]: Duplicate value: \"720p\""),
        (
            json!({"ladder": (0..13).map(|n| format!("{}p", 100 + 2 * n)).collect::<Vec<_>>()}),
            "Too many: 13: must have at most 12 items",
        ),
    ];
    all_refused(&cases);
}

#[test]
fn what_is_wrong_with_the_profile_is_named() {
    let profile = |profile: Value| json!({ "profile": profile });
    let video = |video: Value| json!({"profile": {"video": video}});
    let preset = "preset must be one of ultrafast, superfast, veryfast, faster, fast, medium, slow, slower and veryslow \
                  with codec h264, and 0 to 13 with codec av1";
    let crf = "crf must be from 0 to 51 with codec h264, and from 0 to 63 with codec av1";
    let alone = "spec.profile.name: Invalid value: name must stand alone";
    let chunk = "spec.profile.chunkSeconds: Invalid value: chunkSeconds must be at least segmentSeconds";
    let cases = [
        (json!({"profile": "av1"}), "spec.profile in body must be of type object"),
        (profile(json!({"name": "best"})), "supported values: \"h264\", \"fast\", \"av1\""),
        (profile(json!({"name": "fast", "poster": false})), alone),
        (profile(json!({"name": "fast", "video": {"crf": 20}})), alone),
        (profile(json!({"vidio": {}})), "unknown field \"spec.profile.vidio\""),
        (video(json!({"codec": "hevc"})), "supported values: \"h264\", \"av1\""),
        (video(json!({"preset": "fastest"})), preset),
        (video(json!({"preset": 10})), preset),
        (video(json!({"codec": "av1", "preset": "faster"})), preset),
        (video(json!({"codec": "av1", "preset": 14})), preset),
        (video(json!({"codec": "av1", "preset": "14"})), preset),
        (video(json!({"crf": 52})), crf),
        (video(json!({"codec": "av1", "crf": 64})), "should be less than or equal to 63"),
        (video(json!({"crf": -1})), "should be greater than or equal to 0"),
        (video(json!({"maxKbps": {"HD": 8000}})), "maxKbps must name rungs"),
        (video(json!({"maxKbps": {"720p": 49}})), "should be greater than or equal to 50"),
        (profile(json!({"audio": {"kbps": 513}})), "should be less than or equal to 512"),
        (profile(json!({"audio": {"loudness": -4}})), "should be less than or equal to -5"),
        (profile(json!({"packaging": []})), "should have at least 1 items"),
        (profile(json!({"packaging": ["webm"]})), "supported values: \"mp4\", \"hls\", \"dash\""),
        (profile(json!({"packaging": ["mp4", "mp4"]})), "Duplicate value"),
        (profile(json!({"segmentSeconds": 31})), "should be less than or equal to 30"),
        (profile(json!({"chunkSeconds": 9})), "should be greater than or equal to 10"),
        (profile(json!({"chunkSeconds": 10, "segmentSeconds": 12})), chunk),
        (profile(json!({"poster": "yes"})), "spec.profile.poster in body must be of type boolean"),
        (profile(json!({"quality": "psnr"})), "supported values: \"none\", \"ssim\", \"vmaf\""),
        (
            json!({"profile": {"name": "av1"}, "worker": {"preset": "slow"}}),
            "spec.worker.preset: Invalid value: worker.preset must not be set beside a profile that encodes AV1",
        ),
        (
            json!({"profile": {"video": {"codec": "av1"}}, "worker": {"preset": "slow"}}),
            "spec.worker.preset: Invalid value: worker.preset must not be set beside a profile that encodes AV1",
        ),
    ];
    all_refused(&cases);
}

#[test]
fn what_is_wrong_with_the_workers_is_named_too() {
    let cases = [
        (json!({"worker": {"image": "a b"}}), "image must be the name of an image, without spaces"),
        (json!({"worker": {"image": ""}}), "image must be the name of an image, without spaces"),
        (
            json!({"worker": {"serviceAccountName": "Workers"}}),
            "serviceAccountName must be the name of a service account",
        ),
        (
            json!({"worker": {"imagePullSecrets": [{}]}}),
            "spec.worker.imagePullSecrets[0].name: Required value",
        ),
        (json!({"worker": {"imagePullSecrets": [{"name": "a"}, {"name": "a"}]}}), "Duplicate value"),
        (json!({"worker": {"preset": "fastest"}}), "supported values: \"ultrafast\", \"superfast\""),
        (json!({"worker": {"gracePeriodSeconds": 29}}), "should be greater than or equal to 30"),
        (json!({"worker": {"visibilityTimeoutSeconds": 43_201}}), "should be less than or equal to 43200"),
        (json!({"worker": {"maxAttempts": 0}}), "should be greater than or equal to 1"),
        (
            json!({"worker": {"resources": {"limits": {"memory": "lots"}}}}),
            "an amount must be a quantity, such as 2, 500m or 4Gi",
        ),
        (json!({"worker": {"resources": {"requests": {"cpu": -1}}}}), "an amount must be a quantity"),
        (
            json!({"worker": {"scratchSizeLimit": "0Gi"}}),
            "scratchSizeLimit must be a quantity above zero, such as 50Gi",
        ),
        (json!({"worker": {"scratchSizeLimit": "50 GB"}}), "scratchSizeLimit must be a quantity above zero"),
    ];
    all_refused(&cases);
}

/// Each change makes the pool one that is refused with these words.
fn all_refused(cases: &[(Value, &str)]) {
    for (change, says) in cases {
        let said = refused(&pool("refused", change));
        assert!(said.contains(says), "{change}\n  said:     {said}\n  expected: {says}");
    }
}

#[test]
fn beside_a_target_nothing_is_said_of_workers() {
    let both = |change: Value| {
        let mut pool = target_pool("both", &json!({"name": "mine"}));
        pool["spec"].as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        pool
    };
    for (change, says) in [
        (
            json!({"masters": {"url": "s3://cats/in"}}),
            "spec.masters: Forbidden: masters must not be set beside targetRef",
        ),
        (
            json!({"output": {"url": "s3://cats/out"}}),
            "spec.output: Forbidden: output must not be set beside targetRef",
        ),
        (json!({"ladder": ["720p"]}), "spec.ladder: Forbidden: ladder must not be set beside targetRef"),
        (
            json!({"profile": {"name": "fast"}}),
            "spec.profile: Forbidden: profile must not be set beside targetRef",
        ),
        (json!({"worker": {}}), "spec.worker: Forbidden: worker must not be set beside targetRef"),
    ] {
        let said = refused(&both(change));
        assert!(said.contains(says), "{said}");
    }
    for (target, says) in [
        (json!({}), "spec.targetRef.name: Required value"),
        (json!({"name": "Mine"}), "name must be the name of a Deployment"),
        (json!({"name": "mine", "kind": "StatefulSet"}), "supported values: \"Deployment\""),
        (json!({"name": "mine", "apiVersion": "apps/v1beta1"}), "supported values: \"apps/v1\""),
        (json!({"name": "mine", "statusPort": 65_536}), "should be less than or equal to 65535"),
    ] {
        let said = refused(&target_pool("target", &target));
        assert!(said.contains(says), "{target}: {said}");
    }
}

#[test]
fn a_name_leaves_room_for_what_is_named_after_it() {
    for name in ["cats.eu", &"x".repeat(47)] {
        let said = refused(&pool(name, &json!({})));
        let says = "metadata.name: Invalid value: metadata.name must be at most 46 lower-case letters, digits and dashes";
        assert!(said.contains(says), "{said}");
    }
}
