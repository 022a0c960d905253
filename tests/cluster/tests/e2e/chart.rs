//! The chart as its users meet it: installed, and asked by `helm test` whether it works.

use std::time::Duration;

use reelpool_cluster::{ControlPlane, Node, Ran, Settings, eventually, image};

const NAMESPACES: &str = include_str!("namespaces.yaml");
const VALUES: &str = include_str!("values.yaml");
/// Nobody listens there, and nobody needs to: there is no pool.
const NO_ENDPOINT: &str = "http://127.0.0.1:9";

#[tokio::test(flavor = "multi_thread")]
async fn helm_test_tells_whether_the_operator_can_be_reached() {
    let _alone = crate::ALONE.lock().await;
    let plane = ControlPlane::start(Settings::default());
    let node = Node::start(&plane, &[&image("reelpool-operator")]);
    let _ = install(&plane, NO_ENDPOINT);

    let good = helm_test(&plane);
    println!("{}", good.stdout);
    let log = plane.kubectl(&["events", "-A"]);
    assert!(good.status.success(), "{good}\n{log}\n{}", node.report());
    assert!(good.stdout.contains("Phase:          Succeeded"), "{good}");

    let _ =
        plane.kubectl(&["scale", "deployment/reelpool-operator", "-n=reelpool-system", "--replicas=0"]).ok();
    let addresses = ["get", "endpointslices", "-n=reelpool-system", "-o=jsonpath={.items[*].endpoints}"];
    let gone = async || ["", "null"].contains(&plane.kubectl(&addresses).ok().trim());
    eventually("the Service has no operator", Duration::from_secs(60), gone).await;
    let bad = helm_test(&plane);
    let said = plane.kubectl(&["logs", "reelpool-test", "-n=reelpool-system"]).ok();
    println!("{}\n{said}", bad.refused());
    assert!(said.contains("was not well within"), "there is no operator: {said}");
}

fn helm_test(plane: &ControlPlane) -> Ran {
    plane.helm(&["test", "reelpool", "--namespace=reelpool-system", "--timeout=2m"])
}

/// Installs the chart as the README says; returns the name of the operator's pod.
pub(crate) fn install(plane: &ControlPlane, endpoint: &str) -> String {
    plane.apply(NAMESPACES);
    let chart = reelpool_tests::repository().join("charts/reelpool").display().to_string();
    let values = plane.folder().join("values.yaml");
    std::fs::write(&values, VALUES.replace("$ENDPOINT", endpoint)).unwrap();
    let values = format!("--values={}", values.display());
    let namespace = "--namespace=reelpool-system";
    let installed =
        plane.helm(&["install", "reelpool", &chart, namespace, &values, "--wait", "--timeout=2m"]);
    if !installed.status.success() {
        let pods = plane.kubectl(&["describe", "pods", "-n=reelpool-system"]).ok();
        let log = plane.kubectl(&["logs", "-n=reelpool-system", "deployment/reelpool-operator"]);
        panic!("{installed}\n{pods}\n{log}");
    }
    let operator = ["get", "pods", "-n=reelpool-system", "-o=jsonpath={.items[*].metadata.name}"];
    plane.kubectl(&operator).ok()
}
