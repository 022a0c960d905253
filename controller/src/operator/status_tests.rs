use reelpool_core::{Memory, Policy, PolicySpec, QueueDepth, decide};

use super::*;

fn second(second: i64) -> jiff::Timestamp {
    jiff::Timestamp::from_second(second).unwrap()
}

fn seen(backlog: u64, current: u32) -> (Decision, Observation) {
    let now = Timestamp::from_millis(1_000_000);
    let observation = Observation {
        queue: Sample::Known { value: QueueDepth { backlog, ..QueueDepth::default() }, observed_at: now },
        workers: Sample::Known { value: Vec::new(), observed_at: now },
        current,
        service_time: None,
        start_up_time: None,
    };
    let policy = Policy::try_from(PolicySpec { max_workers: 10, ..PolicySpec::default() }).unwrap();
    (decide(&policy, &Memory::default(), &observation, now), observation)
}

fn fine() -> Findings {
    Findings {
        pool: Finding::yes(Why::AllGood, "fine"),
        queue: queue(Ok(())),
        workers: Finding::yes(Why::PodsStart, "fine"),
        limited: Finding::no(Why::WithinLimits, "none"),
        contested: contested(None),
    }
}

fn after(old: &WorkerPoolStatus, findings: &Findings, backlog: u64, wall: i64) -> WorkerPoolStatus {
    let (decision, observation) = seen(backlog, 0);
    next(
        old,
        Facts {
            generation: Some(1),
            findings,
            decided: Some((&decision, &observation)),
            deployment: None,
            wall: second(wall),
        },
    )
}

fn find<'a>(status: &'a WorkerPoolStatus, kind: &str) -> &'a Condition {
    status.conditions.iter().find(|condition| condition.type_ == kind).unwrap()
}

#[test]
fn the_same_world_gives_the_same_status() {
    let first = after(&WorkerPoolStatus::default(), &fine(), 3, 100);
    assert_eq!(first.desired_workers, Some(3));
    let last = first.last_decision.as_ref().unwrap();
    assert_eq!((last.reason.as_str(), last.backlog), ("Backlog", Some(3)));
    assert_eq!(last.message, "3 = ceil((3 waiting + 0 in flight) / 1)");
    assert_eq!(find(&first, "Ready").status, "True");
    assert_eq!(after(&first, &fine(), 3, 200), first, "nothing in it tells the time");
}

#[test]
fn times_change_only_when_what_they_tell_of_changes() {
    let first = after(&WorkerPoolStatus::default(), &fine(), 3, 100);
    let broken = Findings { queue: Finding::no(Why::QueueUnreachable, "request 17"), ..fine() };
    let second_ = after(&first, &broken, 3, 200);
    let ready = find(&second_, "Ready");
    assert_eq!((ready.status.as_str(), ready.reason.as_str()), ("False", "QueueUnreachable"));
    assert_eq!(ready.last_transition_time, Time(second(200)));
    assert_eq!(find(&second_, "WorkersAvailable").last_transition_time, Time(second(100)));
    // The next failure has another request id: that is no news.
    let again = Findings { queue: Finding::no(Why::QueueUnreachable, "request 18"), ..fine() };
    assert_eq!(after(&second_, &again, 3, 300), second_);
}

#[test]
fn what_a_queue_says_is_news_when_it_says_something_else() {
    let unreachable = |words: &str| Findings { queue: Finding::no(Why::QueueUnreachable, words), ..fine() };
    let told = |words: &str, next: &str| {
        let first = after(&WorkerPoolStatus::default(), &unreachable(words), 3, 100);
        after(&first, &unreachable(next), 3, 200) != first
    };
    let id = |id: &str| format!("the queue https://q/1 does not answer (InternalFailure, request id {id})");
    assert!(!told(&id("9d0b2ecf-7c5b-5f5c-aaaa-abcdefabcdef"), &id("1ccb2ecf-0000-5f5c-bbbb-abcdefabcdef")));
    assert!(!told("no answer within 6s", "no answer within 7s"));
    assert!(told("dns error", "connection refused"));
}

#[test]
fn words_are_brought_up_to_date_once_a_minute() {
    let trouble = |pod: &str| Findings {
        workers: Finding::no(Why::PodsDoNotStart, format!("pod cats-{pod}: ImagePullBackOff")),
        ..fine()
    };
    let old = after(&WorkerPoolStatus::default(), &trouble("a1"), 3, 100);
    let new = after(&old, &trouble("b2"), 3, 200);
    for kind in ["WorkersAvailable", "Ready"] {
        let condition = find(&new, kind);
        assert_eq!(condition.message, "pod cats-b2: ImagePullBackOff");
        assert_eq!(condition.last_transition_time, Time(second(100)), "it is as it was, of another pod");
    }
    assert!(!is_news(&old, &new, Some(Millis::from_secs(59))));
    assert!(is_news(&old, &new, Some(MESSAGES_EVERY)));
    assert!(is_news(&old, &new, None));
    let counts = WorkersStatus { busy: 3, ..WorkersStatus::default() };
    let moved = WorkerPoolStatus { workers: Some(counts), ..new.clone() };
    assert!(!is_news(&new, &moved, Some(Millis::from_secs(14))));
    assert!(is_news(&old, &moved, Some(COUNTS_EVERY)));
    // Another who writes the replicas, later.
    let other = |by: &str, found| {
        let write = OtherWrite { by: by.to_owned(), ours: 2, found, hold_until: Timestamp::from_millis(0) };
        Findings { contested: contested(Some(&write)), ..fine() }
    };
    let first = after(&WorkerPoolStatus::default(), &other("kubectl", 3), 3, 100);
    let then = after(&first, &other("kube-controller-manager", 7), 3, 200);
    let message = &find(&then, "ReplicasContested").message;
    assert!(message.starts_with("kube-controller-manager set the replicas to 7"), "{message}");
}

#[test]
fn a_new_target_is_a_new_decision() {
    let first = after(&WorkerPoolStatus::default(), &fine(), 3, 100);
    let more = after(&first, &fine(), 4, 200);
    assert_eq!(more.last_decision.unwrap().time, Time(second(200)));
}

#[test]
fn counts_alone_are_written_now_and_then_only() {
    let old = after(&WorkerPoolStatus::default(), &fine(), 3, 100);
    let counts = WorkersStatus { busy: 3, ..WorkersStatus::default() };
    let moved = WorkerPoolStatus { workers: Some(counts), ..old.clone() };
    assert!(!is_news(&old, &old, None));
    assert!(!is_news(&old, &moved, Some(Millis::from_secs(14))));
    assert!(is_news(&old, &moved, Some(COUNTS_EVERY)));
    let decided = WorkerPoolStatus { desired_workers: Some(4), ..old.clone() };
    assert!(is_news(&old, &decided, Some(Millis::ZERO)));
}

#[test]
fn a_pool_that_cannot_be_followed_says_so_and_keeps_the_last_decision() {
    let first = after(&WorkerPoolStatus::default(), &fine(), 3, 100);
    let findings = Findings::only(Finding::no(Why::InvalidSpec, "spec.maxWorkers: too many"));
    let facts = Facts {
        generation: Some(2),
        findings: &findings,
        decided: None,
        deployment: None,
        wall: second(200),
    };
    let told = next(&first, facts);
    let ready = find(&told, "Ready");
    assert_eq!((ready.reason.as_str(), ready.message.as_str()), ("InvalidSpec", "spec.maxWorkers: too many"));
    assert_eq!(told.desired_workers, Some(3));
    assert_eq!(told.last_decision, first.last_decision);
    assert_eq!(told.observed_generation, Some(2));
}

#[test]
fn limits_have_reasons() {
    let (decision, _) = seen(50, 0);
    let finding = limited(&decision, None);
    assert_eq!((finding.holds, finding.why), (Some(true), Why::Maximum));
    let (decision, _) = seen(5, 0);
    assert_eq!(limited(&decision, None).holds, Some(false));
    let held = limited(&decision, Some(Held::RollingOut));
    assert_eq!((held.holds, held.why), (Some(true), Why::ScaleInHeld));
    assert!(held.message.starts_with("5 workers would do") && held.message.contains("rollout"), "{held:?}");
    // That another writes the number has a condition of its own.
    assert_eq!(limited(&decision, Some(Held::OtherWriter)).holds, Some(false));
}

#[test]
fn workers_that_do_not_do_as_asked_are_told_with_what_to_do() {
    let silent = silent(3, &"w1".into(), 8080, "connection refused");
    assert_eq!((silent.holds, silent.why), (Some(false), Why::WorkersSilent));
    assert!(silent.message.starts_with("3 workers, w1 among them, do not answer on port 8080"), "{silent:?}");
    let refused = drain_refused("the worker at 10.0.0.1:8080 answered 401");
    assert!(refused.message.contains("REELPOOL_DRAIN_TOKEN_SHA256"), "{refused:?}");
}

#[test]
fn trouble_is_told_once_it_lasts() {
    let deployment = DeploymentView::from(&k8s_openapi::api::apps::v1::Deployment::default());
    let pod = |name: &str, created: i64| PodView {
        id: name.into(),
        uid: name.into(),
        resource_version: String::new(),
        ip: None,
        stage: super::super::pods::PodStage::NotStarted,
        template: None,
        is_marked: false,
        created: Timestamp::from_millis(created * 1000),
        scheduled: Timestamp::from_millis(created * 1000),
        ready_since: None,
        trouble: Some("ImagePullBackOff: no such image".into()),
    };
    let now = Timestamp::from_millis(60_000);
    let finding = workers(&deployment, &[pod("a", 0), pod("b", 1), pod("c", 59)], now);
    assert_eq!(finding.message, "pod a and 1 more: ImagePullBackOff: no such image");
    assert_eq!(finding.why, Why::PodsDoNotStart);
    assert_eq!(workers(&deployment, &[pod("c", 59)], now).holds, Some(true));
    let refused = DeploymentView { replica_failure: Some("exceeded quota".into()), ..deployment };
    assert_eq!(workers(&refused, &[], now).why, Why::PodsRefused);
}

#[test]
fn long_messages_are_cut() {
    assert!(cut(&"ä".repeat(2000)).len() <= LONGEST_MESSAGE + 4);
    assert_eq!(cut("short"), "short");
}
