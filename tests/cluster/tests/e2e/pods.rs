//! The node itself: its pods reach the API server as any pod does, by address and by name, and the API server reaches
//! its kubelet.

use std::time::Duration;

use reelpool_cluster::{ControlPlane, Node, Settings, eventually, image, image_name};

/// Opens a TLS connection to the API server with what Kubernetes gives every pod, and fails unless the certificate is
/// right for the address.
const ASK: &str = r"
apiVersion: v1
kind: Pod
metadata: {name: ask}
spec:
  restartPolicy: Never
  containers:
    - name: ask
      image: IMAGE
      command:
        - openssl
        - s_client
        - -verify_return_error
        - -CAfile=/var/run/secrets/kubernetes.io/serviceaccount/ca.crt
        - -verify_ip=$(KUBERNETES_SERVICE_HOST)
        - -connect=$(KUBERNETES_SERVICE_HOST):$(KUBERNETES_SERVICE_PORT)
";

/// Asks by name, and fails unless the certificate is right for it; and unless there is no answer for other names.
const ASK_BY_NAME: &str = r"
apiVersion: v1
kind: Pod
metadata: {name: ask-by-name}
spec:
  restartPolicy: Never
  containers:
    - name: ask
      image: IMAGE
      command:
        - sh
        - -ec
        - |
          if getent hosts nobody.default || getent hosts example.com; then exit 1; fi
          exec openssl s_client -verify_return_error -CAfile /var/run/secrets/kubernetes.io/serviceaccount/ca.crt \
            -verify_hostname kubernetes.default.svc -connect kubernetes.default.svc:443 </dev/null
";

/// Stays until it is killed: the shell passes no signal on, and its grace is short.
const STAY: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: stay}
spec:
  hostNetwork: true
  terminationGracePeriodSeconds: 1
  containers: [{name: stay, image: IMAGE, command: [sh, -c, "trap '' TERM; while :; do sleep 1; done"]}]
"#;

#[tokio::test(flavor = "multi_thread")]
async fn pods_reach_the_api_server_and_are_reached() {
    let _alone = crate::ALONE.lock().await;
    let plane = ControlPlane::start(Settings::default());
    let _node = Node::start(&plane, &[&image("reelpool-worker")]);
    for pod in [ASK, ASK_BY_NAME, STAY] {
        plane.apply(&pod.replace("IMAGE", &image_name("reelpool-worker")));
    }
    let phase = |pod: &str| plane.kubectl(&["get", "pod", pod, "-o=jsonpath={.status.phase}"]).ok();
    for pod in ["ask", "ask-by-name"] {
        let asked = async || ["Succeeded", "Failed"].contains(&phase(pod).as_str());
        eventually("the pod has asked the API server", Duration::from_secs(60), asked).await;
        let log = plane.kubectl(&["logs", pod]).ok();
        assert!(phase(pod) == "Succeeded" && log.contains("Verification: OK"), "{pod}: {log}");
    }

    let running = async || phase("stay") == "Running";
    eventually("the other one runs", Duration::from_secs(60), running).await;
    let id = plane.kubectl(&["exec", "stay", "--", "id", "-u"]).ok();
    assert_eq!(id.trim(), "65532", "the image says who runs");
    let _ = plane.kubectl(&["delete", "pod", "stay", "--timeout=60s"]).ok();
}
