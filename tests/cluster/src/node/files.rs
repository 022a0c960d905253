//! What the programs of a node are configured with.

use std::path::Path;

use serde_json::json;

use crate::certificates::Issued;
use crate::control_plane::ControlPlane;
use crate::kubeconfig::{self, Server, User};
use crate::node::network::Network;
use crate::node::{image_name, requirements};

/// Where the folder of the node is inside the box.
const INSIDE: &str = "/run/node";
/// What makes the services of the API server and of the DNS.
const SERVICES: &str = include_str!("services.yaml");
/// The DNS's address as a service: where nearly every cluster has it.
const DNS: &str = "10.96.0.10";
/// Where the DNS says that it knows all services.
pub(crate) const DNS_READY_PORT: u16 = 8181;

/// Fills the folder of a node.
pub(crate) fn write(folder: &Path, plane: &ControlPlane, network: &Network) {
    std::fs::copy(plane.ca_file(), folder.join("ca.crt")).unwrap();
    let ca = Path::new(INSIDE).join("ca.crt");
    // Those that services depend on, or that are there before services, take the relay, whose address is not in the
    // API server's certificate; the DNS takes the service, as pods do: a fault there shows at once.
    let relay = format!("https://{}:{}", network.host, plane.port());
    let relay = Server { url: &relay, name: Some("kubernetes") };
    let service = Server { url: "https://10.96.0.1", name: None };
    let user = format!("system:node:{}", network.node);
    let issued = plane.issue(&user, "system:nodes", &[], &[network.node.into()]);
    let inside = kubeconfig(folder, "kubelet", &relay, &issued);
    std::fs::write(folder.join("kubelet.json"), kubelet(network, &inside, &ca).to_string()).unwrap();
    let _ = kubeconfig(folder, "kube-proxy", &relay, &plane.issue("system:kube-proxy", "", &[], &[]));
    std::fs::write(folder.join("kube-proxy.json"), kube_proxy(network).to_string()).unwrap();
    let _ = kubeconfig(folder, "coredns", &service, &plane.issue("coredns", "", &[], &[]));
    std::fs::write(folder.join("Corefile"), corefile(network)).unwrap();
    std::fs::write(folder.join("containerd.toml"), containerd()).unwrap();
    std::fs::create_dir(folder.join("cni")).unwrap();
    std::fs::write(folder.join("cni/pods.conflist"), plugins(network).to_string()).unwrap();
}

/// Makes the services of the API server and of the DNS. They lead to the latest node of a control plane.
pub(crate) fn make_services(plane: &ControlPlane, network: &Network) {
    let services = SERVICES
        .replace("$HOST", &network.host.to_string())
        .replace("$NODE", &network.node.to_string())
        .replace("$DNS", DNS)
        .replace("$API_PORT", &plane.port().to_string());
    plane.apply(&services);
}

/// Writes the kubeconfig of a program in the box; returns its certificate as the box has it.
fn kubeconfig(folder: &Path, program: &str, server: &Server, issued: &Issued) -> Issued {
    let inside = |file: &str| Path::new(INSIDE).join(file);
    let [cert, key] = [(&issued.cert, "crt"), (&issued.key, "key")].map(|(from, kind)| {
        let file = format!("{program}.{kind}");
        std::fs::copy(from, folder.join(&file)).unwrap();
        inside(&file)
    });
    let user = Issued { cert, key };
    let file = folder.join(format!("{program}.kubeconfig"));
    kubeconfig::write(&file, server, &inside("ca.crt"), &User::Certificate(&user));
    user
}

fn kubelet(network: &Network, issued: &Issued, ca: &Path) -> serde_json::Value {
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
        "clusterDNS": [DNS],
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

fn kube_proxy(network: &Network) -> serde_json::Value {
    json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": format!("{INSIDE}/kube-proxy.kubeconfig")},
        "hostnameOverride": network.node,
        "mode": "nftables",
        "clusterCIDR": network.pods,
        // How many connections are tracked is the whole machine's setting.
        "conntrack": {"maxPerCore": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
    })
}

/// Names of anything but services are refused at once.
fn corefile(network: &Network) -> String {
    let node = network.node;
    format!(
        r"
cluster.local {{
    bind {node}
    ready {node}:{DNS_READY_PORT}
    errors
    kubernetes {{
        kubeconfig {INSIDE}/coredns.kubeconfig
    }}
}}
"
    )
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
