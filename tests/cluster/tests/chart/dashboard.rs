//! The dashboard is one that Grafana can read, over metrics that there are.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::helm::{chart, documents, object, template};

fn file() -> String {
    std::fs::read_to_string(format!("{}/files/dashboards/reelpool.json", chart())).unwrap()
}

#[test]
fn the_config_map_holds_the_dashboard_for_the_sidecar() {
    let rendered = documents(&template(&["--set", "dashboard.enabled=true"]));
    let map = object(&rendered, "ConfigMap", "reelpool-dashboard");
    assert_eq!(map["metadata"]["labels"]["grafana_dashboard"], "1");
    let held: Value = serde_json::from_str(map["data"]["reelpool.json"].as_str().unwrap()).unwrap();
    assert_eq!(held, serde_json::from_str::<Value>(&file()).unwrap());
}

#[test]
fn panels_have_a_place_of_their_own_and_ask_something() {
    let dashboard: Value = serde_json::from_str(&file()).unwrap();
    let mut ids = BTreeSet::new();
    let mut taken = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "two panels have the id {}", panel["id"]);
        let place = |side: &str| panel["gridPos"][side].as_u64().unwrap();
        for x in place("x")..place("x") + place("w") {
            assert!(x < 24, "{} is wider than the page", panel["title"]);
            for y in place("y")..place("y") + place("h") {
                assert!(taken.insert((x, y)), "{} lies over another panel", panel["title"]);
            }
        }
        let asks = panel["targets"].as_array().is_some_and(|targets| !targets.is_empty());
        assert!(asks != (panel["type"] == "row"), "{}", panel["title"]);
    }
}
