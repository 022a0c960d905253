//! What a person sees meanwhile: a bar on a terminal, a line now and then elsewhere. All of it on standard error.

use std::io::{self, IsTerminal, Write};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use reelpool_media::Progress;
use tracing_subscriber::fmt::MakeWriter;

use super::show::clock;

/// Elsewhere than on a terminal a line is written each time that so many thousandths more are done.
const STEP: u32 = 100;

/// The screen. Clones draw on the same one.
#[derive(Debug, Clone)]
pub struct Screen {
    bar: Option<ProgressBar>,
}

impl Screen {
    /// Standard error.
    #[must_use]
    pub fn stderr() -> Self {
        let bar = io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(Some(1000), ProgressDrawTarget::stderr_with_hz(10));
            let style = ProgressStyle::with_template("{bar:24} {wide_msg}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("━╸─"));
            bar
        });
        Self { bar }
    }

    /// A step begins.
    pub fn step(&self, what: &str) {
        match &self.bar {
            Some(bar) => bar.set_message(what.to_owned()),
            None => say(&format!("{what}\n")),
        }
    }

    /// Draws how far the transcode is; to be called with each progress, and not to be shared.
    pub fn advance(&self) -> impl FnMut(Progress) + Send + use<> {
        let bar = self.bar.clone();
        let mut next = 0;
        move |progress| {
            let text = advance_text(&progress);
            if let Some(bar) = &bar {
                bar.set_position(u64::from(progress.permille.min(1000)));
                bar.set_message(text);
            } else if progress.permille >= next {
                next = (progress.permille / STEP + 1) * STEP;
                say(&format!("transcoding {}\n", text.trim_start()));
            }
        }
    }

    /// Takes the bar away and writes `text`.
    pub fn end(&self, text: &str) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        say(text);
    }
}

/// Per cent, speed and time left.
fn advance_text(progress: &Progress) -> String {
    let done = format!("{:>3} %", progress.permille.min(1000) / 10);
    let speed = progress.speed_milli.filter(|speed| *speed > 0);
    let speed = speed.map(|speed| format!("  {}.{:02}×", speed / 1000, speed % 1000 / 10));
    let left = progress.left.map(|left| format!("  {} left", clock(left)));
    [Some(done), speed, left].into_iter().flatten().collect()
}

/// Nobody may be listening any more.
fn say(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}

/// Writes the log above the bar.
pub struct AboveBar(Option<ProgressBar>);

impl Write for AboveBar {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        match &self.0 {
            Some(bar) => bar.suspend(|| io::stderr().write_all(text))?,
            None => io::stderr().write_all(text)?,
        }
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

impl<'a> MakeWriter<'a> for Screen {
    type Writer = AboveBar;

    fn make_writer(&'a self) -> AboveBar {
        AboveBar(self.bar.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn how_far_it_is() {
        let mut progress = Progress { permille: 425, ..Progress::default() };
        assert_eq!(advance_text(&progress), " 42 %");
        progress.speed_milli = Some(1735);
        progress.left = Some(Duration::from_secs(83));
        assert_eq!(advance_text(&progress), " 42 %  1.73×  1:23 left");
        progress.speed_milli = Some(0);
        assert_eq!(advance_text(&Progress { permille: 1000, ..progress }), "100 %  1:23 left");
    }
}
