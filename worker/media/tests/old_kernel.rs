//! Kernels that lack a layer of the cage: one clear warning where the other layers do, and no work where they do not.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "tests")]

mod support;

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex};

use reelpool_media::{Engine, Sandbox};
use support::{clip, engine, whole};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// An engine on a kernel that lacks `layer` (see `support/kernel.rs`).
fn lacking(folder: &Path, layer: &str) -> Engine {
    let through = folder.join(layer);
    let cage = env!("CARGO_BIN_EXE_reelpool-media-cage");
    std::fs::write(&through, format!("#!/bin/sh\nexec {cage} --lacks {layer} \"$@\"\n")).unwrap();
    std::fs::set_permissions(&through, std::fs::Permissions::from_mode(0o755)).unwrap();
    Engine { sandbox: Sandbox::Via(through), ..engine() }
}

/// Keeps what is told at warning level or above.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<String>>>);

impl Visit for Told {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            self.0.lock().unwrap().push(format!("{value:?}"));
        }
    }
}

impl Subscriber for Told {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::WARN
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        event.record(&mut self.clone());
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[tokio::test]
async fn without_landlock_one_warning_and_all_the_work() {
    let told = Told::default();
    tracing::subscriber::set_global_default(told.clone()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let input = clip(folder.path(), "plain.mp4", "320x180", "25", 1);
    let engine = lacking(folder.path(), "landlock");
    for _ in 0..2 {
        let out = tempfile::tempdir().unwrap();
        let done = whole(&engine, &input, "144p", out.path()).await.unwrap();
        assert_eq!((done.renditions.len(), done.warnings), (1, Vec::new()));
    }
    let told = told.0.lock().unwrap();
    assert_eq!(*told, ["sandbox: this kernel has no Landlock: files are guarded by the other layers only"]);
}

#[tokio::test]
async fn without_seccomp_nothing_runs_uncaged() {
    let folder = tempfile::tempdir().unwrap();
    let input = clip(folder.path(), "plain.mp4", "320x180", "25", 1);
    let error = lacking(folder.path(), "any-seccomp").probe(&input).await.unwrap_err();
    assert_eq!((error.category(), error.is_permanent()), ("sandbox_failed", false));
    assert!(error.to_string().contains("seccomp"), "{error}");
}
