use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::extract::State;
use axum::response::IntoResponse;
use axum::routing::{get, patch};
use futures::{TryStreamExt, stream};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use super::*;
use crate::eventually;

const SCALE: &str = "/apis/apps/v1/namespaces/videos/deployments/cats/scale";
const WATCH: &str = "/api/v1/pods?watch=true";
const SOON: Duration = Duration::from_secs(10);

/// An API server that counts its writes, and tells watchers of something twice: at once, and when it is told to.
struct Upstream {
    writes: AtomicUsize,
    more: Notify,
}

async fn watched(State(upstream): State<Arc<Upstream>>) -> impl IntoResponse {
    let events = stream::unfold(0, move |told| {
        let upstream = Arc::clone(&upstream);
        async move {
            if told > 0 {
                upstream.more.notified().await;
            }
            Some((Ok::<_, std::io::Error>(format!("event {told}\n")), told + 1))
        }
    });
    axum::body::Body::from_stream(events)
}

struct World {
    upstream: Arc<Upstream>,
    proxy: ApiProxy,
    client: Client,
    _folder: tempfile::TempDir,
}

impl World {
    async fn new() -> Self {
        let upstream = Arc::new(Upstream { writes: AtomicUsize::new(0), more: Notify::new() });
        let write = |State(upstream): State<Arc<Upstream>>, body: String| async move {
            upstream.writes.fetch_add(1, Ordering::SeqCst);
            body
        };
        let router = Router::new()
            .route(SCALE, patch(write))
            .route("/api/v1/pods", get(watched))
            .with_state(Arc::clone(&upstream));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let folder = tempfile::tempdir().unwrap();
        let (user, ca) = (folder.path().join("user"), folder.path().join("ca"));
        std::fs::write(&ca, "").unwrap();
        kubeconfig::write(&user, &Server { url: &url, name: None }, &ca, &User::Nobody);
        let proxy = ApiProxy::before(&user, folder.path(), &ca);
        let client = client_of(proxy.kubeconfig()).await;
        Self { upstream, proxy, client, _folder: folder }
    }

    async fn write(&self) -> kube::Result<String> {
        self.client.request_text(Request::patch(SCALE).body(b"two".to_vec()).unwrap()).await
    }

    fn writes(&self) -> usize {
        self.upstream.writes.load(Ordering::SeqCst)
    }

    fn next(&self, deed: Deed) {
        let mut deed = Some(deed);
        self.proxy.act(move |call| {
            assert!(call.is("patch", "deployments/scale") && call.is_write(), "{call:?}");
            deed.take().unwrap_or_default()
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_deed_is_done_to_the_request_that_it_was_meant_for() {
    let world = World::new().await;
    world.next(Deed::Pass);
    assert_eq!((world.write().await.unwrap().as_str(), world.writes()), ("two", 1));

    world.next(Deed::Fail(429));
    match world.write().await {
        Err(kube::Error::Api(status)) => {
            assert_eq!((status.code, status.reason.as_str()), (429, "TooManyRequests"));
        }
        other => panic!("{other:?}"),
    }
    world.next(Deed::Cut);
    assert!(world.write().await.is_err());
    assert_eq!(world.writes(), 1, "it never heard of these");

    world.next(Deed::Lose);
    assert!(world.write().await.is_err());
    assert_eq!(world.writes(), 2, "it was done all the same");
    let told = Arc::new(AtomicUsize::new(0));
    world.next(Deed::Then(Box::new({
        let told = Arc::clone(&told);
        move |code| told.store(code.into(), Ordering::SeqCst)
    })));
    assert!(world.write().await.is_err());
    assert_eq!((world.writes(), told.load(Ordering::SeqCst)), (3, 200));

    let start = Instant::now();
    world.next(Deed::Slow(Duration::from_millis(300)));
    assert_eq!(world.write().await.unwrap(), "two");
    assert!(start.elapsed() >= Duration::from_millis(300));
    assert_eq!(world.write().await.unwrap(), "two", "it was done once");
    assert_eq!(world.writes(), 5);

    world.proxy.refuse();
    assert!(world.write().await.is_err());
    world.proxy.accept();
    world.proxy.heal();
    assert_eq!(world.write().await.unwrap(), "two");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_write_arrives_though_whoever_sent_it_is_gone() {
    let world = World::new().await;
    world.next(Deed::Late(Duration::from_millis(500)));
    assert!(timeout(Duration::from_millis(100), world.write()).await.is_err());
    assert_eq!(world.writes(), 0);
    eventually("it arrives", SOON, async || world.writes() == 1).await;

    world.next(Deed::Stray(Duration::from_millis(500)));
    assert!(world.write().await.is_err());
    assert_eq!(world.writes(), 1);
    eventually("it arrives", SOON, async || world.writes() == 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn watches_are_held_and_broken_off() {
    let world = World::new().await;
    let open = async || {
        let request = Request::get(WATCH).body(kube::client::Body::empty()).unwrap();
        Box::pin(world.client.send(request).await.unwrap().into_body().into_data_stream())
    };
    let mut watch = open().await;
    assert_eq!(watch.try_next().await.unwrap().unwrap(), "event 0\n");
    world.proxy.hold_watches("pods");
    world.upstream.more.notify_one();
    assert!(timeout(Duration::from_millis(200), watch.try_next()).await.is_err(), "it is held");
    world.proxy.heal();
    assert_eq!(watch.try_next().await.unwrap().unwrap(), "event 1\n");
    world.proxy.break_watches();
    assert!(timeout(SOON, watch.try_next()).await.unwrap().is_err());

    world.proxy.act(|call| {
        assert!(call.is("watch", "pods"), "{call:?}");
        Deed::Break(Duration::from_millis(100))
    });
    let mut watch = open().await;
    assert_eq!(watch.try_next().await.unwrap().unwrap(), "event 0\n");
    assert!(timeout(SOON, watch.try_next()).await.unwrap().is_err());
}
