//! What a person sees while it runs: on a terminal, live progress below the log; elsewhere, the log alone.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use reelpool_core::{Decision, WorkerId};
use reelpool_protocol::status::{JobStatus, Stage};
use tracing_subscriber::fmt::MakeWriter;

use super::fleet::LocalFleet;
use super::masters::MastersState;

/// How wide a master's name may be.
const NAME_WIDTH: usize = 28;

/// The screen. Clones draw on the same one.
#[derive(Debug, Clone)]
pub struct Screen {
    bars: MultiProgress,
    is_terminal: bool,
}

impl Screen {
    /// Standard error, where the log goes.
    #[must_use]
    pub fn stderr() -> Self {
        let is_terminal = io::stderr().is_terminal();
        let target =
            if is_terminal { ProgressDrawTarget::stderr_with_hz(10) } else { ProgressDrawTarget::hidden() };
        Self { bars: MultiProgress::with_draw_target(target), is_terminal }
    }

    /// One that is drawn on and shows nothing.
    #[cfg(test)]
    pub(crate) fn unseen_terminal() -> Self {
        Self { bars: MultiProgress::with_draw_target(ProgressDrawTarget::hidden()), is_terminal: true }
    }

    /// Whether someone is looking.
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        self.is_terminal
    }

    /// Lines of progress on this screen.
    #[must_use]
    pub fn progress(&self) -> Progress {
        let fleet = self.bars.add(ProgressBar::no_length());
        fleet.set_style(style("{wide_msg}"));
        Progress { screen: self.clone(), fleet, jobs: BTreeMap::new() }
    }
}

/// Writes the log above the lines of progress.
pub struct AboveProgress(Screen);

impl Write for AboveProgress {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        if self.0.is_terminal {
            self.0.bars.suspend(|| io::stderr().write_all(text))?;
        } else {
            io::stderr().write_all(text)?;
        }
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

impl<'a> MakeWriter<'a> for Screen {
    type Writer = AboveProgress;

    fn make_writer(&'a self) -> AboveProgress {
        AboveProgress(self.clone())
    }
}

/// The lines of progress: one for each job in hand, and one for the fleet.
#[derive(Debug)]
pub struct Progress {
    screen: Screen,
    fleet: ProgressBar,
    jobs: BTreeMap<WorkerId, ProgressBar>,
}

impl Progress {
    /// Whether someone is looking.
    #[must_use]
    pub fn is_seen(&self) -> bool {
        self.screen.is_terminal
    }

    /// Draws what is going on.
    pub fn draw(&mut self, fleet: &LocalFleet, decision: &Decision, masters: Option<MastersState>) {
        if self.is_seen() {
            self.fleet.set_message(fleet_line(decision, masters));
            self.draw_jobs(fleet);
        }
    }

    /// Draws the jobs in hand alone.
    pub fn draw_jobs(&mut self, fleet: &LocalFleet) {
        if !self.is_seen() {
            return;
        }
        let mut gone = std::mem::take(&mut self.jobs);
        for member in &fleet.members {
            let Some(job) = member.report.as_ref().and_then(|report| report.status.jobs.first()) else {
                continue;
            };
            let bar = gone.remove(&member.id).unwrap_or_else(|| {
                let bar = self.screen.bars.insert_before(&self.fleet, ProgressBar::new(1000));
                bar.set_style(style("{prefix} {bar:24} {wide_msg}"));
                bar
            });
            bar.set_prefix(fitted(&job.source.key, NAME_WIDTH));
            bar.set_message(job_text(job));
            bar.set_position(u64::from(job.permille.min(1000)));
            self.jobs.insert(member.id.clone(), bar);
        }
        for (_, bar) in gone {
            bar.finish_and_clear();
            self.screen.bars.remove(&bar);
        }
    }

    /// Which workers have a line, and how far each is, in thousandths.
    #[cfg(test)]
    pub(crate) fn lines(&self) -> Vec<(WorkerId, u64)> {
        self.jobs.iter().map(|(id, bar)| (id.clone(), bar.position())).collect()
    }

    /// Says something in place of the fleet's line.
    pub fn say(&self, text: &str) {
        self.fleet.set_message(text.to_owned());
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        for bar in self.jobs.values() {
            bar.finish_and_clear();
        }
        self.fleet.finish_and_clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("━╸─")
}

/// The fleet's line: the queue, the workers by state, and why there are so many.
#[must_use]
pub fn fleet_line(decision: &Decision, masters: Option<MastersState>) -> String {
    let mut parts = Vec::new();
    match decision.explain.need {
        Some(need) => parts.push(format!("{} waiting, {} in flight", need.waiting, need.in_flight)),
        None => parts.push("queue not known".to_owned()),
    }
    if let Some(awaited) = masters.map(|masters| masters.awaited).filter(|awaited| *awaited > 0) {
        parts.push(format!("{awaited} not complete yet"));
    }
    let counts = decision.explain.workers.unwrap_or_default();
    let kinds = [
        (counts.starting, "starting"),
        (counts.idle, "idle"),
        (counts.busy, "busy"),
        (counts.draining, "draining"),
        (counts.unreachable.saturating_add(counts.unlisted), "not answering"),
    ];
    let workers: Vec<String> =
        kinds.iter().filter(|(count, _)| *count > 0).map(|(count, kind)| format!("{count} {kind}")).collect();
    parts.push(if workers.is_empty() { "no workers".to_owned() } else { workers.join(", ") });
    format!("{} · {decision}", parts.join(" · "))
}

/// What a job's line says after its bar: per cent, speed and time left, or the step it is at.
#[must_use]
pub fn job_text(job: &JobStatus) -> String {
    let step = match job.stage {
        Stage::Claiming => "claiming",
        Stage::Fetching => "fetching",
        Stage::Probing => "probing",
        Stage::Publishing => "publishing",
        Stage::Committing => "committing",
        Stage::Transcoding => {
            let done = format!("{:>3} %", job.permille.min(1000) / 10);
            let speed = job
                .speed_milli
                .filter(|speed| *speed > 0)
                .map(|speed| format!("  {}.{:02}×", speed / 1000, speed % 1000 / 10));
            let left = job.left_ms.map(|left| format!("  {} left", clock(Duration::from_millis(left))));
            return [Some(done), speed, left].into_iter().flatten().collect();
        }
    };
    step.to_owned()
}

/// A span as `1:05` or `2:03:07`.
#[must_use]
pub fn clock(span: Duration) -> String {
    let seconds = span.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

/// `name` in exactly `width` columns (a column a character): its end matters more than its beginning.
#[must_use]
pub fn fitted(name: &str, width: usize) -> String {
    let name: String = name.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
    let length = name.chars().count();
    if length <= width {
        return format!("{name:<width$}");
    }
    let end: String = name.chars().skip(length - width + 1).collect();
    format!("…{end}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::report::tests::{job, status};
    use reelpool_core::{
        Memory, Observation, Policy, QueueDepth, Sample, Timestamp, WorkerObservation, WorkerState, decide,
    };

    #[test]
    fn a_jobs_line() {
        let job = job("cat.mp4");
        assert_eq!(job_text(&job), " 42 %  1.73×  1:23 left");
        let unknown = JobStatus { permille: 0, speed_milli: None, left_ms: None, ..job.clone() };
        assert_eq!(job_text(&unknown), "  0 %");
        let over =
            JobStatus { permille: 1003, speed_milli: Some(12_004), left_ms: Some(7_387_000), ..job.clone() };
        assert_eq!(job_text(&over), "100 %  12.00×  2:03:07 left");
        assert_eq!(job_text(&JobStatus { stage: Stage::Publishing, ..job }), "publishing");
    }

    #[tokio::test]
    async fn each_job_in_hand_has_a_line() {
        let dir = tempfile::tempdir().unwrap();
        let now = Timestamp::from_millis(1);
        let (mut fleet, ids, _news) = crate::local::fakes::fleet(dir.path(), 2, now);
        let mut progress = Screen::unseen_terminal().progress();
        let busy = |permille| {
            let job = JobStatus { permille, ..job("cat.mp4") };
            status(reelpool_protocol::WorkerState::Busy, vec![job], false)
        };
        fleet.answered(&ids[0], busy(100), now);
        fleet.answered(&ids[1], busy(200), now);
        progress.draw_jobs(&fleet);
        assert_eq!(progress.lines(), [(ids[0].clone(), 100), (ids[1].clone(), 200)]);
        fleet.answered(&ids[0], busy(300), now);
        fleet.remove(&ids[1]);
        progress.draw_jobs(&fleet);
        assert_eq!(progress.lines(), [(ids[0].clone(), 300)]);
    }

    #[test]
    fn names_fit_their_column() {
        assert_eq!(fitted("cat.mp4", 10), "cat.mp4   ");
        assert_eq!(fitted("a/very/long/name.mp4", 10), "…/name.mp4");
        assert_eq!(fitted("ü\n\u{1b}[2J", 6), "ü??[2J");
    }

    #[test]
    fn the_fleets_line() {
        let now = Timestamp::from_millis(1);
        let worker = |id: &str, state| WorkerObservation { id: id.into(), state, since: now };
        let mut observation = Observation {
            queue: Sample::Known {
                value: QueueDepth { backlog: 4, in_flight: 1, ..QueueDepth::default() },
                observed_at: now,
            },
            workers: Sample::Known {
                value: vec![worker("a", WorkerState::Busy), worker("b", WorkerState::Starting)],
                observed_at: now,
            },
            current: 2,
            service_time: None,
            start_up_time: None,
        };
        let policy =
            Policy::try_from(reelpool_core::PolicySpec { max_workers: 9, ..Default::default() }).unwrap();
        let decision = decide(&policy, &Memory::default(), &observation, now);
        let awaited = MastersState { awaited: 1, ..MastersState::default() };
        assert_eq!(
            fleet_line(&decision, Some(awaited)),
            "4 waiting, 1 in flight · 1 not complete yet · 1 starting, 1 busy · 5 = ceil((4 waiting + 1 in flight) / 1)"
        );
        observation.queue = Sample::Missing { cause: "no answer".to_owned(), since: now };
        observation.workers = Sample::Known { value: Vec::new(), observed_at: now };
        observation.current = 0;
        let decision = decide(&policy, &Memory::default(), &observation, now);
        assert!(fleet_line(&decision, None).starts_with("queue not known · no workers · held at 0"));
    }
}
