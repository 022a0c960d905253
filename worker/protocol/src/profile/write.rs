//! A profile as a JSON document: whole, or only what is not the default.

use std::fmt::Write;

use serde_json::{Map, Value, json};

use super::{Encoder, Packaging, Profile};

impl From<Profile> for Value {
    /// The whole of it.
    fn from(profile: Profile) -> Self {
        profile.whole()
    }
}

impl Profile {
    fn whole(&self) -> Value {
        let max_kbps: Map<_, _> =
            self.max_kbps.iter().map(|(rung, kbps)| (rung.to_string(), json!(kbps))).collect();
        let mut whole = json!({
            "video": {
                "codec": self.encoder.codec(),
                "preset": self.encoder.preset_name(),
                "crf": self.encoder.crf(),
                "maxKbps": max_kbps,
            },
            "audio": { "kbps": self.audio_kbps },
            "packaging": self.packaging.iter().copied().map(Packaging::name).collect::<Vec<_>>(),
            "segmentSeconds": self.segment_seconds,
            "poster": self.poster,
            "storyboard": self.storyboard,
            "chunkSeconds": self.chunk_seconds,
            "quality": self.quality.name(),
        });
        if let Some(lufs) = self.loudness {
            whole["audio"]["loudness"] = json!(lufs);
        }
        whole
    }

    /// What is not the default, as an object that reads as the same profile.
    #[must_use]
    pub fn differences(&self) -> Value {
        // Preset and CRF have a default for each codec.
        let encoder = match self.encoder {
            Encoder::X264 { .. } => Encoder::x264(),
            Encoder::SvtAv1 { .. } => Encoder::svt_av1(),
        };
        let mut written = self.whole();
        leave_out(&mut written, &Self { encoder, ..Self::default() }.whole());
        if encoder != Encoder::x264() {
            written["video"]["codec"] = json!(encoder.codec());
        }
        written
    }

    /// What tells this profile from the default, the same from release to release; `None` where nothing does.
    pub(crate) fn identity(&self) -> Option<String> {
        let written = self.differences();
        let is_default = written.as_object().is_some_and(Map::is_empty);
        (!is_default).then(|| {
            let mut text = String::new();
            canonical(&written, &mut text);
            text
        })
    }

    /// The profile in a message: a built-in's name, or what is not the default.
    pub(crate) fn in_message(&self) -> Value {
        self.built_in_name().map_or_else(|| self.differences(), Value::from)
    }
}

/// Takes the fields out of `written` that are the same in `default`, and objects that have none left.
fn leave_out(written: &mut Value, default: &Value) {
    let (Some(fields), Some(defaults)) = (written.as_object_mut(), default.as_object()) else { return };
    fields.retain(|name, value| {
        let Some(default) = defaults.get(name) else { return true };
        leave_out(value, default);
        value != default && value.as_object().is_none_or(|left| !left.is_empty())
    });
}

/// Writes JSON with the fields of objects in the order of their names: `serde_json` orders them by its features.
fn canonical(value: &Value, text: &mut String) {
    let Some(fields) = value.as_object() else {
        let _ = write!(text, "{value}");
        return;
    };
    let mut fields: Vec<_> = fields.iter().collect();
    fields.sort_unstable_by_key(|(name, _)| *name);
    for (index, (name, value)) in fields.into_iter().enumerate() {
        let _ = write!(text, "{}{}:", if index == 0 { "{" } else { "," }, json!(name));
        canonical(value, text);
    }
    text.push('}');
}
