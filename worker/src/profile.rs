//! The profile that `--profile` names: a built-in one, a file, or its text.

mod yaml;

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::process::ExitCode;

use reelpool_protocol::Profile;
use reelpool_protocol::profile::{BUILT_IN, Preset, SCHEMA};
use serde_json::Value;

use crate::args::ProfileArgs;

pub use yaml::{MAX_BYTES, YamlError, from_yaml};

/// Reads what `--profile` says: the name of a built-in profile, the text of one in YAML or JSON, or the path of a file
/// with such a text. It is a text when it begins with a brace, or has a line's end or a colon and a space in it.
pub fn read(said: &str) -> Result<Profile, ProfileSourceError> {
    if let Some(profile) = Profile::built_in(said) {
        return Ok(profile);
    }
    if said.trim_start().starts_with('{') || said.contains('\n') || said.contains(": ") {
        return Ok(from_yaml(said)?);
    }
    let text = read_file(Path::new(said)).map_err(|source| match source.kind() {
        // A name that is misspelt looks like a path of nothing.
        io::ErrorKind::NotFound => ProfileSourceError::Unknown(said.to_owned()),
        _ => ProfileSourceError::Unreadable { path: said.to_owned(), source },
    })?;
    from_yaml(&text).map_err(|source| ProfileSourceError::File { path: said.to_owned(), source })
}

fn read_file(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    // One byte more than is allowed tells that it is too long.
    File::open(path)?.take(MAX_BYTES as u64 + 1).read_to_string(&mut text)?;
    Ok(text)
}

/// Prints a profile or the schema of profiles; what is wrong with it is told as `error: …`, with exit code 2.
#[must_use]
pub fn main(args: &ProfileArgs) -> ExitCode {
    let text = if args.schema { Ok(SCHEMA.to_owned()) } else { read(&args.profile).map(|read| whole(&read)) };
    // Nobody may be listening any more.
    let _ = match &text {
        Ok(text) => writeln!(io::stdout(), "{}", text.trim_end()),
        Err(error) => writeln!(io::stderr(), "error: {error}"),
    };
    if text.is_ok() { ExitCode::SUCCESS } else { ExitCode::from(2) }
}

/// A profile for a person: JSON, one field a line.
fn whole(profile: &Profile) -> String {
    format!("{:#}", Value::from(profile.clone()))
}

/// Why `--profile` names no profile. Each is one line.
#[derive(Debug, thiserror::Error)]
pub enum ProfileSourceError {
    /// There is neither a built-in one nor a file of that name.
    #[error("the profile `{0}` is neither built in ({built_in}) nor a file: name one of these", built_in = BUILT_IN.join(", "))]
    Unknown(String),
    /// The file cannot be read.
    #[error("the profile {path}: the file cannot be read ({source}): name another")]
    Unreadable {
        /// The file.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// The file has no profile in it.
    #[error("the profile {path}: {source}")]
    File {
        /// The file.
        path: String,
        /// What is wrong in it.
        source: YamlError,
    },
    /// The text is no profile.
    #[error("the profile given as text: {0}")]
    Text(#[from] YamlError),
    /// There is nothing for `--preset` to say.
    #[error("--preset is x264's, and the profile encodes {0}: set video.preset in the profile")]
    PresetOfAnother(&'static str),
}

/// The profile of jobs that name none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnProfile {
    profile: Profile,
    as_made: Profile,
}

impl OwnProfile {
    /// What the options `--profile` and `--preset` say together.
    pub fn choose(said: Option<&str>, preset: Option<Preset>) -> Result<Self, ProfileSourceError> {
        Self::new(said.map_or_else(|| Ok(Profile::default()), read)?, preset)
    }

    /// `profile`, made with another preset of x264 where there is one.
    pub fn new(profile: Profile, preset: Option<Preset>) -> Result<Self, ProfileSourceError> {
        let as_made = match preset {
            None => profile.clone(),
            Some(preset) => profile
                .with_x264_preset(preset)
                .ok_or_else(|| ProfileSourceError::PresetOfAnother(profile.encoder().codec()))?,
        };
        Ok(Self { profile, as_made })
    }

    /// The profile that tells its jobs from others. How hard this worker tries makes them no others.
    #[must_use]
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// The profile by which they are made: with the worker's own preset.
    #[must_use]
    pub fn as_made(&self) -> &Profile {
        &self.as_made
    }
}

#[cfg(test)]
#[path = "profile_tests.rs"]
mod tests;
