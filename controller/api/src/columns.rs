//! What `kubectl get workerpools` shows.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceColumnDefinition;

/// A column: its name, type, where its value is, and what it tells.
type Column = (&'static str, &'static str, &'static str, &'static str);

/// Shown always: what somebody on call needs.
const FIRST: [Column; 5] = [
    ("Desired", "integer", ".status.desiredWorkers", "How many workers there are to be"),
    (
        "Ready",
        "string",
        ".status.conditions[?(@.type=='Ready')].status",
        "Whether all is well; if not, the conditions tell what stands in the way",
    ),
    ("Backlog", "integer", ".status.lastDecision.backlog", "Messages that waited when the decision was made"),
    ("Reason", "string", ".status.lastDecision.reason", "The rule that set the number of workers"),
    ("Age", "date", ".metadata.creationTimestamp", "How old the pool is"),
];

/// Shown with `-o wide`.
const WIDE: [Column; 7] = [
    ("Min", "integer", ".spec.minWorkers", "The fewest workers"),
    ("Max", "integer", ".spec.maxWorkers", "The most workers"),
    (
        "Starting",
        "integer",
        ".status.workers.starting",
        "Workers that did not ask for work yet when the decision was made",
    ),
    ("Idle", "integer", ".status.workers.idle", "Workers without work when the decision was made"),
    ("Busy", "integer", ".status.workers.busy", "Workers with a job in hand when the decision was made"),
    (
        "Draining",
        "integer",
        ".status.workers.draining",
        "Workers that took no new job when the decision was made",
    ),
    ("Decision", "string", ".status.lastDecision.message", "How the number of workers came about"),
];

/// All columns, in their order.
pub(crate) fn columns() -> Vec<CustomResourceColumnDefinition> {
    let first = FIRST.into_iter().map(|column| (column, None));
    let wide = WIDE.into_iter().map(|column| (column, Some(1)));
    let columns = first.chain(wide).map(|((name, type_, json_path, description), priority)| {
        CustomResourceColumnDefinition {
            name: name.to_owned(),
            type_: type_.to_owned(),
            json_path: json_path.to_owned(),
            description: Some(description.to_owned()),
            priority,
            format: None,
        }
    });
    columns.collect()
}
