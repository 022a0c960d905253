//! `reelpool-worker transcode`: one video by hand, in the same way as in a job, for a person at a terminal.

mod error;
mod place;
mod screen;
mod show;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use reelpool_media::{Engine, Job, KeepNothing, Plan, PlanOptions, plan};
use reelpool_protocol::location::FOLDER_BUCKET;
use reelpool_protocol::manifest::{Rendition, Role, Timings};
use reelpool_protocol::{JobId, Source};
use reelpool_spool::masters::etag;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;
use uuid::Uuid;

use crate::args::TranscodeArgs;
use crate::made::{Asked, Made};
use crate::profile::OwnProfile;
use crate::start::{StartError, engine, host_name};
use crate::state::millis;
use crate::telemetry;

pub use error::TranscodeError;
use place::Place;
use screen::Screen;

/// Transcodes one video. Exit codes: 0 renditions and manifest are there, 1 this video will always fail so, 2 wrong
/// usage, 3 another time may end otherwise; for the last three the last line of standard error says why.
#[must_use]
pub fn main(args: &TranscodeArgs) -> ExitCode {
    let screen = Screen::stderr();
    telemetry::start_quietly(screen.clone());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(|source| TranscodeError::System { what: "start the runtime", source });
    match runtime.and_then(|runtime| runtime.block_on(Box::pin(work(args, &screen)))) {
        Ok(said) => {
            screen.end("");
            // Nobody may be listening any more.
            let _ = io::stdout().write_all(said.as_bytes());
            ExitCode::SUCCESS
        }
        Err(error) => {
            let error = error.in_folder(args.out.as_deref().unwrap_or(Path::new(".")));
            screen.end(&error.told());
            ExitCode::from(error.exit_code())
        }
    }
}

/// Returns what is said at the end: the plan, or what was made.
async fn work(args: &TranscodeArgs, screen: &Screen) -> Result<String, TranscodeError> {
    let mut stop = Box::pin(stopped()?);
    let profile = OwnProfile::choose(args.media.profile.as_deref(), args.media.preset)?;
    if let Some(out) = args.out.as_deref().filter(|_| !args.dry_run) {
        Place::check(out, args.force)?;
    }
    let master = Master::open(&args.file)?;
    let engine = engine(&args.media).map_err(of_start)?;
    engine.tools.check(profile.as_made().encoder(), profile.as_made().quality())?;

    screen.step("probing");
    let start = Instant::now();
    let media = tokio::select! {
        biased;
        () = &mut stop => return Err(TranscodeError::Stopped),
        media = engine.probe(&master.path) => media?,
    };
    let probe_ms = millis(start.elapsed());
    let options = PlanOptions { profile: profile.as_made().clone(), threads: engine.limits.threads };
    let plan = plan(&media, &args.media.ladder, &options);
    let Some(out) = args.out.as_deref().filter(|_| !args.dry_run) else {
        return Ok(show::plan(&master.source.key, &media, &plan, profile.as_made()));
    };

    let place = Place::open(out, args.force)?;
    let names = plan.file_names(&media);
    place.check_names(names.iter().map(String::as_str), &master.path)?;
    screen.step("transcoding");
    let start = Instant::now();
    let made = transcode(&engine, &master, &media, &plan, &place, screen, &mut stop).await;
    let made = match made {
        Ok(made) => made,
        Err(error) => {
            place.clear().await;
            return Err(error);
        }
    };
    master.check()?;
    let attempt = Uuid::now_v7().simple().to_string();
    let manifest = made.manifest(&Asked {
        job_id: JobId::of(&master.source, &args.media.ladder, profile.profile()),
        attempt: &attempt,
        worker: &host_name(),
        source: &master.source,
        ladder: &args.media.ladder,
        profile: profile.as_made(),
        timings: Timings { probe_ms, transcode_ms: millis(start.elapsed()), ..Timings::default() },
    });
    let text = serde_json::to_vec_pretty(&manifest)
        .map_err(|error| TranscodeError::System { what: "write the manifest", source: error.into() })?;
    let files: Vec<_> = made.files().map(|(file, path)| (file.to_owned(), path.to_owned())).collect();
    place.publish(&files, &text).await?;
    Ok(summary(out, &made))
}

async fn transcode(
    engine: &Engine,
    master: &Master,
    media: &reelpool_media::Source,
    plan: &Plan,
    place: &Place,
    screen: &Screen,
    mut stop: impl Future<Output = ()> + Send + Unpin,
) -> Result<Made, TranscodeError> {
    let out = place.workshop()?;
    let job = Job { input: &master.path, source: media, plan, out_dir: &out };
    let transcoded = engine.transcode(&job, &KeepNothing, screen.advance(), &mut stop).await?;
    screen.step("finishing");
    tokio::select! {
        biased;
        () = stop => Err(TranscodeError::Stopped),
        read = Made::of(transcoded, String::new()) => {
            read.map_err(|source| TranscodeError::System { what: "read the renditions", source })
        }
    }
}

/// The video.
struct Master {
    /// Its path, absolute and without links.
    path: PathBuf,
    /// What the manifest calls it: as if it lay in the masters folder of `reelpool up`.
    source: Source,
}

impl Master {
    fn open(file: &Path) -> Result<Self, TranscodeError> {
        let failed = |source: io::Error| match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
                TranscodeError::NoMaster(file.to_owned())
            }
            _ => TranscodeError::Unreadable { path: file.to_owned(), source },
        };
        let path = file.canonicalize().map_err(failed)?;
        let metadata = path.metadata().map_err(failed)?;
        // Looked at before it is opened: opening something that is no file, such as a pipe, may block for ever.
        if !metadata.is_file() {
            return Err(TranscodeError::NoMaster(file.to_owned()));
        }
        std::fs::File::open(&path).map_err(failed)?;
        let key = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let (etag, size) = (Some(etag(&metadata)), Some(metadata.len()));
        let source = Source { bucket: FOLDER_BUCKET.to_owned(), key, version: None, etag, size };
        Ok(Self { path, source })
    }

    /// Whether it still is what it was.
    fn check(&self) -> Result<(), TranscodeError> {
        let now = self.path.metadata().ok().map(|metadata| etag(&metadata));
        if now == self.source.etag { Ok(()) } else { Err(TranscodeError::Changed(self.path.clone())) }
    }
}

fn of_start(error: StartError) -> TranscodeError {
    match error {
        StartError::Media(error) => TranscodeError::Media(error),
        StartError::System { what, source } => TranscodeError::System { what, source },
        other => TranscodeError::System { what: "start", source: io::Error::other(other) },
    }
}

/// Ends when the process is asked to end: Ctrl-C, SIGTERM, or a terminal that is closed.
fn stopped() -> Result<impl Future<Output = ()> + Send, TranscodeError> {
    let listen =
        |kind| signal(kind).map_err(|source| TranscodeError::System { what: "listen for signals", source });
    let (mut interrupt, mut terminate, mut hangup) =
        (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?, listen(SignalKind::hangup())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    })
}

/// What was made, for a person.
fn summary(out: &Path, made: &Made) -> String {
    let file = |rendition: &Rendition| {
        let (path, size) = (out.join(&rendition.path), show::bytes(rendition.bytes));
        format!("{}  {}x{}, {size}\n", path.display(), rendition.width, rendition.height)
    };
    let files = made.renditions.iter().map(|(_, rendition)| file(rendition));
    let starts = [Role::Hls, Role::Dash, Role::Poster, Role::Storyboard];
    let companions = made.companions.iter().filter(|(_, companion)| starts.contains(&companion.role));
    let companions = companions.map(|(_, companion)| format!("{}\n", out.join(&companion.path).display()));
    let warnings = made.warnings.iter().map(|warning| format!("warning: {warning}\n"));
    files.chain(companions).chain(warnings).collect()
}
