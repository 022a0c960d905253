use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::*;
use crate::rules::RULES;
use crate::scaling::Scaling;
use crate::worker::Worker;
use crate::{MAX_POOL_NAME, WorkerPool, WorkerPoolSpec};

/// Calls `look` with each schema and its path.
fn each(schema: &Value, path: &str, look: &mut dyn FnMut(&str, &Value)) {
    look(path, schema);
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        each(field, &format!("{path}.{name}"), look);
    }
    for (key, name) in [("items", "[]"), ("additionalProperties", "{}")] {
        if let Some(part) = schema.get(key) {
            each(part, &format!("{path}{name}"), look);
        }
    }
}

fn root() -> Value {
    serde_json::to_value(definition()).unwrap()["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone()
}

/// The paths of all schemas that `wrong` says something about.
fn all(wrong: impl Fn(&str, &Value) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    each(&root(), "", &mut |path, schema| {
        // The API server's own, declared for its path only.
        if !path.starts_with(".metadata") && wrong(path, schema) {
            found.push(path.to_owned());
        }
    });
    found
}

const NONE: [&str; 0] = [];

fn is(schema: &Value, kind: &str) -> bool {
    schema["type"] == kind
}

#[test]
fn every_part_has_a_type_or_takes_numbers_and_strings() {
    let untyped =
        all(|_, schema| schema.get("type").is_none() && schema["x-kubernetes-int-or-string"] != true);
    assert_eq!(untyped, NONE);
    assert_eq!(all(|_, schema| is(schema, "number")), NONE, "no floating point");
}

#[test]
fn nothing_is_nullable() {
    assert_eq!(all(|_, schema| schema.get("nullable").is_some()), NONE);
    let null = |schema: &Value| schema["enum"].as_array().is_some_and(|values| values.contains(&Value::Null));
    assert_eq!(all(|_, schema| null(schema)), NONE);
}

#[test]
fn every_number_string_and_list_is_bounded() {
    let numbers = all(|path, schema| {
        let bounded = schema.get("minimum").is_some()
            && (path.starts_with(".status") || schema.get("maximum").is_some());
        is(schema, "integer") && !bounded
    });
    assert_eq!(numbers, NONE);
    let strings = all(|_, schema| {
        let bounded = ["maxLength", "enum"].iter().any(|bound| schema.get(*bound).is_some())
            || schema["format"] == "date-time";
        is(schema, "string") && !bounded
    });
    assert_eq!(strings, NONE);
    let lists = all(|_, schema| {
        let bounded = schema.get("maxItems").is_some() && schema.get("x-kubernetes-list-type").is_some();
        is(schema, "array") && !bounded
    });
    assert_eq!(lists, NONE);
    let maps = all(|_, schema| {
        schema.get("additionalProperties").is_some() && schema.get("maxProperties").is_none()
    });
    assert_eq!(maps, NONE);
}

#[test]
fn every_field_is_described_in_unbroken_lines() {
    let field = |path: &str| !path.ends_with("[]") && !path.ends_with("{}");
    assert_eq!(all(|path, schema| field(path) && schema["description"].as_str().is_none()), NONE);
    let broken = all(|_, schema| {
        schema["description"].as_str().is_some_and(|text| text.replace("\n\n", "").contains(['\n', '`', '[']))
    });
    assert_eq!(broken, NONE);
}

#[test]
fn every_rule_stands_in_the_schema_and_says_what_to_do() {
    let mut messages = Vec::new();
    each(&root(), "", &mut |_, schema| {
        for rule in schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
            messages.push(rule["message"].as_str().unwrap().to_owned());
        }
    });
    assert_eq!(messages.len(), RULES.len(), "a rule's path is not in the schema");
    for message in messages {
        assert!(
            message.contains("must") || message.contains("immutable") || message.contains(':'),
            "{message}"
        );
        assert!(!message.contains('\n') && !message.contains("  "), "{message:?}");
    }
}

#[test]
fn the_rule_on_the_name_has_the_bound_that_everybody_uses() {
    let rules = root()["x-kubernetes-validations"].to_string();
    assert!(
        rules.contains(&format!("<= {MAX_POOL_NAME} ")) && rules.contains(&format!("most {MAX_POOL_NAME} "))
    );
}

/// What the API server does when a pool is stored.
fn defaulted(schema: &Value, value: &mut Value) {
    let Some(fields) = schema["properties"].as_object() else { return };
    for (name, field) in fields {
        if let (Some(default), None) = (field.get("default"), value.get(name)) {
            value[name] = default.clone();
        }
        if let Some(value) = value.get_mut(name) {
            defaulted(field, value);
        }
    }
}

#[test]
fn the_schema_has_the_defaults_of_the_types() {
    let least = json!({
        "queue": {"sqs": {"queueURL": "https://sqs.eu-west-1.amazonaws.com/1/masters"}},
        "maxWorkers": 3,
        "worker": {},
    });
    let mut stored = least.clone();
    defaulted(&root()["properties"]["spec"], &mut stored);
    let stored: WorkerPoolSpec = serde_json::from_value(stored).unwrap();
    assert_eq!(stored, serde_json::from_value(least).unwrap());
    assert_eq!(stored.scaling, Scaling::default());
    assert_eq!(stored.worker, Some(Worker::default()));
}

#[test]
fn a_target_by_time_gets_no_backlog_beside_it() {
    let mut scaling = json!({"target": {"drainWithinSeconds": 600}});
    defaulted(&root()["properties"]["spec"]["properties"]["scaling"], &mut scaling);
    assert_eq!(scaling["target"], json!({"drainWithinSeconds": 600}));
    assert_eq!(scaling["pollSeconds"], 1);
}

#[test]
fn amounts_are_read_as_numbers_and_as_strings() {
    let worker: Worker = serde_json::from_value(json!({
        "resources": {"limits": {"cpu": 2, "memory": "4Gi"}},
        "imagePullSecrets": [{"name": "registry"}],
    }))
    .unwrap();
    let limits = worker.resources.unwrap().limits.unwrap();
    assert_eq!((limits["cpu"].0.as_str(), limits["memory"].0.as_str()), ("2", "4Gi"));
}

#[test]
fn nobody_scales_a_pool_but_the_operator() {
    let definition = definition();
    let subresources = definition.spec.versions[0].subresources.as_ref().unwrap();
    assert!(subresources.status.is_some());
    assert!(subresources.scale.is_none());
}

#[test]
fn columns_are_fields_of_the_type_they_say() {
    let root = root();
    let columns = definition().spec.versions[0].additional_printer_columns.clone().unwrap();
    let first: Vec<_> =
        columns.iter().filter(|column| column.priority.is_none()).map(|c| c.name.as_str()).collect();
    assert_eq!(first, ["Desired", "Ready", "Backlog", "Reason", "Age"]);
    let names: BTreeSet<_> = columns.iter().map(|column| &column.name).collect();
    assert_eq!(names.len(), columns.len());
    for column in
        columns.iter().filter(|c| !c.json_path.starts_with(".metadata") && !c.json_path.contains('['))
    {
        let steps = column.json_path.trim_start_matches('.').split('.');
        let field = steps.fold(&root, |schema, step| &schema["properties"][step]);
        assert_eq!(field["type"], *column.type_, "{}", column.name);
    }
}

#[test]
fn an_object_of_the_definition_is_a_pool() {
    let pool: WorkerPool = serde_json::from_value(json!({
        "apiVersion": "reelpool.dev/v1alpha1",
        "kind": "WorkerPool",
        "metadata": {"name": "cats"},
        "spec": {"queue": {"sqs": {"queueURL": "https://h/1/q"}}, "maxWorkers": 1, "targetRef": {"name": "mine"}},
    }))
    .unwrap();
    assert_eq!(pool.spec.target_ref.unwrap().name, "mine");
}
