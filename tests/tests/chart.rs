//! What the chart takes for granted of the programs: the operator's options, and the metrics of its dashboard.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::time::Duration;

use clap::{CommandFactory, Parser};
use reelpool::args::{Args, Command};
use reelpool::clock::Clock;
use reelpool::metrics::{Metrics, PoolFacts, PoolName};
use reelpool_core::{QueueDepth, Violation, WorkerCounts};
use reelpool_protocol::event::Outcome;
use serde_json::Value;

/// All that an operator tells Prometheus once everything has happened.
fn operator() -> String {
    let clock = Clock::start();
    let metrics = Metrics::new(clock).unwrap();
    let pool = PoolName::new("media".to_owned(), "cattube".to_owned());
    let depth = Some((QueueDepth::default(), clock.now()));
    metrics.pool(&pool, PoolFacts { desired: 0, ready: 0, workers: WorkerCounts::default(), depth });
    metrics.scaled(&pool);
    metrics.reconciled("ok", Duration::ZERO);
    metrics.error("api_late");
    metrics.decided("Backlog");
    metrics.violation(&Violation::BelowBusy { target: 1, busy: 2 });
    metrics.queue_call("ok", Duration::ZERO);
    metrics.sample_to_write(Duration::ZERO);
    metrics.leads(true);
    String::from_utf8(metrics.text().unwrap()).unwrap()
}

/// All that a worker does.
fn worker() -> String {
    let metrics = reelpool_worker::metrics::Metrics::new().unwrap();
    metrics.ended(&Outcome::Failed { reason: "no_video".to_owned(), detail: String::new() });
    metrics.stage("fetch", Duration::ZERO);
    metrics.queue_error("throttled");
    String::from_utf8(metrics.text().unwrap()).unwrap()
}

#[test]
fn every_panel_asks_for_what_there_is() {
    let file = reelpool_tests::repository().join("charts/reelpool/files/dashboards/reelpool.json");
    let dashboard: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let told = format!("{}{}", operator(), worker());
    let mut asked = 0;
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let expression = target["expr"].as_str().unwrap();
            for name in words(expression).filter(|word| word.starts_with("reelpool_")) {
                let series = told.lines().find(|line| words(line).next() == Some(name));
                let series = series.unwrap_or_else(|| panic!("{}: nobody has {name}", panel["title"]));
                for label in labels(expression) {
                    // Prometheus itself puts these on the workers'.
                    let put = name.starts_with("reelpool_worker_") && ["namespace", "pool"].contains(&label);
                    let has = series.contains(&format!("{label}=\""));
                    assert!(has || put, "{}: {name} has no {label}: {series}", panel["title"]);
                }
                asked += 1;
            }
        }
    }
    assert!(asked > 20, "only {asked} metrics are asked for");
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
}

/// The labels that an expression adds up by.
fn labels(expression: &str) -> impl Iterator<Item = &str> {
    let groups = expression.split("by (").skip(1).filter_map(|rest| rest.split_once(')'));
    groups.flat_map(|(names, _)| names.split(", "))
}

/// The variables of the operator's container, as the chart renders them with every switch on.
fn variables() -> Vec<(String, String)> {
    let golden = reelpool_tests::repository().join("tests/cluster/tests/chart/golden/everything.yaml");
    let golden = std::fs::read_to_string(golden).unwrap();
    let mut lines = golden.lines().map(str::trim).peekable();
    let mut variables = Vec::new();
    while let Some(line) = lines.next() {
        if let Some(name) = line.strip_prefix("- name: REELPOOL_") {
            let value = lines.peek().and_then(|next| next.strip_prefix("value: "));
            // The others are the pod's own name and namespace.
            let value = value.unwrap_or("reelpool-operator-5d8f").trim_matches('"');
            variables.push((format!("REELPOOL_{name}"), value.to_owned()));
        }
    }
    variables
}

#[test]
fn the_operator_knows_every_variable_that_the_chart_sets() {
    let variables = variables();
    assert!(variables.len() > 8, "{variables:?}");
    let mut line = vec!["reelpool".to_owned(), "operator".to_owned()];
    let command = Args::command();
    let operator = command.find_subcommand("operator").unwrap();
    for (name, value) in &variables {
        let option =
            operator.get_arguments().find(|option| option.get_env().is_some_and(|env| env == name.as_str()));
        let option = option.unwrap_or_else(|| panic!("`reelpool operator` does not know {name}"));
        // Clap reads the word that a switch's variable holds.
        let is_switch = !option.get_action().takes_values();
        assert!(!is_switch || ["true", "false"].contains(&value.as_str()), "{name}={value}");
        if !is_switch {
            line.push(format!("--{}={value}", option.get_long().unwrap()));
        } else if value == "true" {
            line.push(format!("--{}", option.get_long().unwrap()));
        }
    }
    let args = Args::try_parse_from(&line).unwrap_or_else(|error| panic!("{line:?}: {error}"));
    let Command::Operator(operator) = args.command else { panic!("{line:?}") };
    assert_eq!(operator.watch_namespace, None);
    assert_eq!(operator.lease_name, "reelpool-operator");
    assert_eq!(operator.endpoint_url.as_deref(), Some("http://10.0.0.9:4566"));
    assert!(operator.log_decisions);
}

#[test]
fn helm_test_asks_in_words_that_reelpool_knows() {
    let pod = reelpool_tests::repository().join("tests/cluster/tests/chart/golden/everything.yaml");
    let golden = std::fs::read_to_string(pod).unwrap();
    let lines = golden.lines().map(|line| line.trim().trim_start_matches("- "));
    let words: Vec<&str> = lines.skip_while(|line| *line != "probe").take(2).collect();
    let args = Args::try_parse_from([&["reelpool"], &words[..]].concat());
    assert!(matches!(args.unwrap().command, Command::Probe(_)), "{words:?}");
}
