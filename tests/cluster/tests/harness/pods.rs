//! kwok's pods: Ready without running anything, and reachable under their own addresses.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{DeleteParams, ListParams};
use reelpool_cluster::{ControlPlane, Kwok, KwokSettings, Settings, eventually};

const PODS: usize = 50;
const DEPLOYMENT: &str = r"
apiVersion: apps/v1
kind: Deployment
metadata: {name: workers, namespace: default}
spec:
  replicas: 50
  selector: {matchLabels: {app: workers}}
  template:
    metadata: {labels: {app: workers}}
    spec: {containers: [{name: worker, image: nothing}]}
";

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    pod.metadata.deletion_timestamp.is_none()
        && conditions.is_some_and(|all| all.iter().any(|one| one.type_ == "Ready" && one.status == "True"))
}

async fn ready(pods: &Api<Pod>) -> Vec<Pod> {
    let mut all = pods.list(&ListParams::default()).await.unwrap().items;
    all.retain(is_ready);
    all
}

/// A server that says the address under which it was reached.
fn serve() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut connection in listener.incoming().flatten() {
            let reached = connection.local_addr().unwrap().ip();
            let _ = write!(connection, "{reached}");
        }
    });
    port
}

fn ask(pod: IpAddr, port: u16) -> String {
    let address = SocketAddr::new(pod, port);
    let mut answer = String::new();
    let mut connection = TcpStream::connect_timeout(&address, Duration::from_secs(10)).unwrap();
    connection.read_to_string(&mut answer).unwrap();
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_pods_become_ready_answer_under_their_addresses_and_go() {
    let plane = ControlPlane::start(Settings::default());
    let _kwok = Kwok::start(&plane, &KwokSettings::default());
    plane.apply(DEPLOYMENT);
    let pods: Api<Pod> = Api::default_namespaced(plane.client().await);
    let took =
        eventually("50 pods are Ready", Duration::from_secs(120), async || ready(&pods).await.len() == PODS)
            .await;
    println!("{PODS} pods Ready after {took:?}");

    let port = serve();
    let mut addresses: Vec<IpAddr> = Vec::new();
    for pod in ready(&pods).await {
        let address: IpAddr = pod.status.unwrap().pod_ip.unwrap().parse().unwrap();
        assert_eq!(ask(address, port), address.to_string());
        addresses.push(address);
    }
    addresses.sort_unstable();
    addresses.dedup();
    assert_eq!(addresses.len(), PODS, "each pod has an address of its own");

    // A pod that is deleted is replaced; and a Deployment at zero has no pod.
    let victim = ready(&pods).await.remove(0).metadata.name.unwrap();
    pods.delete(&victim, &DeleteParams::default()).await.unwrap();
    eventually("it is gone and replaced", Duration::from_secs(60), async || {
        pods.get_opt(&victim).await.unwrap().is_none() && ready(&pods).await.len() == PODS
    })
    .await;
    let _ = plane.kubectl(&["scale", "deployment/workers", "--replicas=0"]).ok();
    let took = eventually("no pod is left", Duration::from_secs(120), async || {
        pods.list(&ListParams::default()).await.unwrap().items.is_empty()
    })
    .await;
    println!("{PODS} pods gone after {took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_take_their_time_when_asked_to() {
    let plane = ControlPlane::start(Settings::default());
    let slow = KwokSettings {
        nodes: 1,
        starting: Duration::from_secs(3),
        stopping: Duration::from_secs(3),
        ..KwokSettings::default()
    };
    let _kwok = Kwok::start(&plane, &slow);
    plane.apply(&DEPLOYMENT.replace("replicas: 50", "replicas: 1"));
    let pods: Api<Pod> = Api::default_namespaced(plane.client().await);
    let bound = async || {
        let all = pods.list(&ListParams::default()).await.unwrap().items;
        all.iter().any(|pod| pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_some()))
    };
    eventually("the pod is bound to the node", Duration::from_secs(60), bound).await;
    let took =
        eventually("the pod is Ready", Duration::from_secs(60), async || ready(&pods).await.len() == 1).await;
    assert!(took > Duration::from_secs(2), "it was Ready after {took:?}");

    let _ = plane.kubectl(&["scale", "deployment/workers", "--replicas=0"]).ok();
    let leaving = async || pods.list(&ListParams::default()).await.unwrap().items;
    eventually("the pod is told to go", Duration::from_secs(60), async || ready(&pods).await.is_empty())
        .await;
    assert_eq!(leaving().await.len(), 1, "it was told to go and is still there");
    let took =
        eventually("the pod is gone", Duration::from_secs(60), async || leaving().await.is_empty()).await;
    assert!(took > Duration::from_secs(1), "it was gone after {took:?}");
}
