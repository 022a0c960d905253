//! The Deployments that are built from pools: known fields only, and no pod that Pod Security `restricted` refuses.

use crate::server::plane;

#[test]
fn the_api_server_takes_what_is_built() {
    let namespace = r#"{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "video", "labels": {
        "pod-security.kubernetes.io/enforce": "restricted", "pod-security.kubernetes.io/warn": "restricted"}}}"#;
    plane().apply(namespace);
    let golden = reelpool_tests::repository().join("controller/src/operator/golden");
    for name in ["minimal", "full"] {
        let built = std::fs::read_to_string(golden.join(format!("{name}.yaml"))).unwrap();
        let args =
            ["apply", "--server-side", "--dry-run=server", "--validate=strict", "-o", "json", "-f", "-"];
        let ran = plane().kubectl_with(&args, &built);
        // The full one has a container of the user's own, who says nothing of security.
        let (own, users) =
            ran.stderr.split_once("container \"logs\"").map_or((ran.stderr.as_str(), ""), |_| ("", "logs"));
        assert!(own.is_empty(), "{name}: {ran}");
        assert_eq!(users.is_empty(), name == "minimal", "{ran}");
        assert!(!ran.stderr.contains("container \"worker\""), "{ran}");
        let taken: serde_json::Value = serde_json::from_str(&ran.ok()).unwrap();
        // Nobody asked for one: it is the API server's default until the operator writes its own.
        assert_eq!(taken["spec"]["replicas"], 1);
    }
}
