//! A queue and buckets in an emulator, with the proxy before them.

use std::collections::BTreeSet;
use std::time::Duration;

use reelpool_tests::Emulator;
use reelpool_tests::emulator::{QueuePair, event};

use crate::outputs::Outputs;
use crate::proxy::Proxy;
use crate::tally::Tally;
use crate::work::{Job, Kind};

/// The bucket of masters.
pub const MASTERS: &str = "masters";
/// The bucket of renditions.
pub const RENDITIONS: &str = "renditions";
/// Under which prefix masters are.
const PREFIX: &str = "in/";
/// More than a storm can bring a message to: only what was made to fail is to be given up.
const MAX_RECEIVES: u32 = 500;

/// An emulator of SQS and S3, set up as the README says.
#[derive(Debug)]
pub struct Cloud {
    emulator: Emulator,
    /// The queue that the bucket tells of new masters.
    pub queue: QueuePair,
    /// What stands before it.
    pub proxy: Proxy,
}

impl Cloud {
    /// One with an empty queue; the proxy knows this visibility timeout.
    pub async fn start(seed: u64, visibility: Duration, tally: Tally) -> Self {
        let emulator = tokio::task::spawn_blocking(Emulator::start).await.unwrap();
        let queue = emulator.create_queue_with_dlq("masters", MAX_RECEIVES).await;
        emulator.create_bucket(MASTERS).await;
        emulator.create_bucket(RENDITIONS).await;
        emulator.notify(MASTERS, &queue, PREFIX, ".mp4").await;
        let proxy = Proxy::start(emulator.port(), seed, visibility, tally);
        Self { emulator, queue, proxy }
    }

    /// The place of the renditions, past the proxy.
    #[must_use]
    pub fn outputs(&self) -> Outputs {
        Outputs::Bucket(self.emulator.s3.clone(), RENDITIONS.to_owned())
    }

    /// Asks for a job: uploads its master, or sends what it is.
    pub async fn ask(&self, job: &Job) {
        let key = format!("{PREFIX}{}", job.name);
        match job.kind {
            Kind::Video => self.emulator.upload(MASTERS, &key, &job.clip()).await,
            Kind::ToldTwice => {
                self.emulator.upload(MASTERS, &key, &job.clip()).await;
                let again = self.emulator.event_again(MASTERS, &key).await;
                self.send(again).await;
            }
            Kind::NoVideo => {
                let body = "This is no video.\n".repeat(50).into_bytes().into();
                self.emulator.s3.put_object().bucket(MASTERS).key(&key).body(body).send().await.unwrap();
            }
            Kind::NotThere => self.send(event(MASTERS, &key, 1000, "0123456789abcdef0123456789abcdef")).await,
            Kind::NoMessage => self.send(format!("please transcode {} soon", job.name)).await,
        }
    }

    async fn send(&self, body: String) {
        self.emulator.sqs.send_message().queue_url(&self.queue.url).message_body(body).send().await.unwrap();
    }

    /// How many messages the queue has, in whatever state.
    pub async fn left(&self) -> u64 {
        self.emulator.messages(&self.queue.url).await
    }

    /// The bodies of all dead letters. They are taken from their queue.
    pub async fn take_dead_letters(&self) -> Vec<String> {
        let mut bodies = Vec::new();
        loop {
            let sqs = &self.emulator.sqs;
            let request = sqs.receive_message().queue_url(&self.queue.dead_letter_url);
            let answer = request.max_number_of_messages(10).visibility_timeout(300).send().await.unwrap();
            if answer.messages().is_empty() {
                return bodies;
            }
            bodies.extend(answer.messages().iter().filter_map(|message| message.body().map(str::to_owned)));
        }
    }
}

/// What these dead letters are about: the names of the jobs that they name, or their whole body.
#[must_use]
pub fn names(bodies: &[String], work: &[Job]) -> BTreeSet<String> {
    let name = |body: &String| {
        let job = work.iter().find(|job| body.contains(&job.name));
        job.map_or_else(|| body.clone(), |job| job.name.clone())
    };
    bodies.iter().map(name).collect()
}
