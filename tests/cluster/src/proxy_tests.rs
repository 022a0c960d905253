use std::time::Instant;

use tokio::net::TcpListener;

use super::*;

const GOOD: &str = r#"{"Attributes":{}}"#;

/// A service that answers each request with the same, and says how long its body was.
async fn service() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            tokio::spawn(async move {
                let request = Request::read(&mut client).await.unwrap().unwrap();
                assert_eq!(header(&request.head, "Connection"), Some("close"));
                let (length, body) = (GOOD.len(), request.body.len());
                let answer =
                    format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nGot: {body}\r\n\r\n{GOOD}");
                client.write_all(answer.as_bytes()).await.unwrap();
            });
        }
    });
    format!("http://{address}")
}

async fn ask(proxy: &FaultProxy, queue: &str) -> std::io::Result<String> {
    let mut client = TcpStream::connect(proxy.endpoint().strip_prefix("http://").unwrap()).await?;
    let body = format!(r#"{{"QueueUrl":"http://sqs/000000000000/{queue}"}}"#);
    let length = body.len();
    let head = format!("POST / HTTP/1.1\r\nHost: sqs\r\nConnection: keep-alive\r\nContent-Length: {length}");
    client.write_all(format!("{head}\r\n\r\n{body}").as_bytes()).await?;
    let mut answer = String::new();
    client.read_to_string(&mut answer).await?;
    Ok(answer)
}

#[tokio::test]
async fn each_queue_has_its_own_fault_and_the_others_are_passed_on() {
    let proxy = FaultProxy::start(&service().await);
    let answer = ask(&proxy, "well").await.unwrap();
    assert!(answer.ends_with(GOOD) && answer.contains("Got: 43"), "{answer}");
    for (fault, said) in [
        (Fault::Fails, "HTTP/1.1 500"),
        (Fault::Throttles, "#RequestThrottled"),
        (Fault::NoSuchQueue, "#QueueDoesNotExist"),
        (Fault::Denies, "HTTP/1.1 403"),
        (Fault::Nonsense, "many"),
    ] {
        proxy.spoil("sick", fault);
        let answer = ask(&proxy, "sick").await.unwrap();
        assert!(answer.contains(said), "{fault:?}: {answer}");
        assert!(ask(&proxy, "well").await.unwrap().ends_with(GOOD));
    }
    assert_eq!((proxy.requests("sick"), proxy.requests("well"), proxy.requests("other")), (5, 6, 0));
    proxy.spoil("sick", Fault::Cuts);
    assert_eq!(ask(&proxy, "sick").await.unwrap_or_default(), "");
    proxy.spoil_all(Fault::Fails);
    assert!(ask(&proxy, "well").await.unwrap().contains("500"));
    proxy.heal();
    assert!(ask(&proxy, "sick").await.unwrap().ends_with(GOOD));
}

#[tokio::test]
async fn a_hanging_answer_comes_late_and_holds_up_nobody_else() {
    let proxy = FaultProxy::start(&service().await);
    proxy.spoil("sick", Fault::Hangs(Duration::from_millis(300)));
    let start = Instant::now();
    let (sick, well) = tokio::join!(async { (ask(&proxy, "sick").await.unwrap(), start.elapsed()) }, async {
        (ask(&proxy, "well").await.unwrap(), start.elapsed())
    },);
    assert!(sick.0.ends_with(GOOD) && sick.1 >= Duration::from_millis(300));
    assert!(well.0.ends_with(GOOD) && well.1 < sick.1);
}

#[tokio::test]
async fn a_service_that_is_gone_refuses_and_comes_back_where_it_was() {
    let proxy = FaultProxy::start(&service().await);
    proxy.spoil("sick", Fault::Hangs(Duration::from_secs(600)));
    let mut hangs = std::pin::pin!(ask(&proxy, "sick"));
    assert!(tokio::time::timeout(Duration::from_millis(100), &mut hangs).await.is_err());
    proxy.refuse();
    assert_eq!(hangs.await.unwrap_or_default(), "", "its connection is closed");
    assert!(ask(&proxy, "well").await.is_err());
    proxy.accept();
    // Of two who listen on the port each would get half.
    for _ in 0..50 {
        assert!(ask(&proxy, "well").await.unwrap().ends_with(GOOD));
    }
}
