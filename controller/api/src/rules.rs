//! What the API server checks beyond types and bounds: each rule in CEL, with what it says when it is broken.
//!
//! The operator checks all of it again: a pool may be older than a rule. Forms of strings are rules rather than
//! patterns, because a pattern's message is the pattern.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool, ValidationRule,
};

/// A rule.
#[derive(Debug)]
pub(crate) struct Rule {
    /// The schema it stands at, by field names from the root; `[]` is the items of a list, `{}` the values of a map.
    at: &'static [&'static str],
    /// The field below it that is to be named; none: the schema itself.
    field: Option<&'static str>,
    /// The kind of refusal: the API server's words before the message.
    refusal: Refusal,
    /// The expression that must be true.
    must: &'static str,
    /// What is said otherwise: what must be, and what to do.
    message: &'static str,
}

/// Why a field is refused, in the API server's terms.
#[derive(Debug, Clone, Copy)]
enum Refusal {
    /// `Invalid value`, which is the default.
    Invalid,
    /// `Forbidden`: it must not be there.
    Forbidden,
    /// `Required value`: it must be there.
    Required,
}

impl Refusal {
    fn reason(self) -> Option<String> {
        match self {
            Self::Invalid => None,
            Self::Forbidden => Some("FieldValueForbidden".to_owned()),
            Self::Required => Some("FieldValueRequired".to_owned()),
        }
    }
}

const SPEC: &[&str] = &["spec"];
const PROFILE: &[&str] = &["spec", "profile"];
const VIDEO: &[&str] = &["spec", "profile", "video"];
const QUEUE: &[&str] = &["spec", "queue"];
const SQS: &[&str] = &["spec", "queue", "sqs"];

/// All rules, in the order of the spec.
pub(crate) const RULES: &[Rule] = &[
    Rule {
        at: &[],
        field: Some(".metadata.name"),
        refusal: Refusal::Invalid,
        must: "size(self.metadata.name) <= 46 && self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
        message: "metadata.name must be at most 46 lower-case letters, digits and dashes, and neither begin nor end \
                  with a dash: the workers' pods are named after it",
    },
    Rule {
        at: QUEUE,
        field: None,
        refusal: Refusal::Required,
        must: "[has(self.sqs)].exists_one(kind, kind)",
        message: "queue must have exactly one kind of queue: set queue.sqs.queueURL",
    },
    Rule {
        at: QUEUE,
        field: None,
        refusal: Refusal::Invalid,
        must: "has(self.sqs) == has(oldSelf.sqs)",
        message: "the kind of queue is immutable: make a new WorkerPool for another queue",
    },
    Rule {
        at: SQS,
        field: Some(".deadLetterQueueURL"),
        refusal: Refusal::Invalid,
        must: "!has(self.deadLetterQueueURL) || self.deadLetterQueueURL != self.queueURL",
        message: "deadLetterQueueURL must not be the queue itself: a message that is given up would come back for \
                  ever; name another queue, or leave it out to use the queue's redrive policy",
    },
    Rule {
        at: &["spec", "queue", "sqs", "queueURL"],
        field: None,
        refusal: Refusal::Invalid,
        must: QUEUE_URL,
        message: "queueURL must be the queue's http or https URL, such as \
                  https://sqs.eu-west-1.amazonaws.com/123456789012/masters",
    },
    Rule {
        at: &["spec", "queue", "sqs", "queueURL"],
        field: None,
        refusal: Refusal::Invalid,
        must: "self == oldSelf",
        message: "queueURL is immutable: make a new WorkerPool for another queue",
    },
    Rule {
        at: &["spec", "queue", "sqs", "deadLetterQueueURL"],
        field: None,
        refusal: Refusal::Invalid,
        must: QUEUE_URL,
        message: "deadLetterQueueURL must be a queue's http or https URL, such as \
                  https://sqs.eu-west-1.amazonaws.com/123456789012/masters-dead",
    },
    Rule {
        at: &["spec", "masters", "url"],
        field: None,
        refusal: Refusal::Invalid,
        must: PLACE,
        message: "url must be a bucket and, if it is not the whole bucket, a prefix without empty parts: \
                  s3://bucket or s3://bucket/prefix",
    },
    Rule {
        at: &["spec", "output", "url"],
        field: None,
        refusal: Refusal::Invalid,
        must: PLACE,
        message: "url must be a bucket and, if it is not the whole bucket, a prefix without empty parts: \
                  s3://bucket or s3://bucket/prefix",
    },
    Rule {
        at: SPEC,
        field: Some(".output"),
        refusal: Refusal::Invalid,
        // Written out, not mapped over a list: the budget takes what a list holds for unbounded.
        must: "!has(self.masters) || !has(self.output) || \
               (!(self.masters.url + '/').startsWith(self.output.url.endsWith('/') ? self.output.url : self.output.url + '/') && \
                !(self.output.url + '/').startsWith(self.masters.url.endsWith('/') ? self.masters.url : self.masters.url + '/'))",
        message: "output and masters must not lie within one another: renditions would be taken for masters; \
                  name another bucket or prefix",
    },
    Rule {
        at: &["spec", "ladder", "[]"],
        field: None,
        refusal: Refusal::Invalid,
        must: "self.matches('^[1-9][0-9]{1,3}p$') && int(self.substring(0, size(self) - 1)) % 2 == 0 && \
               int(self.substring(0, size(self) - 1)) >= 16 && int(self.substring(0, size(self) - 1)) <= 4320",
        message: "a rung must be the short side in pixels and a p, even, from 16p to 4320p, such as 720p",
    },
    Rule {
        at: PROFILE,
        field: Some(".name"),
        refusal: Refusal::Invalid,
        must: "!has(self.name) || !(has(self.video) || has(self.audio) || has(self.packaging) || \
               has(self.segmentSeconds) || has(self.poster) || has(self.storyboard) || has(self.chunkSeconds) || \
               has(self.quality))",
        message: "name must stand alone: a built-in profile is taken as it is; remove it, or the other fields",
    },
    Rule {
        at: PROFILE,
        field: Some(".chunkSeconds"),
        refusal: Refusal::Invalid,
        must: "(has(self.chunkSeconds) ? self.chunkSeconds : 60) >= (has(self.segmentSeconds) ? self.segmentSeconds : 6)",
        message: "chunkSeconds must be at least segmentSeconds: raise the one or lower the other",
    },
    Rule {
        at: VIDEO,
        field: Some(".preset"),
        refusal: Refusal::Invalid,
        must: "!has(self.preset) || (has(self.codec) && self.codec == 'av1' ? \
               (type(self.preset) == int ? self.preset >= 0 && self.preset <= 13 : \
               self.preset.matches('^([0-9]|1[0-3])$')) : \
               self.preset in ['ultrafast', 'superfast', 'veryfast', 'faster', 'fast', 'medium', 'slow', 'slower', \
               'veryslow', 'placebo'])",
        message: "preset must be one of ultrafast, superfast, veryfast, faster, fast, medium, slow, slower and veryslow \
                  with codec h264, and 0 to 13 with codec av1",
    },
    Rule {
        at: VIDEO,
        field: Some(".crf"),
        refusal: Refusal::Invalid,
        must: "!has(self.crf) || self.crf <= 51 || (has(self.codec) && self.codec == 'av1')",
        message: "crf must be from 0 to 51 with codec h264, and from 0 to 63 with codec av1",
    },
    Rule {
        at: &["spec", "profile", "video", "maxKbps"],
        field: None,
        refusal: Refusal::Invalid,
        must: "self.all(rung, rung.matches('^[1-9][0-9]{1,3}p$'))",
        message: "maxKbps must name rungs: each the short side in pixels and a p, such as 720p",
    },
    Rule {
        at: SPEC,
        field: Some(".worker.preset"),
        refusal: Refusal::Invalid,
        must: "!has(self.worker) || !has(self.worker.preset) || !has(self.profile) || \
               !((has(self.profile.name) && self.profile.name == 'av1') || (has(self.profile.video) && \
               has(self.profile.video.codec) && self.profile.video.codec == 'av1'))",
        message: "worker.preset must not be set beside a profile that encodes AV1, since it is x264's: set \
                  profile.video.preset",
    },
    Rule {
        at: SPEC,
        field: Some(".minWorkers"),
        refusal: Refusal::Invalid,
        must: "self.minWorkers <= self.maxWorkers",
        message: "minWorkers must be less than or equal to maxWorkers: lower minWorkers or raise maxWorkers",
    },
    Rule {
        at: &["spec", "scaling", "target"],
        field: None,
        refusal: Refusal::Invalid,
        must: "[has(self.backlogPerWorker), has(self.drainWithinSeconds)].exists_one(target, target)",
        message: "target must have exactly one of backlogPerWorker and drainWithinSeconds: keep the one to scale by",
    },
    Rule {
        at: SPEC,
        field: Some(".masters"),
        refusal: Refusal::Required,
        must: "has(self.masters) || has(self.targetRef)",
        message: "masters is required: set masters.url to where masters may be fetched from, or scale a Deployment \
                  of your own with targetRef",
    },
    Rule {
        at: SPEC,
        field: Some(".output"),
        refusal: Refusal::Required,
        must: "has(self.output) || has(self.targetRef)",
        message: "output is required: set output.url to where renditions go, or scale a Deployment of your own with \
                  targetRef",
    },
    Rule {
        at: SPEC,
        field: Some(".masters"),
        refusal: Refusal::Forbidden,
        must: "!has(self.masters) || !has(self.targetRef)",
        message: "masters must not be set beside targetRef: the Deployment itself says where its workers read; \
                  remove one of the two",
    },
    Rule {
        at: SPEC,
        field: Some(".output"),
        refusal: Refusal::Forbidden,
        must: "!has(self.output) || !has(self.targetRef)",
        message: "output must not be set beside targetRef: the Deployment itself says where its workers write; \
                  remove one of the two",
    },
    Rule {
        at: SPEC,
        field: Some(".ladder"),
        refusal: Refusal::Forbidden,
        must: "!has(self.ladder) || !has(self.targetRef)",
        message: "ladder must not be set beside targetRef: the Deployment itself says what its workers make; \
                  remove one of the two",
    },
    Rule {
        at: SPEC,
        field: Some(".profile"),
        refusal: Refusal::Forbidden,
        must: "!has(self.profile) || !has(self.targetRef)",
        message: "profile must not be set beside targetRef: the Deployment itself says what its workers make; \
                  remove one of the two",
    },
    Rule {
        at: SPEC,
        field: Some(".worker"),
        refusal: Refusal::Forbidden,
        must: "!has(self.worker) || !has(self.targetRef)",
        message: "worker must not be set beside targetRef: the Deployment itself says how its workers run; \
                  remove one of the two",
    },
    Rule {
        at: SPEC,
        field: Some(".targetRef"),
        refusal: Refusal::Invalid,
        must: "has(self.targetRef) == has(oldSelf.targetRef)",
        message: "targetRef can neither be added nor removed later: make a new WorkerPool",
    },
    Rule {
        at: &["spec", "targetRef"],
        field: Some(".name"),
        refusal: Refusal::Invalid,
        must: "self.apiVersion == oldSelf.apiVersion && self.kind == oldSelf.kind && self.name == oldSelf.name",
        message: "what targetRef names is immutable: make a new WorkerPool for another Deployment",
    },
    Rule {
        at: &["spec", "targetRef", "name"],
        field: None,
        refusal: Refusal::Invalid,
        must: OBJECT_NAME,
        message: "name must be the name of a Deployment: lower-case letters, digits, dashes and dots",
    },
    Rule {
        at: &["spec", "worker", "image"],
        field: None,
        refusal: Refusal::Invalid,
        must: r"self.matches(r'^\S+$')",
        message: "image must be the name of an image, without spaces, such as registry.example.com/reelpool-worker:1.0",
    },
    Rule {
        at: &["spec", "worker", "serviceAccountName"],
        field: None,
        refusal: Refusal::Invalid,
        must: OBJECT_NAME,
        message: "serviceAccountName must be the name of a service account: lower-case letters, digits, dashes and dots",
    },
    Rule {
        at: &["spec", "worker", "resources", "limits", "{}"],
        field: None,
        refusal: Refusal::Invalid,
        must: AMOUNT,
        message: "an amount must be a quantity, such as 2, 500m or 4Gi",
    },
    Rule {
        at: &["spec", "worker", "resources", "requests", "{}"],
        field: None,
        refusal: Refusal::Invalid,
        must: AMOUNT,
        message: "an amount must be a quantity, such as 2, 500m or 4Gi",
    },
    Rule {
        at: &["spec", "worker", "scratchSizeLimit"],
        field: None,
        refusal: Refusal::Invalid,
        must: r"self.matches(r'^[0-9]+(\.[0-9]+)?(Ki|Mi|Gi|Ti|k|M|G|T)?$') && self.matches('[1-9]')",
        message: "scratchSizeLimit must be a quantity above zero, such as 50Gi",
    },
];

/// A host and at least two parts of a path: the account's and the queue's name.
const QUEUE_URL: &str = "self.matches('^https?://[!-.0-~]+(/+[!-.0-~]+){2,}/*$')";

/// A bucket's name after S3's rules, and parts of a path that are not empty.
const PLACE: &str = r"self.matches(r'^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[^/[:cntrl:]]+)*/?$')";

/// What Kubernetes takes for a quantity that is not negative.
const AMOUNT: &str = "type(self) == int ? self >= 0 : \
                      self.matches('^[0-9]+([.][0-9]+)?([numkMGTPE]|[KMGTPE]i|[eE][+-]?[0-9]+)?$')";

/// What Kubernetes takes for a name of most objects.
const OBJECT_NAME: &str = "self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')";

/// Puts the rules into the schema whose root is `root`.
pub(crate) fn add(root: &mut JSONSchemaProps) {
    for rule in RULES {
        if let Some(schema) = below(root, rule.at) {
            schema.x_kubernetes_validations.get_or_insert_default().push(ValidationRule {
                rule: rule.must.to_owned(),
                message: Some(rule.message.to_owned()),
                field_path: rule.field.map(str::to_owned),
                reason: rule.refusal.reason(),
                ..ValidationRule::default()
            });
        }
    }
}

fn below<'schema>(root: &'schema mut JSONSchemaProps, at: &[&str]) -> Option<&'schema mut JSONSchemaProps> {
    at.iter().try_fold(root, |schema, step| match *step {
        "[]" => match schema.items.as_mut()? {
            JSONSchemaPropsOrArray::Schema(items) => Some(&mut **items),
            JSONSchemaPropsOrArray::Schemas(_) => None,
        },
        "{}" => match schema.additional_properties.as_mut()? {
            JSONSchemaPropsOrBool::Schema(values) => Some(&mut **values),
            JSONSchemaPropsOrBool::Bool(_) => None,
        },
        field => schema.properties.as_mut()?.get_mut(field),
    })
}
