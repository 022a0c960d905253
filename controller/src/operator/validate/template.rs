//! The pod template that users lay over Reelpool's: read strictly, because the API server does not look into it.

use k8s_openapi::api::core::v1::{Container, PodSpec, PodTemplateSpec, Probe};
use reelpool_api::GROUP;
use serde_json::Value;

use super::problems::Problems;
use crate::operator::build::{PORT_NAME, WORKER};
use crate::operator::environment::{Origin, reserved};
use crate::operator::pods::{DELETION_COST, STATUS_PORT};

/// Where the template stands.
const FIELD: &str = "spec.worker.template";
/// The most unknown fields that are told at once.
const MOST_UNKNOWN: usize = 5;
/// Labels by which the workers are found, beside those of Reelpool's own domain.
const LABELS: [&str; 3] =
    ["app.kubernetes.io/component", "app.kubernetes.io/instance", "app.kubernetes.io/name"];

/// Reads the template.
pub(super) fn read(given: &Value, problems: &mut Problems) -> Option<PodTemplateSpec> {
    let template: PodTemplateSpec = match serde_path_to_error::deserialize(given) {
        Ok(template) => template,
        Err(error) => {
            problems.add(format!("{FIELD}.{}", error.path()), error.inner().to_string());
            return None;
        }
    };
    let kept = serde_json::to_value(&template).unwrap_or_default();
    let mut unknown = Vec::new();
    find_unknown(given, &kept, FIELD, &mut unknown);
    for field in unknown.into_iter().take(MOST_UNKNOWN) {
        problems.add(field, "unknown field: see `kubectl explain pod` for what there is");
    }
    metadata(given, &template, problems);
    if let Some(spec) = &template.spec {
        pod(spec, problems);
        containers(spec, problems);
    }
    Some(template)
}

/// What is in `given` and was not kept by the types of the API.
fn find_unknown(given: &Value, kept: &Value, path: &str, found: &mut Vec<String>) {
    match (given, kept) {
        (Value::Object(given), Value::Object(kept)) => {
            for (key, value) in given {
                let path = format!("{path}.{key}");
                match kept.get(key) {
                    Some(kept) => find_unknown(value, kept, &path, found),
                    // Nothing is the same as not there.
                    None if value.is_null() || value.as_array().is_some_and(Vec::is_empty) => {}
                    None => found.push(path),
                }
            }
        }
        (Value::Array(given), Value::Array(kept)) => {
            for (index, (given, kept)) in given.iter().zip(kept).enumerate() {
                find_unknown(given, kept, &format!("{path}[{index}]"), found);
            }
        }
        _ => {}
    }
}

fn metadata(given: &Value, template: &PodTemplateSpec, problems: &mut Problems) {
    let fields = given["metadata"].as_object().into_iter().flat_map(|fields| fields.keys());
    for field in fields.filter(|field| !["annotations", "labels"].contains(&field.as_str())) {
        problems.add(format!("{FIELD}.metadata.{field}"), "only labels and annotations can be set");
    }
    let Some(metadata) = &template.metadata else { return };
    let own = |key: &str| key.starts_with(GROUP) && key[GROUP.len()..].starts_with('/');
    for key in metadata.labels.iter().flatten().map(|(key, _)| key.as_str()) {
        if own(key) || LABELS.contains(&key) {
            problems.add(format!("{FIELD}.metadata.labels[{key}]"), "is set by Reelpool: remove it");
        }
    }
    for key in metadata.annotations.iter().flatten().map(|(key, _)| key.as_str()) {
        if own(key) || key == DELETION_COST {
            problems.add(format!("{FIELD}.metadata.annotations[{key}]"), "is set by Reelpool: remove it");
        }
    }
}

fn pod(spec: &PodSpec, problems: &mut Problems) {
    let mut refuse = |field: &str, message: &str| problems.add(format!("{FIELD}.spec.{field}"), message);
    if spec.restart_policy.as_deref().is_some_and(|policy| policy != "Always") {
        refuse("restartPolicy", "must be Always, as for every Deployment: remove it");
    }
    if spec.termination_grace_period_seconds.is_some() {
        refuse(
            "terminationGracePeriodSeconds",
            "is set from spec.worker.gracePeriodSeconds: set that instead",
        );
    }
    if spec.active_deadline_seconds.is_some() {
        refuse("activeDeadlineSeconds", "would interrupt jobs: remove it");
    }
}

fn containers(spec: &PodSpec, problems: &mut Problems) {
    let kinds = [("containers", Some(&spec.containers)), ("initContainers", spec.init_containers.as_ref())];
    for (kind, containers) in kinds {
        for (index, container) in containers.into_iter().flatten().enumerate() {
            let field = format!("{FIELD}.spec.{kind}[{index}]");
            if container.name.is_empty() {
                problems.add(
                    format!("{field}.name"),
                    "is required: the worker's own container is named `worker`",
                );
            }
            ports(container, &field, problems);
            if container.name != WORKER {
                continue;
            }
            if kind == "initContainers" {
                problems.add(
                    format!("{field}.name"),
                    "`worker` is the name of the worker's own container: choose another",
                );
            } else {
                worker(container, &field, problems);
            }
        }
    }
}

fn ports(container: &Container, field: &str, problems: &mut Problems) {
    for (index, port) in container.ports.iter().flatten().enumerate() {
        if port.container_port == i32::from(STATUS_PORT) {
            let message = format!("{STATUS_PORT} is the port of the worker's status: choose another");
            problems.add(format!("{field}.ports[{index}].containerPort"), message);
        }
        if container.name == WORKER && port.name.as_deref() == Some(PORT_NAME) {
            problems.add(
                format!("{field}.ports[{index}].name"),
                "is the name of the worker's own port: choose another",
            );
        }
    }
}

fn worker(container: &Container, field: &str, problems: &mut Problems) {
    let mut refuse = |name: &str, message: &str| problems.add(format!("{field}.{name}"), message);
    if container.command.is_some() {
        refuse("command", "is the image's own: name another image instead");
    }
    if container.args.is_some() {
        refuse("args", "are set by Reelpool: the worker's other options are variables of its environment");
    }
    let asks = |probe: &Option<Probe>| {
        probe.as_ref().is_some_and(|probe| {
            probe.exec.is_some()
                || probe.grpc.is_some()
                || probe.http_get.is_some()
                || probe.tcp_socket.is_some()
        })
    };
    for (name, probe) in
        [("livenessProbe", &container.liveness_probe), ("readinessProbe", &container.readiness_probe)]
    {
        if asks(probe) {
            refuse(name, "asks the worker's status port: only its times can be set");
        }
    }
    for (index, variable) in container.env.iter().flatten().enumerate() {
        let name = &variable.name;
        let message = match reserved(name) {
            Some(Origin::Field(field)) => format!("{name} is set from {field}: set that instead"),
            Some(Origin::Option(option)) => format!("{name} is set from the operator's {option}: remove it"),
            Some(Origin::Reelpool) => format!("{name} is set by Reelpool: remove it"),
            None => continue,
        };
        refuse(&format!("env[{index}]"), &message);
    }
}
