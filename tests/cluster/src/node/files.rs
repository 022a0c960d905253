//! What containerd, the network plugins and the kubelet are configured with.

use std::path::Path;

use serde_json::json;

use crate::control_plane::ControlPlane;
use crate::kubeconfig::{self, User};
use crate::node::network::Network;
use crate::node::{image_name, requirements};

/// Where the folder of the node is inside the box.
const INSIDE: &str = "/run/node";

/// Fills the folder of a node.
pub(crate) fn write(folder: &Path, plane: &ControlPlane, network: &Network) {
    let name = network.node.to_string();
    let issued = plane.issue(&format!("system:node:{name}"), "system:nodes", &[], &[network.node.into()]);
    for (from, to) in [(plane.ca_file(), "ca.crt"), (&issued.cert, "node.crt"), (&issued.key, "node.key")] {
        std::fs::copy(from, folder.join(to)).unwrap();
    }
    let [ca, cert, key] = ["ca.crt", "node.crt", "node.key"].map(|file| Path::new(INSIDE).join(file));
    let inside = crate::Issued { cert, key };
    // Through the service's address, as pods do: a fault there shows at once.
    kubeconfig::write(&folder.join("kubeconfig"), "https://10.96.0.1", &ca, &User::Certificate(&inside));
    std::fs::write(folder.join("kubelet.json"), kubelet(network, &inside, &ca).to_string()).unwrap();
    std::fs::write(folder.join("containerd.toml"), containerd()).unwrap();
    std::fs::create_dir(folder.join("cni")).unwrap();
    std::fs::write(folder.join("cni/pods.conflist"), plugins(network).to_string()).unwrap();
}

fn kubelet(network: &Network, issued: &crate::Issued, ca: &Path) -> serde_json::Value {
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": network.node,
        "authentication": {
            "anonymous": {"enabled": false},
            "webhook": {"enabled": true},
            "x509": {"clientCAFile": ca},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": issued.cert,
        "tlsPrivateKeyFile": issued.key,
        "containerRuntimeEndpoint": format!("unix://{INSIDE}/containerd.sock"),
        "volumePluginDir": "/var/lib/kubelet/plugins",
        "cgroupDriver": "cgroupfs",
        "failCgroupV1": false,
        "failSwapOn": false,
        // There is no DNS: a pod that asks is refused at once, by nobody on its own loopback.
        "clusterDNS": ["127.0.0.1"],
        "clusterDomain": "cluster.local",
        "resolvConf": "",
        "makeIPTablesUtilChains": false,
        "healthzPort": 0,
        // A disk that is full of other things is no reason to evict the pods of a test, nor to remove the images,
        // which nobody could pull again.
        "evictionHard": {"memory.available": "64Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "imageGCHighThresholdPercent": 100,
    })
}

fn containerd() -> String {
    let plugins = requirements::plugins().expect("missing() has looked").display();
    let pause = image_name("reelpool-pause");
    // Processes may not be protected from the kernel's memory killer without a right that root need not have, and
    // AppArmor's profiles would stay in the kernel.
    format!(
        r#"
version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs"]
[grpc]
address = "{INSIDE}/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
disable_apparmor = true
restrict_oom_score_adj = true
sandbox_image = "docker.io/library/{pause}"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{plugins}"
conf_dir = "{INSIDE}/cni"
"#
    )
}

fn plugins(network: &Network) -> serde_json::Value {
    json!({
        "cniVersion": "1.0.0",
        "name": "pods",
        "plugins": [{
            "type": "bridge",
            "bridge": "cni0",
            "isGateway": true,
            "ipam": {
                "type": "host-local",
                "ranges": [[{"subnet": network.pods}]],
                "routes": [{"dst": "0.0.0.0/0"}],
            },
        }],
    })
}
