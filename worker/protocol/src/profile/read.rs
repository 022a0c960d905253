//! A profile from a JSON document, field by field.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    AUDIO_KBPS, BUILT_IN, CHUNK_SECONDS, CRF_AV1, CRF_H264, Encoder, LOUDNESS, MAX_KBPS, PRESET_AV1,
    Packaging, Preset, Profile, ProfileError, Quality, SEGMENT_SECONDS,
};
use crate::json::{self, Node};
use crate::ladder::Rung;
use crate::message::MessageError;

/// How many rungs may have a bit rate of their own: more than any ladder has.
const MAX_BIT_RATES: usize = 64;

impl TryFrom<Value> for Profile {
    type Error = ProfileError;

    fn try_from(value: Value) -> Result<Self, ProfileError> {
        Self::from_value(&value)
    }
}

/// Reads a whole document.
pub(super) fn document(value: &Value) -> Result<Profile, ProfileError> {
    let prefix = if value.is_object() { "" } else { json::PROFILE };
    read(&Node::root(prefix, value)).map_err(ProfileError::from)
}

/// A built-in's name, or a profile.
pub(crate) fn named(node: &Node<'_>) -> Result<Profile, MessageError> {
    let Ok(name) = node.text() else { return read(node) };
    let expected = || format!("the name of a built-in profile ({}) or a profile", BUILT_IN.join(", "));
    Profile::built_in(name).ok_or_else(|| node.says_wrongly(&expected(), name))
}

/// Reads a profile; `null` counts as absent.
fn read(node: &Node<'_>) -> Result<Profile, MessageError> {
    node.only(&[
        "video",
        "audio",
        "packaging",
        "segmentSeconds",
        "poster",
        "storyboard",
        "chunkSeconds",
        "quality",
    ])?;
    let mut profile = Profile::default();
    if let Some(video) = node.optional("video")? {
        video.only(&["codec", "preset", "crf", "maxKbps"])?;
        profile.encoder = encoder(&video)?;
        profile.max_kbps =
            video.optional("maxKbps")?.map(|rates| max_kbps(&rates)).transpose()?.unwrap_or_default();
    }
    if let Some(audio) = node.optional("audio")? {
        audio.only(&["kbps", "loudness"])?;
        if let Some(kbps) = audio.optional("kbps")? {
            profile.audio_kbps = kbps.number(&AUDIO_KBPS)?;
        }
        profile.loudness = audio.optional("loudness")?.map(|lufs| lufs.number(&LOUDNESS)).transpose()?;
    }
    if let Some(forms) = node.optional("packaging")? {
        profile.packaging = packaging(&forms)?;
    }
    for (name, value) in [("poster", &mut profile.poster), ("storyboard", &mut profile.storyboard)] {
        if let Some(node) = node.optional(name)? {
            *value = node.truth()?;
        }
    }
    if let Some(quality) = node.optional("quality")? {
        profile.quality = quality.one_of(&Quality::ALL)?;
    }
    if let Some(seconds) = node.optional("segmentSeconds")? {
        profile.segment_seconds = seconds.number(&SEGMENT_SECONDS)?;
    }
    if let Some(seconds) = node.optional("chunkSeconds")? {
        profile.chunk_seconds = seconds.number(&CHUNK_SECONDS)?;
        if profile.chunk_seconds < profile.segment_seconds {
            let expected = format!("at least a segment ({} s)", profile.segment_seconds);
            return Err(seconds.says_wrongly(&expected, &profile.chunk_seconds.to_string()));
        }
    }
    Ok(profile)
}

fn encoder(video: &Node<'_>) -> Result<Encoder, MessageError> {
    let codecs = [("h264", Encoder::x264()), ("av1", Encoder::svt_av1())];
    let mut encoder =
        video.optional("codec")?.map(|codec| codec.one_of(&codecs)).transpose()?.unwrap_or(Encoder::x264());
    let (its_preset, its_crf) = (video.optional("preset")?, video.optional("crf")?);
    match &mut encoder {
        Encoder::X264 { preset, crf } => {
            if let Some(node) = its_preset {
                let expected = format!("a preset of x264 ({})", Preset::NAMES.join(", "));
                let name = node.word(&expected)?;
                *preset = name.parse().map_err(|_| node.says_wrongly(&expected, &name))?;
            }
            if let Some(node) = its_crf {
                *crf = node.number(&CRF_H264)?;
            }
        }
        Encoder::SvtAv1 { preset, crf } => {
            if let Some(node) = its_preset {
                let expected =
                    format!("a preset of SVT-AV1 ({} to {})", PRESET_AV1.start(), PRESET_AV1.end());
                let name = node.word(&expected)?;
                let mut all = PRESET_AV1.filter_map(|preset| u8::try_from(preset).ok());
                let found = all.find(|preset| preset.to_string() == name);
                *preset = found.ok_or_else(|| node.says_wrongly(&expected, &name))?;
            }
            if let Some(node) = its_crf {
                *crf = node.number(&CRF_AV1)?;
            }
        }
    }
    Ok(encoder)
}

fn max_kbps(rates: &Node<'_>) -> Result<BTreeMap<Rung, u32>, MessageError> {
    let fields = rates.each()?;
    if fields.len() > MAX_BIT_RATES {
        return Err(rates.invalid(&format!("expected at most {MAX_BIT_RATES} rungs, found {}", fields.len())));
    }
    let mut read = BTreeMap::new();
    for (name, rate) in fields {
        let rung: Rung = name.parse().map_err(|error| rate.invalid(&error))?;
        if read.insert(rung, rate.number(&MAX_KBPS)?).is_some() {
            return Err(rate.invalid(&format!("{rung} is there twice: name each rung once")));
        }
    }
    Ok(read)
}

fn packaging(forms: &Node<'_>) -> Result<Vec<Packaging>, MessageError> {
    let mut read = forms.items()?.map(|form| form.one_of(&Packaging::ALL)).collect::<Result<Vec<_>, _>>()?;
    read.sort_unstable();
    read.dedup();
    if read.is_empty() {
        return Err(forms.invalid(&"expected at least one of mp4, hls, dash, found none"));
    }
    Ok(read)
}
