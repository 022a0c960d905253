//! Which files a plan comes to. Pure.

use reelpool_protocol::manifest::Role;
use reelpool_protocol::profile::Packaging;

use super::{Plan, Planned, Stills};
use crate::package::layout;
use crate::source::Source;

impl Plan {
    /// Whether renditions are published as files with their sound.
    #[must_use]
    pub fn has_files(&self) -> bool {
        self.has(Packaging::Mp4)
    }

    /// Whether renditions and sound are published as tracks, which HLS and DASH play alike.
    #[must_use]
    pub fn has_tracks(&self) -> bool {
        self.has(Packaging::Hls) || self.has(Packaging::Dash)
    }

    /// Whether that form of packaging is asked for.
    pub(crate) fn has(&self, form: Packaging) -> bool {
        self.profile.packaging().contains(&form)
    }

    /// The names of the tracks of HLS and DASH, the sound's last; none where neither is asked for.
    pub(crate) fn tracks(&self) -> Vec<&str> {
        let rungs = self.renditions.iter().map(|rendition| rendition.name.as_str());
        let sound = self.audio.as_ref().map(|_| layout::AUDIO);
        if self.has_tracks() { rungs.chain(sound).collect() } else { Vec::new() }
    }

    /// The still pictures of a picture of `frames` frames, by their files.
    pub(crate) fn pictures(&self, frames: u64) -> Vec<(Role, String)> {
        let poster = self.profile.poster().then(|| (Role::Poster, layout::POSTER.to_owned()));
        let sheets = if self.profile.storyboard() { Stills::of(self, frames).board.sheets() } else { 0 };
        let sheets = (1..=sheets).map(|number| (Role::Sprite, layout::sheet(number)));
        poster.into_iter().chain(sheets).collect()
    }

    /// The names of all files that a transcode of `source` leaves, below its output folder.
    #[must_use]
    pub fn file_names(&self, source: &Source) -> Vec<String> {
        let mut names = Vec::new();
        if self.has_files() {
            names.extend(self.renditions.iter().map(Planned::file_name));
        }
        names.extend(self.tracks().into_iter().map(layout::track));
        if self.has(Packaging::Hls) {
            names.extend(self.tracks().into_iter().map(layout::playlist));
            names.push(layout::MASTER.to_owned());
        }
        if self.has(Packaging::Dash) {
            names.push(layout::MPD.to_owned());
        }
        names.extend(self.pictures(self.grid.frames(source)).into_iter().map(|(_, name)| name));
        if self.profile.storyboard() {
            names.push(layout::STORYBOARD.to_owned());
        }
        names
    }
}

#[cfg(test)]
mod tests {
    use reelpool_protocol::Profile;

    use crate::plan::tests::{master, options};
    use crate::plan::{PlanOptions, plan};

    #[test]
    fn each_profile_has_its_files() {
        for (profile, expected) in [
            (r#"{"packaging":["mp4"],"poster":false,"storyboard":false}"#, "180p.mp4"),
            (r#"{"packaging":["hls"],"storyboard":false}"#, "cmaf/180p.mp4 180p.m3u8 master.m3u8 poster.jpg"),
            (
                r#"{"packaging":["dash"],"poster":false}"#,
                "cmaf/180p.mp4 manifest.mpd sprite_001.jpg storyboard.vtt",
            ),
            (
                "{}",
                "180p.mp4 cmaf/180p.mp4 180p.m3u8 master.m3u8 manifest.mpd poster.jpg sprite_001.jpg storyboard.vtt",
            ),
        ] {
            let options = PlanOptions { profile: Profile::from_json(profile).unwrap(), ..options() };
            let source = master(640, 360);
            let plan = plan(&source, &"180p".parse().unwrap(), &options);
            assert_eq!(plan.file_names(&source).join(" "), expected);
        }
    }
}
