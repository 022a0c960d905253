//! The examples are what the API server and AWS take, and say all that there is to say.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use reelpool_cluster::{ControlPlane, Settings};
use reelpool_tests::Emulator;
use serde_json::Value;

use crate::helm::{chart, documents, install};

fn folder() -> PathBuf {
    reelpool_tests::repository().join("charts/examples")
}

fn read(name: &str) -> String {
    std::fs::read_to_string(folder().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn the_api_server_takes_every_manifest() {
    let plane = ControlPlane::start(Settings::api_only());
    let _ = install(&plane, &[]);
    let crd = "crd/workerpools.reelpool.dev";
    let _ = plane.kubectl(&["wait", "--for=condition=Established", "--timeout=60s", crd]).ok();
    let _ = plane.kubectl(&["create", "namespace", "media"]).ok();
    let mut pools = 0;
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            let _ = plane.kubectl(&["create", "--validate=strict", "-f", &path.display().to_string()]).ok();
            pools += documents(&std::fs::read_to_string(&path).unwrap())
                .iter()
                .filter(|object| object["kind"] == "WorkerPool")
                .count();
        }
    }
    let made = plane.kubectl(&["get", "workerpools", "-n", "media", "-o", "name"]).ok();
    assert_eq!((pools, made.lines().count()), (3, 3), "{made}");
}

#[test]
fn the_examples_show_every_field() {
    let crd =
        std::fs::read_to_string(format!("{}/files/crds/reelpool.dev_workerpools.yaml", chart())).unwrap();
    let crd = &documents(&crd)[0];
    let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
    let mut shown = BTreeSet::new();
    for name in ["workerpool.yaml", "workerpool-full.yaml", "targetref.yaml"] {
        paths("", &documents(&read(name))[0]["spec"], &mut shown);
    }
    let mut known = BTreeSet::new();
    fields("", schema, &mut known);
    let missing: Vec<_> = known.difference(&shown).collect();
    assert!(missing.is_empty(), "no example shows {missing:?}");
}

/// The fields of a schema. What Kubernetes itself defines (resources) is not looked into.
fn fields(path: &str, schema: &Value, into: &mut BTreeSet<String>) {
    let Some(properties) = schema["properties"].as_object() else { return };
    for (name, schema) in properties {
        let path = format!("{path}/{name}");
        if path != "/worker/resources" {
            fields(&path, schema, into);
        }
        into.insert(path);
    }
}

/// The paths of all values.
fn paths(path: &str, value: &Value, into: &mut BTreeSet<String>) {
    for (name, value) in value.as_object().into_iter().flatten() {
        let path = format!("{path}/{name}");
        paths(&path, value, into);
        into.insert(path);
    }
}

#[test]
fn the_workers_rights_are_those_of_the_readme() {
    let policy: Value = serde_json::from_str(&read("iam-worker.json")).unwrap();
    let mut given = BTreeSet::new();
    for statement in policy["Statement"].as_array().unwrap() {
        let action = &statement["Action"];
        let one_or_more = action.as_array().cloned().unwrap_or_else(|| vec![action.clone()]);
        given.extend(one_or_more.iter().map(|action| action.as_str().unwrap().to_owned()));
    }
    let readme = std::fs::read_to_string(reelpool_tests::repository().join("README.md")).unwrap();
    let (_, rest) = readme.split_once("**Permissions**").unwrap();
    let table = rest.trim_start().lines().take_while(|line| line.starts_with('|'));
    let told: BTreeSet<String> = table
        .flat_map(|line| line.split('`'))
        .filter(|word| word.starts_with("sqs:") || word.starts_with("s3:"))
        .map(str::to_owned)
        .collect();
    assert_eq!(given, told);
}

/// Sets the queue and the bucket up with the files, through AWS's own client: it knows which fields there are.
const SET_UP: &str = r#"
import json, os, botocore.session
session, endpoint = botocore.session.get_session(), os.environ["ENDPOINT"]
sqs, s3 = (session.create_client(name, region_name="us-east-1", endpoint_url=endpoint) for name in ("sqs", "s3"))
def read(name):
    # The emulator's account and region, as README.md has the user put in their own.
    text = open(name).read().replace("123456789012", "000000000000").replace("eu-west-1", "us-east-1")
    return json.loads(text)
sqs.create_queue(QueueName="masters-dead")
url = sqs.create_queue(QueueName="masters", Attributes={
    "VisibilityTimeout": "120",
    "Policy": json.dumps(read("queue-policy.json")),
    "RedrivePolicy": json.dumps(read("redrive-policy.json")),
})["QueueUrl"]
s3.create_bucket(Bucket="cattube-masters")
s3.put_bucket_notification_configuration(
    Bucket="cattube-masters", NotificationConfiguration=read("bucket-notification.json"))
s3.create_bucket(Bucket="cattube-renditions")
s3.put_bucket_lifecycle_configuration(
    Bucket="cattube-renditions", LifecycleConfiguration=read("lifecycle.json"))
s3.put_object(Bucket="cattube-masters", Key="elsewhere/cat.mp4", Body=b"no master")
s3.put_object(Bucket="cattube-masters", Key="in/cat.mp4", Body=b"a master")
print(url)
"#;

#[tokio::test]
async fn queue_and_bucket_work_as_the_files_set_them_up() {
    let emulator = Emulator::start();
    let python = std::env::var_os("REELPOOL_MINISTACK")
        .map_or_else(|| reelpool_tests::repository().join(".tools/python/bin/ministack"), PathBuf::from)
        .with_file_name("python");
    let mut command = Command::new(python);
    Emulator::give_credentials(&mut command);
    let output = command
        .args(["-c", SET_UP])
        .env("ENDPOINT", emulator.endpoint())
        .current_dir(folder())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let url = String::from_utf8(output.stdout).unwrap().trim().to_owned();

    let mut keys = Vec::new();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while !keys.contains(&"in/cat.mp4".to_owned()) {
        assert!(std::time::Instant::now() < deadline, "the bucket told the queue of nothing but {keys:?}");
        let request =
            emulator.sqs.receive_message().queue_url(&url).wait_time_seconds(1).max_number_of_messages(10);
        for message in request.send().await.unwrap().messages.unwrap_or_default() {
            let event: Value = serde_json::from_str(&message.body.unwrap()).unwrap();
            let records = event["Records"].as_array().cloned().unwrap_or_default();
            keys.extend(
                records.iter().map(|record| record["s3"]["object"]["key"].as_str().unwrap().to_owned()),
            );
        }
    }
    assert_eq!(keys, ["in/cat.mp4"], "objects outside of the prefix were told of");

    let request = emulator.sqs.get_queue_attributes().queue_url(&url).attribute_names("RedrivePolicy".into());
    let attributes = request.send().await.unwrap().attributes.unwrap();
    let redrive: Value = serde_json::from_str(attributes.values().next().unwrap()).unwrap();
    assert!(redrive["deadLetterTargetArn"].as_str().unwrap().ends_with(":masters-dead"));

    let request = emulator.s3.get_bucket_lifecycle_configuration().bucket("cattube-renditions");
    let rules = request.send().await.unwrap().rules.unwrap();
    let days = rules[0].abort_incomplete_multipart_upload().and_then(|abort| abort.days_after_initiation);
    assert_eq!((rules.len(), days), (1, Some(1)), "{rules:?}");
}

#[test]
fn every_policy_is_a_policy_and_every_file_is_told_of() {
    let readme = read("README.md");
    for entry in std::fs::read_dir(folder()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name == "README.md" {
            continue;
        }
        assert!(readme.contains(&format!("`{name}`")), "README.md does not speak of {name}");
        if name.ends_with("-policy.json") && name != "redrive-policy.json"
            || name.starts_with("iam-")
            || name.starts_with("trust-")
        {
            let policy: Value = serde_json::from_str(&read(&name)).unwrap();
            assert_eq!(policy["Version"], "2012-10-17", "{name}");
            for statement in policy["Statement"].as_array().unwrap() {
                assert_eq!(statement["Effect"], "Allow", "{name}");
                assert!(
                    statement["Action"] != "*" && statement["Resource"] != "*",
                    "{name} allows everything"
                );
            }
        }
    }
}
