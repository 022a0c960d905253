//! The workers: Reelpool's own, or somebody else's Deployment.

use k8s_openapi::api::core::v1::{LocalObjectReference, PodTemplateSpec, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use reelpool_api::WorkerPoolSpec;
use reelpool_api::queue::Place;
use reelpool_api::worker::{Preset, TargetRef, Worker};
use reelpool_protocol::ladder::{MAX_RUNGS, Rung};
use reelpool_protocol::{Ladder, Location};

use super::problems::Problems;
use super::queue::Queues;
use super::{Defaults, profile, template};
use crate::args::LogFormat;

/// The longest that SQS hides a message, in seconds; no job takes longer.
const LONGEST_JOB: u32 = 43_200;

/// The workers of a pool.
#[derive(Debug, Clone)]
pub enum ValidFleet {
    /// Reelpool runs them.
    Owned(Box<WorkerSettings>),
    /// They are a Deployment that someone else wrote.
    Target {
        /// Its name.
        name: String,
        /// The port at which its pods speak the status protocol; `None`: they do not.
        status_port: Option<u16>,
    },
}

/// How the workers that Reelpool runs are to be.
#[derive(Debug, Clone)]
pub struct WorkerSettings {
    /// Their image.
    pub image: String,
    /// The secrets to pull it with.
    pub image_pull_secrets: Vec<LocalObjectReference>,
    /// Their service account; `None`: the namespace's default.
    pub service_account_name: Option<String>,
    /// Where masters may be fetched from.
    pub masters: Location,
    /// Where renditions go.
    pub output: Location,
    /// Where messages go that are given up; `None`: what the queue's redrive policy names.
    pub dead_letter_queue_url: Option<String>,
    /// Where SQS and S3 are, when not at Amazon.
    pub endpoint_url: Option<String>,
    /// The renditions of a job that names none; `None`: the worker's own default.
    pub ladder: Option<Ladder>,
    /// How renditions are made, as a worker's `--profile` takes it; `None`: the worker's own default.
    pub profile: Option<String>,
    /// The x264 preset; `None`: that of the profile.
    pub preset: Option<Preset>,
    /// How long a worker that is told to stop may take, in seconds.
    pub grace_period: u32,
    /// For how long a message is hidden from others, in seconds.
    pub visibility_timeout: u32,
    /// How often a failing job is tried.
    pub max_attempts: u32,
    /// What each worker asks for and may use.
    pub resources: Option<ResourceRequirements>,
    /// How much disk each may fill; `None`: as much as the node allows.
    pub scratch_size_limit: Option<Quantity>,
    /// What is laid over the pod template.
    pub template: Option<PodTemplateSpec>,
    /// The SHA-256 of the token for drain requests.
    pub drain_token_sha256: String,
    /// How log lines look.
    pub log_format: LogFormat,
}

/// Reads what the spec says of the workers.
pub(super) fn read(
    spec: &WorkerPoolSpec,
    queue: &Queues,
    defaults: &Defaults,
    problems: &mut Problems,
) -> Option<ValidFleet> {
    match &spec.target_ref {
        Some(target) => Some(read_target(spec, target, problems)),
        None => owned(spec, queue, defaults, problems),
    }
}

fn read_target(spec: &WorkerPoolSpec, target: &TargetRef, problems: &mut Problems) -> ValidFleet {
    let beside = [
        ("spec.masters", spec.masters.is_some()),
        ("spec.output", spec.output.is_some()),
        ("spec.ladder", !spec.ladder.is_empty()),
        ("spec.profile", spec.profile.is_some()),
        ("spec.worker", spec.worker.is_some()),
    ];
    for (field, _) in beside.into_iter().filter(|(_, is_set)| *is_set) {
        problems.add(
            field,
            "must not be set beside targetRef: the Deployment itself says it; remove one of the two",
        );
    }
    let field = "spec.targetRef.name";
    if !is_object_name(&target.name) {
        problems.add(field, "must be the name of a Deployment: lower-case letters, digits, dashes and dots");
    }
    let port = target.status_port.map(|port| problems.within("spec.targetRef.statusPort", port, 1..=65_535));
    let status_port = port.and_then(|port| u16::try_from(port).ok());
    ValidFleet::Target { name: target.name.clone(), status_port }
}

fn owned(
    spec: &WorkerPoolSpec,
    queue: &Queues,
    defaults: &Defaults,
    problems: &mut Problems,
) -> Option<ValidFleet> {
    let masters = place("masters", spec.masters.as_ref(), problems);
    let output = place("output", spec.output.as_ref(), problems);
    if masters.as_ref().zip(output.as_ref()).is_some_and(|(masters, output)| masters.overlaps(output)) {
        problems.add(
            "spec.output",
            "must not lie within masters, nor masters within it: renditions would be taken for masters; name another \
             bucket or prefix",
        );
    }
    let ladder = ladder(&spec.ladder, problems);
    let worker = spec.worker.clone().unwrap_or_default();
    let profile = spec.profile.as_ref().and_then(|spec| profile::read(spec, worker.preset, problems));
    named(&worker, problems);
    let mut bounded = |field: &str, number: i32, least: u32, most: u32| {
        problems.within(&format!("spec.worker.{field}"), number, least..=most)
    };
    let grace_period = bounded("gracePeriodSeconds", worker.grace_period_seconds, 30, LONGEST_JOB);
    let visibility_timeout =
        bounded("visibilityTimeoutSeconds", worker.visibility_timeout_seconds, 10, LONGEST_JOB);
    let max_attempts = bounded("maxAttempts", worker.max_attempts, 1, 1000);
    amounts(&worker, problems);
    let template = worker.template.as_ref().and_then(|value| template::read(value, problems));
    Some(ValidFleet::Owned(Box::new(WorkerSettings {
        image: worker.image.unwrap_or_else(|| defaults.worker_image.clone()),
        image_pull_secrets: worker.image_pull_secrets,
        service_account_name: worker.service_account_name,
        masters: masters?,
        output: output?,
        dead_letter_queue_url: queue.dead_letters.clone(),
        endpoint_url: defaults.endpoint_url.clone(),
        ladder,
        profile,
        preset: worker.preset,
        grace_period,
        visibility_timeout,
        max_attempts,
        resources: worker.resources,
        scratch_size_limit: worker.scratch_size_limit.map(Quantity),
        template,
        drain_token_sha256: defaults.drain_token_sha256.clone(),
        log_format: defaults.log_format,
    })))
}

fn place(name: &str, place: Option<&Place>, problems: &mut Problems) -> Option<Location> {
    let Some(Place { url }) = place else {
        let message =
            format!("is required: set {name}.url, or scale a Deployment of your own with targetRef");
        problems.add(format!("spec.{name}"), message);
        return None;
    };
    let field = format!("spec.{name}.url");
    match problems.parse(&field, url)? {
        Location::Folder(_) => {
            problems
                .add(field, "must be a bucket, with a prefix or without: s3://bucket or s3://bucket/prefix");
            None
        }
        bucket @ Location::Bucket { .. } => Some(bucket),
    }
}

fn ladder(rungs: &[String], problems: &mut Problems) -> Option<Ladder> {
    let mut read: Vec<Rung> = Vec::with_capacity(rungs.len());
    for (index, text) in rungs.iter().enumerate() {
        let field = format!("spec.ladder[{index}]");
        let Some(rung) = problems.parse(&field, text) else { continue };
        if read.contains(&rung) {
            problems.add(field, format!("{rung} is there twice: name each rung once"));
        }
        read.push(rung);
    }
    if read.is_empty() {
        return None;
    }
    if read.len() > MAX_RUNGS {
        problems.add("spec.ladder", format!("has {} rungs: keep at most {MAX_RUNGS}", read.len()));
        return None;
    }
    Ladder::try_from(read).map_err(|error| problems.add("spec.ladder", error.to_string())).ok()
}

/// The names of other objects, and of the image.
fn named(worker: &Worker, problems: &mut Problems) {
    let is_spaced = |image: &String| image.is_empty() || image.contains(char::is_whitespace);
    if worker.image.as_ref().is_some_and(is_spaced) {
        problems.add("spec.worker.image", "must be the name of an image, without spaces");
    }
    let name = "must be lower-case letters, digits, dashes and dots, as names of objects are";
    for (index, secret) in worker.image_pull_secrets.iter().enumerate() {
        if !is_object_name(&secret.name) {
            problems.add(format!("spec.worker.imagePullSecrets[{index}].name"), name);
        }
    }
    if worker.service_account_name.as_ref().is_some_and(|account| !is_object_name(account)) {
        problems.add("spec.worker.serviceAccountName", name);
    }
}

fn amounts(worker: &Worker, problems: &mut Problems) {
    let resources = worker.resources.clone().unwrap_or_default();
    let amounts = [("limits", resources.limits), ("requests", resources.requests)];
    for (kind, amounts) in amounts {
        for (resource, Quantity(amount)) in amounts.into_iter().flatten() {
            if !is_quantity(&amount) {
                let field = format!("spec.worker.resources.{kind}.{resource}");
                problems.add(field, format!("`{amount}` is no quantity: write 2, 500m or 4Gi, say"));
            }
        }
    }
    let limit = worker.scratch_size_limit.as_deref();
    let some = |limit: &str| is_quantity(limit) && limit.contains(|digit: char| matches!(digit, '1'..='9'));
    if let Some(limit) = limit.filter(|limit| !some(limit)) {
        let message = format!("`{limit}` is no quantity above zero: write 50Gi, say");
        problems.add("spec.worker.scratchSizeLimit", message);
    }
}

fn is_object_name(name: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.');
    let end = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = name.as_bytes();
    bytes.len() <= 253
        && bytes.iter().copied().all(inner)
        && bytes.first().is_some_and(end)
        && bytes.last().is_some_and(end)
}

/// Whether Kubernetes takes `text` for an amount that is not negative.
fn is_quantity(text: &str) -> bool {
    let number = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at(number);
    let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
    let is_number = |digits: &str| !digits.is_empty() && !digits.contains('.');
    let is_exponent = suffix.strip_prefix(['e', 'E']).is_some_and(|exponent| exponent.parse::<i8>().is_ok());
    let suffixes = ["", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
    is_number(whole) && is_number(part) && (suffixes.contains(&suffix) || is_exponent)
}
