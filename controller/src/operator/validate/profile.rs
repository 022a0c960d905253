//! How renditions are made: what the workers would refuse is told here.

use reelpool_api::profile::Profile as PoolProfile;
use reelpool_api::worker::Preset;
use reelpool_protocol::Profile;
use reelpool_protocol::profile::Encoder;

use super::problems::Problems;

/// The profile as a worker's `--profile` takes it.
pub(super) fn read(spec: &PoolProfile, preset: Option<Preset>, problems: &mut Problems) -> Option<String> {
    let field = |path: &str| format!("spec.profile.{path}");
    let (text, profile) = if let Some(name) = spec.name {
        if *spec != (PoolProfile { name: spec.name, ..PoolProfile::default() }) {
            problems.add(field("name"), "must stand alone: remove it, or the other fields");
        }
        (name.as_str().to_owned(), Profile::built_in(name.as_str())?)
    } else {
        let written =
            serde_json::to_value(spec).map_err(|error| problems.add("spec.profile", error.to_string()));
        let written = written.ok()?;
        let read = Profile::from_value(&written);
        let read = read.map_err(|error| problems.add(field(error.path()), error.problem())).ok()?;
        (read.differences().to_string(), read)
    };
    if preset.is_some() && !matches!(profile.encoder(), Encoder::X264 { .. }) {
        problems
            .add("spec.worker.preset", "is x264's, and the profile is not: set spec.profile.video.preset");
    }
    Some(text)
}

#[cfg(test)]
#[path = "profile_tests.rs"]
mod tests;
