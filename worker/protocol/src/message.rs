//! Queue messages: which jobs does a message ask for?
//!
//! Four forms are understood: S3 event notifications, the same inside an SNS envelope, EventBridge's S3 events,
//! and Reelpool's own job message. An SNS envelope may carry any of the other three. Each is described in its
//! service's documentation: "Event message structure" (S3), "HTTP/HTTPS notification JSON format" (SNS), "Event
//! message structure for EventBridge" (S3).

mod error;

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::job::{self, JobRequest, Source};
use crate::json::Node;
use crate::key;
use crate::ladder::{Ladder, Rung, excerpt};
use crate::profile;

pub use error::MessageError;

/// The longest body that is read, in bytes: SQS's own limit.
pub const MAX_BODY_BYTES: usize = 1024 * 1024;
/// How many records one S3 event may have.
pub const MAX_RECORDS: usize = 1000;
/// What the field `reelpool` of Reelpool's own job message says: the form and its version.
pub const JOB_FORM: &str = "job/v1";

/// What a message asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// These jobs: at least one, none twice, in the message's order.
    Jobs(Vec<JobRequest>),
    /// Nothing, rightly: the message may be deleted.
    Nothing(NothingToDo),
}

/// Why a well-formed message asks for no job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NothingToDo {
    /// S3 sends `s3:TestEvent` when a bucket's notifications are set up.
    TestEvent,
    /// The event tells of removals, restores, tags and the like, and of no new object.
    NoNewObject,
    /// The new objects are empty ones whose keys end in a slash: consoles show them as folders.
    OnlyFolders,
}

impl NothingToDo {
    /// The reason for a person to read.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TestEvent => "S3's test event",
            Self::NoNewObject => "an event of no new object",
            Self::OnlyFolders => "only folder markers, no master",
        }
    }
}

impl std::fmt::Display for NothingToDo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Reads a message's body.
///
/// Total: any text gives a [`Message`] or an error that names the field by its path. Where JSON repeats a field,
/// the last one counts.
pub fn parse(body: &str) -> Result<Message, MessageError> {
    if body.len() > MAX_BODY_BYTES {
        return Err(MessageError::TooLong { bytes: body.len() });
    }
    let document = read_json("the body", body)?;
    let root = Node::root("", &document);
    root.fields()?;
    if is_sns(&root) { sns(&root) } else { bare(&root) }
}

/// The event that S3 would send for `source`, for whoever stands in S3's place on one machine.
///
/// `event_time` is the time of the upload as AWS writes it: `2026-01-31T12:00:00.000Z`.
#[must_use]
pub fn s3_event(source: &Source, event_time: &str) -> String {
    let mut object = json!({ "key": key::encode(&source.key) });
    let told = [
        ("size", source.size.map(Value::from)),
        ("eTag", source.etag.clone().map(Value::from)),
        ("versionId", source.version.clone().map(Value::from)),
    ];
    for (name, value) in told {
        if let Some(value) = value {
            object[name] = value;
        }
    }
    let event = json!({ "Records": [{
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": "local",
        "eventTime": event_time,
        "eventName": "ObjectCreated:Put",
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": "reelpool",
            "bucket": { "name": source.bucket, "arn": format!("arn:aws:s3:::{}", source.bucket) },
            "object": object,
        },
    }]});
    event.to_string()
}

/// Reelpool's own job message for `request`.
#[must_use]
pub fn job_message(request: &JobRequest) -> String {
    let mut message = json!({ "reelpool": JOB_FORM });
    // Field by field, so that no serialisation error need be thought of.
    let source = &request.source;
    let mut from = json!({ "bucket": source.bucket, "key": source.key });
    let told = [
        ("version", source.version.clone().map(Value::from)),
        ("etag", source.etag.clone().map(Value::from)),
        ("size", source.size.map(Value::from)),
    ];
    for (name, value) in told {
        if let Some(value) = value {
            from[name] = value;
        }
    }
    message["source"] = from;
    if let Some(ladder) = &request.ladder {
        message["ladder"] = ladder.rungs().iter().map(Rung::to_string).collect();
    }
    if let Some(profile) = &request.profile {
        message["profile"] = profile.in_message();
    }
    message.to_string()
}

fn read_json(path: &str, text: &str) -> Result<Value, MessageError> {
    // serde_json itself refuses more than 128 levels.
    serde_json::from_str(text)
        .map_err(|error| MessageError::NotJson { path: path.to_owned(), detail: error.to_string() })
}

/// Any form but the envelope.
fn bare(root: &Node<'_>) -> Result<Message, MessageError> {
    if root.has("reelpool") {
        own_job(root)
    } else if root.has("Records") {
        s3_records(root)
    } else if root.has("detail-type") {
        event_bridge(root)
    } else if root.has("Event") {
        let event = root.required("Event")?;
        match event.text()? {
            "s3:TestEvent" => Ok(Message::Nothing(NothingToDo::TestEvent)),
            other => Err(event.says_wrongly("`s3:TestEvent`", other)),
        }
    } else {
        let names: Vec<_> = root.fields()?.keys().take(5).map(|name| excerpt(name)).collect();
        let fields = if names.is_empty() { "no field".to_owned() } else { names.join(", ") };
        Err(MessageError::UnknownForm { path: root.path(), fields })
    }
}

fn is_sns(root: &Node<'_>) -> bool {
    // `Type` is a common name: what bears another form's mark is of that form.
    let other_form = ["reelpool", "Records", "detail-type", "Event"].into_iter().any(|name| root.has(name));
    !other_form && ["Type", "TopicArn"].into_iter().any(|name| root.has(name))
}

fn sns(envelope: &Node<'_>) -> Result<Message, MessageError> {
    let kind = envelope.required("Type")?;
    match kind.text()? {
        "Notification" => {}
        other => return Err(kind.says_wrongly("`Notification`", other)),
    }
    let message = envelope.required("Message")?;
    let document = read_json("Message", message.text()?)?;
    let inner = Node::root("Message", &document);
    inner.fields()?;
    if is_sns(&inner) {
        return Err(message.invalid(&"an SNS envelope inside an SNS envelope is not read"));
    }
    bare(&inner)
}

fn s3_records(root: &Node<'_>) -> Result<Message, MessageError> {
    let records = root.required("Records")?;
    let items = records.items()?;
    match items.len() {
        0 => return Err(records.invalid(&"expected at least one record, found none")),
        n if n > MAX_RECORDS => {
            return Err(records.invalid(&format!("expected at most {MAX_RECORDS} records, found {n}")));
        }
        _ => {}
    }
    let mut sources = Vec::with_capacity(items.len());
    for record in items {
        sources.extend(s3_record(&record)?);
    }
    Ok(jobs_for(sources))
}

/// The new object that one record tells of; `None` where it tells of something else.
fn s3_record(record: &Node<'_>) -> Result<Option<Source>, MessageError> {
    // Other services send records too: they must not pass for events of no new object and be deleted.
    let service = record.required("eventSource")?;
    match service.text()? {
        "aws:s3" | "minio:s3" => {}
        other => return Err(service.says_wrongly("`aws:s3`", other)),
    }
    if let Some(version) = record.optional("eventVersion")? {
        let text = version.text()?;
        // AWS: a new minor version adds fields, a new major version may change them.
        if !text.starts_with("2.") {
            return Err(version.says_wrongly("version 2 of S3's events", text));
        }
    }
    let event = record.required("eventName")?.text()?;
    // Events of S3 itself have no prefix; those of other servers may, as bucket configurations do.
    if !event.strip_prefix("s3:").unwrap_or(event).starts_with("ObjectCreated:") {
        return Ok(None);
    }
    let s3 = record.required("s3")?;
    let object = s3.required("object")?;
    let encoded = object.required("key")?;
    let key = key::decode(encoded.text()?).map_err(|error| encoded.invalid(&error))?;
    let bucket = s3.required("bucket")?.required("name")?;
    source(&bucket, &encoded, key, &object, ["versionId", "eTag", "size"]).map(Some)
}

fn event_bridge(root: &Node<'_>) -> Result<Message, MessageError> {
    let service = root.required("source")?;
    match service.text()? {
        "aws.s3" => {}
        other => return Err(service.says_wrongly("`aws.s3`", other)),
    }
    if root.required("detail-type")?.text()? != "Object Created" {
        return Ok(Message::Nothing(NothingToDo::NoNewObject));
    }
    let detail = root.required("detail")?;
    let object = detail.required("object")?;
    // Unlike in S3's own events, the key is not encoded.
    let key = object.required("key")?;
    let bucket = detail.required("bucket")?.required("name")?;
    let source = source(&bucket, &key, key.text()?.to_owned(), &object, ["version-id", "etag", "size"])?;
    Ok(jobs_for(vec![source]))
}

fn own_job(root: &Node<'_>) -> Result<Message, MessageError> {
    let form = root.required("reelpool")?;
    match form.text()? {
        JOB_FORM => {}
        other => return Err(form.says_wrongly("`job/v1`", other)),
    }
    root.only(&["reelpool", "source", "ladder", "profile"])?;
    let from = root.required("source")?;
    from.only(&["bucket", "key", "version", "etag", "size"])?;
    let bucket = from.required("bucket")?;
    let key = from.required("key")?;
    let source = source(&bucket, &key, key.text()?.to_owned(), &from, ["version", "etag", "size"])?;
    let ladder = root.optional("ladder")?.map(|ladder| read_ladder(&ladder)).transpose()?;
    let profile = root.optional("profile")?.map(|profile| profile::named(&profile)).transpose()?;
    Ok(Message::Jobs(vec![JobRequest { source, ladder, profile }]))
}

fn read_ladder(list: &Node<'_>) -> Result<Ladder, MessageError> {
    let rung = |item: Node<'_>| item.text()?.parse::<Rung>().map_err(|error| item.invalid(&error));
    let rungs = list.items()?.map(rung).collect::<Result<Vec<_>, _>>()?;
    Ladder::try_from(rungs).map_err(|error| list.invalid(&error))
}

/// The jobs for new objects, each once, with neither ladder nor profile of their own.
fn jobs_for(new_objects: Vec<Source>) -> Message {
    if new_objects.is_empty() {
        return Message::Nothing(NothingToDo::NoNewObject);
    }
    let is_folder = |source: &Source| source.key.ends_with('/') && source.size == Some(0);
    let mut seen = HashSet::new();
    let mut keep = |source: &Source| !is_folder(source) && seen.insert(source.identity().map(str::to_owned));
    let jobs: Vec<_> = new_objects
        .into_iter()
        .filter(|source| keep(source))
        .map(|source| JobRequest { source, ladder: None, profile: None })
        .collect();
    if jobs.is_empty() { Message::Nothing(NothingToDo::OnlyFolders) } else { Message::Jobs(jobs) }
}

/// Puts a source together; `names` are those of version, entity tag and size in this form.
fn source(
    bucket: &Node<'_>,
    key_node: &Node<'_>,
    key: String,
    object: &Node<'_>,
    names: [&str; 3],
) -> Result<Source, MessageError> {
    let bucket_name = bucket.text()?;
    job::check_bucket(bucket_name).map_err(|reason| bucket.invalid(&reason))?;
    job::check_key(&key).map_err(|reason| key_node.invalid(&reason))?;
    let [version, etag, size] = names;
    let size = object.optional(size)?.map(|size| size.size()).transpose()?;
    Ok(Source {
        bucket: bucket_name.to_owned(),
        key,
        version: tag(object, version, |text| text)?,
        etag: tag(object, etag, unquoted)?,
        size,
    })
}

/// A version or an entity tag. Some servers write an empty one where there is none.
fn tag(object: &Node<'_>, name: &str, clean: fn(&str) -> &str) -> Result<Option<String>, MessageError> {
    let Some(node) = object.optional(name)? else {
        return Ok(None);
    };
    let text = clean(node.text()?);
    if text.is_empty() {
        return Ok(None);
    }
    job::check_tag(text).map_err(|reason| node.invalid(&reason))?;
    Ok(Some(text.to_owned()))
}

fn unquoted(etag: &str) -> &str {
    etag.trim_matches('"')
}
