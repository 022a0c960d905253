//! The API server's own record of who asked what and when: the witness that nobody in the test can talk over.

use std::collections::HashSet;
use std::path::PathBuf;
use std::time::SystemTime;

use k8s_openapi::jiff::Timestamp;
use serde::Deserialize;

use crate::control_plane::{ControlPlane, Settings};

const POLICY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/audit.yaml");
/// In the control plane's folder, where its programs stand.
const LOG: &str = "logs/audit.log";

impl Settings {
    /// The same, with an [`Audit`].
    #[must_use]
    pub fn audited(mut self) -> Self {
        self.api_server_flags.push(format!("--audit-policy-file={POLICY}"));
        self.api_server_flags.push(format!("--audit-log-path={LOG}"));
        self
    }
}

/// The audit log of a control plane that was started with [`Settings::audited`]. It holds what `audit.yaml` names: the
/// deletions of pods, the writes to Deployments and pools, and every request of [`crate::OPERATOR_USER`] and of service
/// accounts outside kube-system.
#[derive(Debug, Clone)]
pub struct Audit {
    file: PathBuf,
}

/// A request that was answered, or for a watch: begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Who asked.
    pub user: String,
    /// With what program.
    pub user_agent: String,
    /// What for: `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`.
    pub verb: String,
    /// The resource with its subresource, such as `deployments/scale`; empty for none.
    pub resource: String,
    /// The object's namespace; empty for none.
    pub namespace: String,
    /// The object's name; empty for none.
    pub name: String,
    /// The path and what follows it.
    pub uri: String,
    /// The HTTP code of the answer.
    pub code: u16,
    /// When the request came in.
    pub received: SystemTime,
    /// When the answer went out.
    pub answered: SystemTime,
}

impl Request {
    /// Whether it asked for a change.
    #[must_use]
    pub fn is_write(&self) -> bool {
        !matches!(self.verb.as_str(), "get" | "list" | "watch")
    }
}

/// The first request to delete a pod that the API server granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deletion {
    /// The pod.
    pub pod: String,
    /// Who asked for it.
    pub by: String,
    /// When the request came in.
    pub received: SystemTime,
    /// When the answer went out: the pod was told to go in between.
    pub answered: SystemTime,
}

impl Audit {
    /// The audit log of this control plane.
    #[must_use]
    pub fn of(plane: &ControlPlane) -> Self {
        Self { file: plane.folder().join(LOG) }
    }

    /// Every request so far, in the order of the answers.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        let log = std::fs::read_to_string(&self.file)
            .unwrap_or_else(|error| panic!("{}: {error}: was Settings::audited used?", self.file.display()));
        // The last line may be half-written.
        let whole = log.rfind('\n').map_or("", |end| &log[..end]);
        whole.lines().filter_map(request).collect()
    }

    /// The requests since `start` for which `wanted` holds.
    #[must_use]
    pub fn since(&self, start: SystemTime, wanted: impl Fn(&Request) -> bool) -> Vec<Request> {
        let requests = self.requests().into_iter().filter(|request| request.received >= start);
        requests.filter(wanted).collect()
    }

    /// The first deletion of each pod in `namespace`.
    #[must_use]
    pub fn deletions(&self, namespace: &str) -> Vec<Deletion> {
        let mut known = HashSet::new();
        let first = |request: &Request| {
            let asks = (request.verb == "delete" && request.resource == "pods")
                || (request.verb == "create" && request.resource == "pods/eviction");
            let granted = request.namespace == namespace && (200..300).contains(&request.code);
            asks && granted && known.insert(request.name.clone())
        };
        let mut requests = self.requests();
        requests.sort_by_key(|request| request.received);
        requests.retain(first);
        let deletion = |request: Request| Deletion {
            pod: request.name,
            by: request.user,
            received: request.received,
            answered: request.answered,
        };
        requests.into_iter().map(deletion).collect()
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    stage: String,
    #[serde(rename = "requestURI")]
    request_uri: String,
    verb: String,
    user: User,
    #[serde(default)]
    user_agent: String,
    #[serde(default)]
    object_ref: Object,
    #[serde(default)]
    response_status: Status,
    request_received_timestamp: Timestamp,
    stage_timestamp: Timestamp,
}

#[derive(Deserialize)]
struct User {
    username: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Object {
    resource: String,
    subresource: String,
    namespace: String,
    name: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Status {
    code: u16,
}

/// Reads a line; `None`: it tells of a request that is told of in another line.
fn request(line: &str) -> Option<Request> {
    let event: Event = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    let stage = if event.verb == "watch" { "ResponseStarted" } else { "ResponseComplete" };
    (event.stage == stage).then(|| Request {
        user: event.user.username,
        user_agent: event.user_agent,
        verb: event.verb,
        resource: match event.object_ref.subresource.as_str() {
            "" => event.object_ref.resource,
            subresource => format!("{}/{subresource}", event.object_ref.resource),
        },
        namespace: event.object_ref.namespace,
        name: event.object_ref.name,
        uri: event.request_uri,
        code: event.response_status.code,
        received: event.request_received_timestamp.into(),
        answered: event.stage_timestamp.into(),
    })
}
