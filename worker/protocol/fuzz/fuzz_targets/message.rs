//! Any bytes as a message's body: `parse` must not panic, and what it says must hold together.

#![no_main]

use std::collections::HashSet;

use libfuzzer_sys::fuzz_target;
use reelpool_protocol::message::{self, Message};
use reelpool_protocol::{JobId, JobRequest, Ladder, Profile, Source};

fuzz_target!(|body: &[u8]| {
    let Ok(body) = std::str::from_utf8(body) else {
        return;
    };
    match message::parse(body) {
        Ok(Message::Jobs(jobs)) => {
            assert!(!jobs.is_empty(), "no job");
            let ids: HashSet<_> = jobs
                .iter()
                .map(|job| JobId::of(&job.source, &Ladder::default(), &Profile::default()))
                .collect();
            assert_eq!(ids.len(), jobs.len(), "a job twice");
            jobs.iter().for_each(check_job);
        }
        Ok(Message::Nothing(_)) => {}
        Err(error) => {
            let text = error.to_string();
            assert!(!text.contains(['\n', '\r']), "more than a line: {text:?}");
            assert!(text.chars().count() <= 500, "too long: {text:?}");
        }
    }
});

fn check_job(job: &JobRequest) {
    let Source { bucket, key, .. } = &job.source;
    assert!((1..=255).contains(&bucket.len()) && (1..=1024).contains(&key.len()) && !key.contains('\0'));
    let same = message::parse(&message::job_message(job));
    assert_eq!(same, Ok(Message::Jobs(vec![job.clone()])));
    // An empty object whose key ends in a slash is a folder marker to S3's events.
    if job.ladder.is_none() && job.profile.is_none() && !job.source.key.ends_with('/') {
        let same = message::parse(&message::s3_event(&job.source, "2026-01-31T12:00:00.000Z"));
        assert_eq!(same, Ok(Message::Jobs(vec![job.clone()])));
    }
}
