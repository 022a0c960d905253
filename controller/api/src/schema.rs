//! The parts of the schema that are written by hand: types of Kubernetes' own, without what the API server refuses
//! in a structural schema or what would fill pages of `kubectl explain`.

use schemars::{Schema, SchemaGenerator, json_schema};

/// A pod template: its outline only, the operator looks into the rest.
pub(crate) fn pod_template(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "properties": {
            "metadata": {
                "description": "Labels and annotations of the workers' pods.",
                "type": "object",
                "properties": {
                    "annotations": {
                        "description": "Annotations beside Reelpool's own.",
                        "type": "object",
                        "maxProperties": 64,
                        "additionalProperties": { "type": "string", "maxLength": 65_536 }
                    },
                    "labels": {
                        "description": "Labels beside Reelpool's own.",
                        "type": "object",
                        "maxProperties": 64,
                        "additionalProperties": { "type": "string", "maxLength": 63 }
                    }
                }
            },
            "spec": {
                "description": "A `PodSpec`, as `kubectl explain pod.spec` tells of it. Lists with names (containers, env, \
                                volumes) are merged by name, others are replaced.",
                "type": "object",
                "x-kubernetes-preserve-unknown-fields": true
            }
        }
    })
}

/// What a container asks for and may use.
pub(crate) fn resources(_: &mut SchemaGenerator) -> Schema {
    let amounts = |description: &str| {
        json_schema!({
            "description": description,
            "type": "object",
            "maxProperties": 16,
            "additionalProperties": {
                "anyOf": [{ "type": "integer" }, { "type": "string" }],
                "x-kubernetes-int-or-string": true,
                "maxLength": 32
            }
        })
    };
    json_schema!({
        "type": "object",
        "properties": {
            "limits": amounts("What a worker may use at most, such as `cpu: 4` and `memory: 4Gi`."),
            "requests": amounts("What a node must have free for a worker. Default: the limits.")
        }
    })
}

/// A preset of an encoder: a name, or a number.
pub(crate) fn preset(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "anyOf": [{ "type": "integer" }, { "type": "string" }],
        "x-kubernetes-int-or-string": true,
        "maxLength": 16
    })
}

/// Bit rates by rung.
pub(crate) fn max_kbps(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 64,
        "additionalProperties": { "type": "integer", "format": "int32", "minimum": 50, "maximum": 100_000 }
    })
}

/// Names of secrets, each once.
pub(crate) fn secrets(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 16,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["name"],
        "items": {
            "type": "object",
            "required": ["name"],
            "properties": {
                "name": {
                    "description": "The secret's name, in the pool's namespace.",
                    "type": "string",
                    "minLength": 1,
                    "maxLength": 253
                }
            }
        }
    })
}

/// Conditions after metav1: a list with one entry for each type.
pub(crate) fn conditions(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 16,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
        "items": {
            "type": "object",
            "required": ["type", "status", "lastTransitionTime", "reason", "message"],
            "properties": {
                "type": {
                    "description": "What is told: Ready, QueueReachable, WorkersAvailable, ScalingLimited, ReplicasContested.",
                    "type": "string",
                    "minLength": 1,
                    "maxLength": 316
                },
                "status": {
                    "description": "Whether it is so.",
                    "type": "string",
                    "enum": ["True", "False", "Unknown"]
                },
                "observedGeneration": {
                    "description": "The generation of the spec that this was made from.",
                    "type": "integer",
                    "format": "int64",
                    "minimum": 0
                },
                "lastTransitionTime": {
                    "description": "When the status last changed.",
                    "type": "string",
                    "format": "date-time"
                },
                "reason": {
                    "description": "Why, in one word.",
                    "type": "string",
                    "minLength": 1,
                    "maxLength": 1024,
                    "pattern": "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$"
                },
                "message": {
                    "description": "Why, in one line, and what to do.",
                    "type": "string",
                    "maxLength": 32_768
                }
            }
        }
    })
}
