//! The queue that the fleet follows, and the one for what is given up.

use reelpool_api::queue::{Queue, SqsQueue};
use reelpool_protocol::QueueUrl;

use super::problems::Problems;

/// The queues of a pool, as far as they can be read.
#[derive(Debug, Default)]
pub(super) struct Queues {
    /// The SQS queue that the fleet follows.
    pub(super) url: Option<String>,
    /// Where messages go that are given up; `None`: what the queue's redrive policy names.
    pub(super) dead_letters: Option<String>,
}

/// Reads the queues.
pub(super) fn read(queue: &Queue, problems: &mut Problems) -> Queues {
    let Some(SqsQueue { queue_url, dead_letter_queue_url }) = &queue.sqs else {
        problems.add("spec.queue", "must have exactly one kind of queue: set queue.sqs.queueURL");
        return Queues::default();
    };
    let url = sqs("spec.queue.sqs.queueURL", queue_url, problems);
    let field = "spec.queue.sqs.deadLetterQueueURL";
    let dead_letters = dead_letter_queue_url.as_ref().and_then(|url| sqs(field, url, problems));
    if dead_letters.is_some() && dead_letters == url {
        problems.add(
            field,
            "must not be the queue itself: a message that is given up would come back for ever; name another queue, \
             or leave it out to use the queue's redrive policy",
        );
    }
    Queues { url, dead_letters }
}

fn sqs(field: &str, text: &str, problems: &mut Problems) -> Option<String> {
    match problems.parse(field, text)? {
        QueueUrl::Sqs(url) => Some(url),
        QueueUrl::Spool(_) => {
            problems.add(field, "must be an SQS queue: the embedded queue is for one machine only");
            None
        }
    }
}
