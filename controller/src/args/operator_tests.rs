use super::*;
use clap::{CommandFactory, Parser};

use crate::args::one_line;

/// The options alone, as if they were a program.
#[derive(Debug, Parser)]
#[command(name = "reelpool operator")]
struct Alone {
    #[command(flatten)]
    args: OperatorArgs,
}

fn read(line: &str) -> Result<OperatorOptions, String> {
    let words = ["operator"].into_iter().chain(line.split_whitespace());
    let alone = Alone::try_parse_from(words).map_err(|error| one_line(&error))?;
    OperatorOptions::read(alone.args, "host").map_err(|error| format!("error: {error}"))
}

#[test]
fn the_command_line_is_sound_and_every_option_may_come_from_the_environment() {
    let command = Alone::command();
    command.clone().debug_assert();
    for option in
        command.get_arguments().filter(|option| !["help", "version"].contains(&option.get_id().as_str()))
    {
        let name = option.get_env().and_then(|name| name.to_str()).unwrap_or_default();
        let expected = format!("REELPOOL_{}", option.get_id().as_str().to_uppercase());
        assert!(name == expected || name == "POD_NAMESPACE", "{option}: {name}");
    }
}

#[test]
fn an_image_is_all_it_takes() {
    let options = read("--worker-image registry.example.com/reelpool-worker:1").unwrap();
    let identity = options.identity.clone();
    assert!(identity.starts_with("host_"), "{identity}");
    assert_eq!(
        options,
        OperatorOptions {
            worker_image: "registry.example.com/reelpool-worker:1".to_owned(),
            watch_namespace: None,
            endpoint_url: None,
            queue_reads_at_once: 64,
            namespace: "default".to_owned(),
            drain_key_secret: "reelpool-drain-key".to_owned(),
            lease_name: "reelpool-operator".to_owned(),
            lease_timing: Timing::default(),
            leader_election: true,
            identity,
            listen: "[::]:8080".parse().unwrap(),
            decisions: 64,
            log_decisions: false,
            log_format: LogFormat::Text,
        }
    );
}

#[test]
fn what_is_written_is_meant() {
    let options = read(
        "--worker-image w --watch-namespace media --namespace reelpool-system --endpoint-url http://localhost:4566 \
         --max-concurrent-queue-reads 8 --drain-key-secret my.key --lease-name my.lease --lease-seconds 3 \
         --no-leader-election --identity pod-1 --listen 127.0.0.1:0 --decisions-per-pool 5 --log-decisions \
         --log-format json",
    )
    .unwrap();
    assert!(options.identity.starts_with("pod-1_"));
    assert_ne!(options.identity, read("--worker-image w --identity pod-1").unwrap().identity);
    let timing = Timing::new(3, Duration::from_secs(2), Duration::from_millis(400)).unwrap();
    assert_eq!(
        options,
        OperatorOptions {
            worker_image: "w".to_owned(),
            watch_namespace: Some("media".to_owned()),
            endpoint_url: Some("http://localhost:4566".to_owned()),
            queue_reads_at_once: 8,
            namespace: "reelpool-system".to_owned(),
            drain_key_secret: "my.key".to_owned(),
            lease_name: "my.lease".to_owned(),
            lease_timing: timing,
            leader_election: false,
            identity: options.identity.clone(),
            listen: "127.0.0.1:0".parse().unwrap(),
            decisions: 5,
            log_decisions: true,
            log_format: LogFormat::Json,
        }
    );
    assert_eq!(read("--worker-image w --watch-namespace=").unwrap().watch_namespace, None);
    // Every length that may be written has its times.
    for seconds in 3..=300 {
        read(&format!("--worker-image w --lease-seconds {seconds}")).unwrap();
    }
}

#[test]
fn what_is_wrong_is_said_in_one_line_with_what_to_do() {
    for (line, said) in [
        ("", "the following required arguments were not provided: --worker-image <IMAGE>"),
        ("--worker-image=", "not the name of an image: write REGISTRY/NAME:TAG"),
        (
            "--worker-image w --namespace Media",
            "'Media' for '--namespace <NAME>': not the name of a namespace",
        ),
        ("--worker-image w --namespace=", "not the name of a namespace"),
        ("--worker-image w --watch-namespace a.b", "not the name of a namespace: lowercase letters"),
        ("--worker-image w --watch-namespace=-a", "not the name of a namespace: lowercase letters"),
        ("--worker-image w --lease-name a..b", "not the name of an object"),
        ("--worker-image w --drain-key-secret a_b", "not the name of an object"),
        ("--worker-image w --lease-seconds 2", "2 is not in 3..=300"),
        ("--worker-image w --max-concurrent-queue-reads 0", "0 is not in 1..=4096"),
        ("--worker-image w --decisions-per-pool 0", "0 is not in 1..=10000"),
        ("--worker-image w --listen 8080", "invalid value '8080' for '--listen <ADDRESS>'"),
        ("--worker-image w --endpoint-url localhost", "not an http or https URL"),
        ("--worker-image w --identity=", "expected 1 to 253 letters"),
        ("--worker-image w --log-format xml", "[possible values: text, json]"),
    ] {
        let error = read(line).expect_err(line);
        assert!(error.contains(said), "{line}: {error}");
        assert!(error.starts_with("error: ") && !error.contains('\n'), "{line}: {error}");
    }
}

#[test]
fn this_machine_has_a_name() {
    assert!(identity(&host_name()).is_ok());
}
