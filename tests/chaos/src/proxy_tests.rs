use std::net::IpAddr;
use std::time::Duration;

use reelpool_tests::Emulator;

use super::*;

const VISIBILITY: Duration = Duration::from_secs(20);

fn sqs(endpoint: &str) -> aws_sdk_sqs::Client {
    Emulator::sqs_at(endpoint)
}

async fn receive(client: &aws_sdk_sqs::Client, queue: &str) -> Option<String> {
    let answer = client.receive_message().queue_url(queue).visibility_timeout(20).send().await.unwrap();
    answer.messages().first().and_then(|message| message.receipt_handle().map(str::to_owned))
}

#[tokio::test(flavor = "multi_thread")]
async fn it_knows_who_has_what_and_gives_one_message_to_many() {
    let emulator = tokio::task::spawn_blocking(Emulator::start).await.unwrap();
    let queue = emulator.create_queue("jobs", &[]).await;
    let proxy = Proxy::start(emulator.port(), 1, VISIBILITY, Tally::default());
    let who: Vec<IpAddr> = (1..=5).map(|number| Ipv4Addr::new(127, 9, 0, number).into()).collect();
    let clients: Vec<_> = who.iter().map(|who| sqs(&proxy.endpoint_of(*who))).collect();
    emulator.sqs.send_message().queue_url(&queue).message_body("job").send().await.unwrap();
    proxy.copy_next(4);
    let mut receipts = Vec::new();
    for client in &clients {
        receipts.push(receive(client, &queue).await.unwrap());
    }
    assert!(receipts.iter().all(|receipt| *receipt == receipts[0]), "{receipts:?}");
    assert_eq!(receive(&clients[0], &queue).await, None, "there is one only");
    let held = proxy.held();
    let hands: Vec<IpAddr> = held.iter().map(|held| held.who).collect();
    assert_eq!(hands, who);
    let has_it = |index: usize| proxy.held()[index].to.is_none();
    assert_eq!([0, 1, 2, 3, 4].map(has_it), [false, true, true, true, true], "the first asked anew");
    clients[1].delete_message().queue_url(&queue).receipt_handle(&receipts[1]).send().await.unwrap();
    proxy.died(who[2]);
    assert_eq!([1, 2, 3, 4].map(has_it), [false, false, true, true]);
    assert_eq!(emulator.messages(&queue).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_weather_decides_what_goes_wrong_and_every_deed_is_seen() {
    let emulator = tokio::task::spawn_blocking(Emulator::start).await.unwrap();
    let queue = emulator.create_queue("jobs", &[]).await;
    emulator.create_bucket("bucket").await;
    let put = emulator.s3.put_object().bucket("bucket").key("k").body(vec![7; 4096].into());
    put.send().await.unwrap();
    let tally = Tally::default();
    let proxy = Proxy::start(emulator.port(), 3, VISIBILITY, tally.clone());
    let (sqs, s3) = (sqs(&proxy.endpoint()), Emulator::s3_at(&proxy.endpoint()));
    for _ in 0..20 {
        s3.get_object().bucket("bucket").key("k").send().await.unwrap().body.collect().await.unwrap();
    }
    assert_eq!(tally.total(), 0, "{tally}");
    proxy.weather(Weather::Squall);
    let ask = async |number: u32| match number % 3 {
        0 => sqs.get_queue_attributes().queue_url(&queue).attribute_names("All".into()).send().await.is_ok(),
        1 => receive_quietly(&sqs, &queue).await,
        _ => match s3.get_object().bucket("bucket").key("k").send().await {
            Ok(answer) => answer.body.collect().await.is_ok_and(|body| body.into_bytes()[..] == [7; 4096]),
            Err(_) => false,
        },
    };
    // The SDK tries three times and more; with half of all gone wrong some questions stay without a good answer.
    let asked = futures::future::join_all((0..120).map(ask)).await;
    assert!(asked.iter().any(|well| *well) && asked.iter().any(|well| !*well), "{tally}");
    let counts = tally.counts();
    let expected = [
        "answer 500",
        "throttled",
        "request lost",
        "answer lost",
        "request late",
        "answer late",
        "body cut",
        "body spoiled",
        "count of zero",
    ];
    for deed in expected {
        assert!(counts.contains_key(deed), "{deed} of {tally}");
    }
    proxy.weather(Weather::Calm);
    proxy.cut_off();
    assert!(sqs.list_queues().send().await.is_err(), "refused");
    proxy.reconnect();
    sqs.list_queues().send().await.unwrap();
}

async fn receive_quietly(client: &aws_sdk_sqs::Client, queue: &str) -> bool {
    client.receive_message().queue_url(queue).send().await.is_ok()
}
