//! An SQS and S3 emulator that speaks the real protocols: ministack, one for each test that asks.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use aws_credential_types::Credentials;
use aws_sdk_s3::types::{
    Event, FilterRule, FilterRuleName, NotificationConfiguration, NotificationConfigurationFilter,
};
use aws_sdk_s3::types::{QueueConfiguration, S3KeyFilter};
use aws_sdk_sqs::types::QueueAttributeName;
use tempfile::TempDir;

use crate::process::Process;

/// The account that the emulator's credentials stand for.
const REGION: &str = "us-east-1";
const READY_WITHIN: Duration = Duration::from_secs(30);

/// A running emulator; it ends when this is dropped.
#[derive(Debug)]
pub struct Emulator {
    port: u16,
    /// A client for SQS.
    pub sqs: aws_sdk_sqs::Client,
    /// A client for S3.
    pub s3: aws_sdk_s3::Client,
    // Dropped in this order: the folder is the process's own.
    _process: Process,
    _folder: TempDir,
}

/// A queue and the queue for what it gives up.
#[derive(Debug, Clone)]
pub struct QueuePair {
    /// The queue's URL.
    pub url: String,
    /// Its name as an ARN.
    pub arn: String,
    /// The dead-letter queue's URL.
    pub dead_letter_url: String,
}

impl Emulator {
    /// Starts an emulator on a free port and waits until it answers.
    ///
    /// Panics when ministack is not installed or does not come up.
    #[must_use]
    pub fn start() -> Self {
        // Between the look for a free port and its use another test must not find the same one.
        static STARTING: Mutex<()> = Mutex::new(());
        let _only_one = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
        for _ in 0..5 {
            if let Some(emulator) = Self::try_start() {
                return emulator;
            }
        }
        panic!("ministack did not come up on any of five free ports");
    }

    fn try_start() -> Option<Self> {
        let port = free_port();
        let folder = TempDir::new().unwrap();
        let mut process = Process::spawn(command(port, &folder), Some(folder.path()));
        let start = Instant::now();
        // The line that it writes once the port is its own: an answer on the port alone could be another server's.
        let ready = format!("Running on http://127.0.0.1:{port}");
        while !process.stderr().contains(&ready) && !process.stdout().contains(&ready) {
            if !process.runs() {
                eprintln!("ministack ended: {}{}", process.stdout(), process.stderr());
                return None;
            }
            assert!(start.elapsed() < READY_WITHIN, "ministack is not ready: {}", process.stderr());
            std::thread::sleep(Duration::from_millis(20));
        }
        let endpoint = format!("http://127.0.0.1:{port}");
        Some(Self {
            port,
            sqs: Self::sqs_at(&endpoint),
            s3: Self::s3_at(&endpoint),
            _process: process,
            _folder: folder,
        })
    }

    /// Where it listens: what `--endpoint-url` takes.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// A client for SQS at this endpoint.
    #[must_use]
    pub fn sqs_at(endpoint: &str) -> aws_sdk_sqs::Client {
        let config = aws_sdk_sqs::Config::builder()
            .behavior_version(aws_sdk_sqs::config::BehaviorVersion::latest())
            .region(aws_sdk_sqs::config::Region::new(REGION))
            .credentials_provider(credentials())
            .endpoint_url(endpoint);
        aws_sdk_sqs::Client::from_conf(config.build())
    }

    /// A client for S3 at this endpoint.
    #[must_use]
    pub fn s3_at(endpoint: &str) -> aws_sdk_s3::Client {
        let config = aws_sdk_s3::Config::builder()
            .behavior_version(aws_sdk_s3::config::BehaviorVersion::latest())
            .region(aws_sdk_s3::config::Region::new(REGION))
            .credentials_provider(credentials())
            .endpoint_url(endpoint)
            .force_path_style(true);
        aws_sdk_s3::Client::from_conf(config.build())
    }

    /// The port that it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Gives `command` the credentials and the region, and nothing else of AWS that this machine may have set.
    pub fn give_credentials(command: &mut Command) {
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("AWS_") {
                command.env_remove(name);
            }
        }
        command
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .env("AWS_REGION", REGION);
        command.env("AWS_EC2_METADATA_DISABLED", "true");
    }

    /// A queue that gives up after `max_receives`, and its dead-letter queue.
    pub async fn create_queue_with_dlq(&self, name: &str, max_receives: u32) -> QueuePair {
        let dead_letter_url = self.create_queue(&format!("{name}-dead"), &[]).await;
        let dead_letter_arn = self.arn(&dead_letter_url).await;
        let redrive =
            format!(r#"{{"deadLetterTargetArn":"{dead_letter_arn}","maxReceiveCount":"{max_receives}"}}"#);
        let url = self.create_queue(name, &[(QueueAttributeName::RedrivePolicy, redrive)]).await;
        QueuePair { arn: self.arn(&url).await, url, dead_letter_url }
    }

    /// A queue with these attributes; returns its URL.
    pub async fn create_queue(&self, name: &str, attributes: &[(QueueAttributeName, String)]) -> String {
        let mut request = self.sqs.create_queue().queue_name(name);
        for (attribute, value) in attributes {
            request = request.attributes(attribute.clone(), value);
        }
        request.send().await.unwrap().queue_url.unwrap()
    }

    /// A bucket.
    pub async fn create_bucket(&self, name: &str) {
        self.s3.create_bucket().bucket(name).send().await.unwrap();
    }

    /// Has the bucket tell the queue of every new object whose key starts and ends so.
    pub async fn notify(&self, bucket: &str, queue: &QueuePair, prefix: &str, suffix: &str) {
        let rule = |name, value: &str| FilterRule::builder().name(name).value(value).build();
        let rules = S3KeyFilter::builder()
            .filter_rules(rule(FilterRuleName::Prefix, prefix))
            .filter_rules(rule(FilterRuleName::Suffix, suffix))
            .build();
        let queue = QueueConfiguration::builder()
            .queue_arn(&queue.arn)
            .events(Event::from("s3:ObjectCreated:*"))
            .filter(NotificationConfigurationFilter::builder().key(rules).build())
            .build()
            .unwrap();
        let all = NotificationConfiguration::builder().queue_configurations(queue).build();
        let request = self.s3.put_bucket_notification_configuration().bucket(bucket);
        request.notification_configuration(all).send().await.unwrap();
    }

    /// Uploads a file.
    pub async fn upload(&self, bucket: &str, key: &str, file: &std::path::Path) {
        let body = aws_sdk_s3::primitives::ByteStream::from_path(file).await.unwrap();
        self.s3.put_object().bucket(bucket).key(key).body(body).send().await.unwrap();
    }

    /// The event that the bucket sent for this object, as another delivery of it would look.
    pub async fn event_again(&self, bucket: &str, key: &str) -> String {
        let object = self.s3.head_object().bucket(bucket).key(key).send().await.unwrap();
        event(bucket, key, object.content_length().unwrap(), object.e_tag().unwrap().trim_matches('"'))
    }

    /// Copies a whole bucket into the folder `into`, keys as paths. Returns the keys.
    pub async fn download_all(&self, bucket: &str, into: &std::path::Path) -> Vec<String> {
        let mut keys = Vec::new();
        let mut pages = self.s3.list_objects_v2().bucket(bucket).into_paginator().send();
        while let Some(page) = pages.next().await {
            for object in page.unwrap().contents.unwrap_or_default() {
                let key = object.key.unwrap();
                let file = into.join(&key);
                std::fs::create_dir_all(file.parent().unwrap()).unwrap();
                let body = self.s3.get_object().bucket(bucket).key(&key).send().await.unwrap().body;
                std::fs::write(&file, body.collect().await.unwrap().into_bytes()).unwrap();
                keys.push(key);
            }
        }
        keys
    }

    /// How many messages a queue has, waiting, in flight and delayed together.
    pub async fn messages(&self, queue_url: &str) -> u64 {
        let names = [
            QueueAttributeName::ApproximateNumberOfMessages,
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
            QueueAttributeName::ApproximateNumberOfMessagesDelayed,
        ];
        let request =
            self.sqs.get_queue_attributes().queue_url(queue_url).set_attribute_names(Some(names.to_vec()));
        let attributes = request.send().await.unwrap().attributes.unwrap_or_default();
        names.iter().filter_map(|name| attributes.get(name)?.parse::<u64>().ok()).sum()
    }

    async fn arn(&self, queue_url: &str) -> String {
        let request = self
            .sqs
            .get_queue_attributes()
            .queue_url(queue_url)
            .attribute_names(QueueAttributeName::QueueArn);
        let attributes = request.send().await.unwrap().attributes.unwrap();
        attributes[&QueueAttributeName::QueueArn].clone()
    }
}

/// What a bucket tells of a new object.
#[must_use]
pub fn event(bucket: &str, key: &str, size: i64, etag: &str) -> String {
    serde_json::json!({"Records": [{
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": REGION,
        "eventTime": "2026-01-01T00:00:00.000Z",
        "eventName": "ObjectCreated:Put",
        "s3": {
            "s3SchemaVersion": "1.0",
            "bucket": {"name": bucket, "arn": format!("arn:aws:s3:::{bucket}")},
            "object": {"key": key, "size": size, "eTag": etag},
        },
    }]})
    .to_string()
}

fn command(port: u16, folder: &TempDir) -> Command {
    let program = std::env::var_os("REELPOOL_MINISTACK")
        .map_or_else(|| crate::repository().join(".tools/python/bin/ministack"), PathBuf::from);
    assert!(
        program.is_file(),
        "{} is not there: run scripts/setup --tests (`make test` does), or name it in REELPOOL_MINISTACK",
        program.display()
    );
    let mut command = Command::new(program);
    command
        .env("GATEWAY_PORT", port.to_string())
        .env("BIND_HOST", "127.0.0.1")
        .env("SERVICES", "s3,sqs")
        .env("HOME", folder.path())
        .env("TMPDIR", folder.path())
        .current_dir(folder.path());
    command
}

fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

fn credentials() -> Credentials {
    Credentials::new("test", "test", None, None, "tests")
}
