use super::*;
use reelpool_core::{Millis, Reason};

fn name(pool: &str) -> PoolName {
    PoolName::new("cattube".to_owned(), pool.to_owned())
}

fn metrics() -> (Metrics, Clock) {
    let clock = Clock::start();
    (Metrics::new(clock).unwrap(), clock)
}

fn text(metrics: &Metrics) -> String {
    String::from_utf8(metrics.text().unwrap()).unwrap()
}

/// The value of the one series that begins with `series`.
fn value(text: &str, series: &str) -> f64 {
    let mut found = text.lines().filter_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    let value = found.next().unwrap_or_else(|| panic!("no {series} in\n{text}"));
    assert_eq!(found.next(), None);
    value.parse().unwrap()
}

fn facts(depth: Option<(QueueDepth, Timestamp)>) -> PoolFacts {
    let workers = WorkerCounts { starting: 1, idle: 2, busy: 3, draining: 4, unreachable: 5, unlisted: 6 };
    PoolFacts { desired: 21, ready: 9, workers, depth }
}

#[test]
fn what_happens_is_counted_under_bounded_labels() {
    let (metrics, _) = metrics();
    metrics.reconciled("ok", Duration::from_millis(30));
    metrics.reconciled("ok", Duration::from_millis(30));
    metrics.reconciled("error", Duration::from_secs(3));
    metrics.error("api_late");
    metrics.decided(Reason::Backlog.as_str());
    metrics.violation(&Violation::BelowBusy { target: 1, busy: 2 });
    metrics.queue_call("queue_throttled", Duration::from_millis(200));
    metrics.sample_to_write(Duration::from_millis(1400));
    let text = text(&metrics);
    for (series, expected) in [
        ("reelpool_reconciles_total{outcome=\"ok\"}", 2.0),
        ("reelpool_reconciles_total{outcome=\"error\"}", 1.0),
        ("reelpool_reconcile_seconds_bucket{le=\"0.05\"}", 2.0),
        ("reelpool_reconcile_seconds_count", 3.0),
        ("reelpool_errors_total{category=\"api_late\"}", 1.0),
        ("reelpool_decisions_total{reason=\"Backlog\"}", 1.0),
        ("reelpool_invariant_violations_total{rule=\"below_busy\"}", 1.0),
        ("reelpool_invariant_violations_total{rule=\"drains_busy\"}", 0.0),
        ("reelpool_queue_calls_total{outcome=\"queue_throttled\"}", 1.0),
        ("reelpool_queue_call_seconds_sum", 0.2),
        ("reelpool_sample_to_write_seconds_bucket{le=\"1\"}", 0.0),
        ("reelpool_sample_to_write_seconds_bucket{le=\"1.5\"}", 1.0),
        ("reelpool_pools", 0.0),
        ("reelpool_leader", 0.0),
        (concat!("reelpool_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"}"), 1.0),
    ] {
        assert!((value(&text, series) - expected).abs() < 1e-9, "{series}: {}", value(&text, series));
    }
    metrics.leads(true);
    assert!((value(&self::text(&metrics), "reelpool_leader") - 1.0).abs() < 1e-9);
}

#[test]
fn a_pool_has_series_of_its_own_as_long_as_it_is_there() {
    let (metrics, clock) = metrics();
    let depth = QueueDepth { backlog: 30, in_flight: 31, delayed: 32, delayed_due_soon: None };
    let asked = clock.now().minus(Millis::from_secs(90));
    metrics.pool(&name("masters"), facts(Some((depth, asked))));
    metrics.pool(&name("others"), facts(None));
    metrics.scaled(&name("masters"));
    metrics.scaled(&name("masters"));
    metrics.spared(&name("masters"), 3);
    let before = text(&metrics);
    for (series, expected) in [
        ("reelpool_desired_workers", 21.0),
        ("reelpool_ready_workers", 9.0),
        ("reelpool_starting_workers", 1.0),
        ("reelpool_idle_workers", 2.0),
        ("reelpool_busy_workers", 3.0),
        ("reelpool_draining_workers", 4.0),
        ("reelpool_unreachable_workers", 5.0),
        ("reelpool_unlisted_workers", 6.0),
        ("reelpool_queue_backlog", 30.0),
        ("reelpool_queue_in_flight", 31.0),
        ("reelpool_queue_delayed", 32.0),
        ("reelpool_scale_writes_total", 2.0),
        ("reelpool_other_pods_taken_total", 3.0),
    ] {
        let series = format!("{series}{{namespace=\"cattube\",pool=\"masters\"}}");
        assert!((value(&before, &series) - expected).abs() < 1e-9, "{series}");
    }
    assert!((value(&before, "reelpool_pools") - 2.0).abs() < 1e-9);
    assert!(!before.contains("reelpool_queue_backlog{namespace=\"cattube\",pool=\"others\"}"), "{before}");
    metrics.forget(&name("masters"));
    let after = text(&metrics);
    assert!(!after.contains("masters") && after.contains("pool=\"others\""), "{after}");
    metrics.forget(&name("others"));
    assert!(!text(&metrics).contains("others"));
}

#[test]
fn the_age_of_a_sample_goes_on_when_no_answer_comes() {
    let (metrics, clock) = metrics();
    let age = |pool: &str| {
        let series = format!("reelpool_sample_age_seconds{{namespace=\"cattube\",pool=\"{pool}\"}}");
        value(&text(&metrics), &series)
    };
    let depth = QueueDepth { backlog: 7, ..QueueDepth::default() };
    metrics.pool(&name("masters"), facts(Some((depth, clock.now().minus(Millis::from_secs(1000))))));
    metrics.pool(&name("masters"), facts(None));
    assert!(age("masters") >= 1000.0);
    let backlog = value(&text(&metrics), "reelpool_queue_backlog{namespace=\"cattube\",pool=\"masters\"}");
    assert!((backlog - 7.0).abs() < 1e-9, "the last answer stands");
    metrics.pool(&name("masters"), facts(Some((depth, clock.now()))));
    assert!(age("masters") < 900.0);
    metrics.pool(&name("new"), facts(None));
    assert!(age("new") < 900.0);
}

#[test]
fn every_line_has_the_form_that_prometheus_reads() {
    let (metrics, clock) = metrics();
    metrics.reconciled("ok", Duration::from_millis(30));
    metrics.pool(&name("masters"), facts(Some((QueueDepth::default(), clock.now()))));
    let text = text(&metrics);
    let mut typed = Vec::new();
    for line in text.lines() {
        if let Some(about) = line.strip_prefix("# TYPE ") {
            let (name, kind) = about.split_once(' ').unwrap();
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert!(!typed.contains(&name), "{name} twice");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            assert!(name.starts_with("reelpool_"));
            typed.push(name);
        } else if !line.starts_with("# HELP ") {
            let (series, value) = line.rsplit_once(' ').unwrap();
            value.parse::<f64>().unwrap();
            assert!(series.starts_with(typed.last().unwrap()), "{line} after {:?}", typed.last());
        }
    }
    assert!(text.ends_with('\n'));
}
