//! Chromium without a screen, with a profile of its own, that reaches this machine only.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::Process;

/// A running Chromium.
#[derive(Debug)]
pub struct Browser {
    /// Its process; the others that it starts name its profile.
    pub process: Process,
    _profile: TempDir,
}

impl Browser {
    /// Opens a page.
    #[must_use]
    pub fn open(url: &str) -> Self {
        let program = Path::new("/usr/bin/chromium");
        assert!(program.is_file(), "{} is not there: run scripts/setup --tests", program.display());
        let profile = TempDir::new().unwrap();
        let mut command = Command::new(program);
        command
            .args(
                "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --mute-audio".split(' '),
            )
            .args("--disable-background-networking --disable-component-update --disable-sync".split(' '))
            .args(
                "--disable-dev-shm-usage --disable-breakpad --autoplay-policy=no-user-gesture-required"
                    .split(' '),
            )
            // It is seen by nobody, and must play all the same.
            .args("--disable-background-timer-throttling --disable-renderer-backgrounding".split(' '))
            .arg("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1")
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg(url)
            .env("HOME", profile.path());
        Self { process: Process::spawn(command, Some(profile.path())), _profile: profile }
    }
}
