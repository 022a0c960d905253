use super::*;
use crate::args::{Args, Command};
use clap::Parser;

fn options(line: &[&str]) -> UpOptions {
    let args = Args::try_parse_from(["reelpool", "up"].iter().chain(line)).unwrap();
    let Command::Up(args) = args.command else { panic!("up was asked for") };
    UpOptions::read(*args, 2).unwrap()
}

/// A data directory and something that can pass for the worker's program.
struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("worker"), "").unwrap();
        Self { dir }
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().canonicalize().unwrap().join(name).to_str().unwrap().to_owned()
    }

    async fn prepare(&self, more: &[&str]) -> Result<Ground, UpError> {
        let (data, worker) = (self.path("data"), self.path("worker"));
        let line: Vec<&str> =
            ["--data", &data, "--worker", &worker].into_iter().chain(more.iter().copied()).collect();
        Ground::prepare(&options(&line)).await
    }

    async fn refused(&self, more: &[&str]) -> String {
        match self.prepare(more).await {
            Ok(_) => panic!("{more:?} was accepted"),
            Err(error) => error.to_string(),
        }
    }
}

#[tokio::test]
async fn everything_is_made_under_the_data_directory() {
    let place = Place::new();
    let ground = place.prepare(&["--ladder", "720p", "--grace", "7"]).await.unwrap();
    for folder in ["masters", "renditions", "queue", "logs", "scratch"] {
        assert!(ground.data.join(folder).is_dir(), "{folder}");
    }
    let arguments: Vec<&str> = ground.program.arguments.iter().map(|a| a.to_str().unwrap()).collect();
    let data = place.path("data");
    let expected = format!(
        "run --queue-url spool://{data}/queue --masters {data}/masters --output {data}/renditions \
         --scratch {data}/scratch --listen 127.0.0.1:0 --events stdout --exit-with-parent {} --log-format text \
         --ladder 720p --visibility-timeout 30 --grace 7",
        std::process::id()
    );
    assert_eq!(arguments.join(" "), expected);
    assert_eq!(ground.patience, Patience::new(30, 7));
    let masters = ground.masters.as_ref().unwrap();
    fs::write(masters.root.join("a.mp4"), "a").unwrap();
    assert_eq!(masters.look_at_all().unwrap().masters.len(), 1, "the default folder is not excepted");
    assert!(ground.program.token.len() == 64 && ground.run.len() == 6);
}

#[tokio::test]
async fn one_run_for_a_data_directory() {
    let place = Place::new();
    let ground = place.prepare(&[]).await.unwrap();
    let refused = place.refused(&[]).await;
    assert!(refused.contains("up.lock is in use by process"), "{refused}");
    drop(ground);
    place.prepare(&[]).await.unwrap();
}

#[tokio::test]
async fn what_is_not_there_or_cannot_be_written_is_said() {
    let place = Place::new();
    fs::write(place.path("file"), "").unwrap();
    let file = place.path("file");
    let inside = place.path("file/data");
    let (none, data) = (place.path("none"), place.path("data"));
    for (more, said) in [
        (vec!["--masters", &none], format!("--masters {none}: the folder cannot be read")),
        (vec!["--masters", &file], format!("--masters {file}: the folder cannot be read")),
        (vec!["--output", &inside], format!("--output {inside}: the folder cannot be written")),
        (vec!["--worker", &none], format!("the worker program {none} was not found")),
    ] {
        // The worker is named once only.
        let line: Vec<&str> = match more[0] {
            "--worker" => vec!["--data", &data, more[0], more[1]],
            _ => vec!["--data", &data, "--worker", &file, more[0], more[1]],
        };
        let refused = match Ground::prepare(&options(&line)).await {
            Ok(_) => panic!("{line:?} was accepted"),
            Err(error) => error.to_string(),
        };
        assert!(refused.starts_with(&said), "{refused}");
        assert!(refused.contains(": ") && !refused.contains('\n'), "{refused}");
    }
    let error = Ground::prepare(&options(&["--data", &inside, "--worker", &file])).await.err().unwrap();
    assert!(
        error.to_string().starts_with(&format!("--data {inside}: the folder cannot be written")),
        "{error}"
    );
}

#[tokio::test]
async fn renditions_must_not_become_masters_and_the_data_directory_is_not_watched() {
    let place = Place::new();
    let masters = place.path("m");
    fs::create_dir(&masters).unwrap();
    let (inside, above, data) = (place.path("m/out"), place.path(""), place.path("data"));
    for output in [&inside, &masters, &above] {
        let refused = place.refused(&["--masters", &masters, "--output", output]).await;
        let (masters, output) = (masters.as_str(), output.trim_end_matches('/'));
        assert_eq!(
            refused,
            format!(
                "--output {output} and --masters {masters} lie within one another: renditions would be taken for \
                 masters: name another output"
            )
        );
    }
    // One of the two may be where it always is.
    let refused = place.refused(&["--output", &data]).await;
    assert!(refused.starts_with(&format!("--output {data} and --masters {data}/masters lie")), "{refused}");

    let output = tempfile::tempdir().unwrap();
    let ground =
        place.prepare(&["--masters", &above, "--output", output.path().to_str().unwrap()]).await.unwrap();
    fs::write(ground.data.join("masters.mp4"), "x").unwrap();
    let found = ground.masters.as_ref().unwrap().look_at_all().unwrap();
    assert_eq!(found.masters.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>(), ["worker"]);
}
