//! Start, use, kill, restart; and what a service account may do.

use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{ListParams, ObjectMeta, PostParams};
use reelpool_cluster::{ControlPlane, Settings, eventually};

/// What an account may do that may only read `ConfigMaps`, and only in its own namespace.
const READER: &str = r#"
apiVersion: v1
kind: ServiceAccount
metadata: {name: reader, namespace: default}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader, namespace: default}
rules:
- {apiGroups: [""], resources: [configmaps], verbs: [get, list]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reader, namespace: default}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects:
- {kind: ServiceAccount, name: reader, namespace: default}
"#;

fn config_map(name: &str) -> ConfigMap {
    ConfigMap {
        metadata: ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() },
        ..ConfigMap::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_is_there_after_the_api_server_was_killed() {
    let plane = ControlPlane::start(Settings::api_only());
    let client = plane.client().await;
    let version = client.apiserver_version().await.unwrap();
    assert!(version.git_version.starts_with("v1.36."), "{version:?}");

    let config_maps: Api<ConfigMap> = Api::default_namespaced(client);
    config_maps.create(&PostParams::default(), &config_map("kept")).await.unwrap();
    let server = plane.server();
    plane.kill_api_server();
    assert!(config_maps.get("kept").await.is_err(), "the API server answers after SIGKILL");

    plane.start_api_server();
    assert_eq!(plane.server(), server, "clients find it where it was");
    // The client is the one from before: its first request may meet a connection of the old server.
    eventually("the ConfigMap is there", Duration::from_secs(30), async || {
        config_maps.get("kept").await.is_ok()
    })
    .await;
    assert!(plane.kubectl(&["get", "configmap", "kept"]).ok().contains("kept"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_account_may_do_what_rbac_lets_it_and_no_more() {
    let plane = ControlPlane::start(Settings::default());
    plane.apply(READER);
    let client = plane.client_of(&plane.kubeconfig_for(("default", "reader"))).await;

    let own: Api<ConfigMap> = Api::default_namespaced(client.clone());
    assert!(own.list(&ListParams::default()).await.is_ok());
    assert_forbidden(own.create(&PostParams::default(), &config_map("mine")).await);
    let others: Api<ConfigMap> = Api::namespaced(client, "kube-system");
    assert_forbidden(others.list(&ListParams::default()).await);
}

fn assert_forbidden<T: std::fmt::Debug>(result: kube::Result<T>) {
    match result {
        Err(kube::Error::Api(status)) => assert_eq!(status.code, 403, "{status:?}"),
        other => panic!("it should be forbidden: {other:?}"),
    }
}

#[test]
fn control_planes_run_beside_one_another_and_helm_finds_its_own() {
    let planes: Vec<ControlPlane> = std::thread::scope(|scope| {
        let starts: Vec<_> =
            (0..2).map(|_| scope.spawn(|| ControlPlane::start(Settings::api_only()))).collect();
        starts.into_iter().map(|start| start.join().unwrap()).collect()
    });
    assert_ne!(planes[0].server(), planes[1].server());
    let _ = planes[0].kubectl(&["create", "namespace", "only-here"]).ok();
    let _ = planes[0].kubectl(&["get", "namespace", "only-here"]).ok();
    let error = planes[1].kubectl(&["get", "namespace", "only-here"]).refused();
    assert!(error.contains("NotFound"), "{error}");

    let chart = planes[0].folder().join("chart");
    std::fs::create_dir_all(chart.join("templates")).unwrap();
    std::fs::write(chart.join("Chart.yaml"), "{apiVersion: v2, name: mini, version: 0.1.0}").unwrap();
    let template = "{apiVersion: v1, kind: ConfigMap, metadata: {name: {{ .Release.Name }}-made}}";
    std::fs::write(chart.join("templates/made.yaml"), template).unwrap();
    let _ = planes[0].helm(&["install", "first", &chart.display().to_string()]).ok();
    let _ = planes[0].kubectl(&["get", "configmap", "first-made"]).ok();
}
