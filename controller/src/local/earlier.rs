//! What earlier runs made of the masters that are still in the folder, read from where it durably is: the manifests.

use std::path::Path;

use reelpool_protocol::manifest::FILE_NAME;
use reelpool_protocol::{JobId, Manifest, Source};
use reelpool_spool::Store;

use super::masters::walk::Folder;
use super::masters::{Defaults, source};

/// The longest manifest that is read, in bytes: one with twelve renditions has some five thousand.
const MAX_MANIFEST: u64 = 1024 * 1024;

/// A master that is done, and what was made of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DoneMaster {
    /// The job.
    pub job: JobId,
    /// The master.
    pub source: Source,
    /// What was made of it.
    pub manifest: Manifest,
}

/// The masters in `folder` that have a manifest in `output` for the version that is there now. What cannot be read is
/// left out: this is for the summary only.
#[must_use]
pub fn done_masters(folder: &Folder, output: &Path, defaults: &Defaults) -> Vec<DoneMaster> {
    let (Ok(found), Ok(store)) = (folder.look_at_all(), Store::open(output)) else { return Vec::new() };
    let done = found.masters.into_iter().filter_map(|(key, seen)| {
        let ladder = match &seen.version.ladder {
            Some(_) => folder.ladder(&key).ok()?,
            None => defaults.ladder.clone(),
        };
        let source = source(&key, &seen.version);
        let job = JobId::of(&source, &ladder, &defaults.profile);
        let manifest =
            store.get(&format!("{}/{FILE_NAME}", job.output_prefix(&source)), MAX_MANIFEST).ok()??;
        let manifest = serde_json::from_slice(&manifest).ok()?;
        Some(DoneMaster { job, source, manifest })
    });
    done.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use reelpool_protocol::manifest::{FORMAT, MasterInfo, Timings};
    use reelpool_protocol::{Ladder, Profile};
    use std::fs;

    #[test]
    fn finds_the_manifest_of_the_version_that_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap().join("masters");
        fs::create_dir(&root).unwrap();
        for name in ["a b.mp4", "b.mp4"] {
            fs::write(root.join(name), name).unwrap();
        }
        fs::write(root.join("a b.mp4.ladder"), "240p").unwrap();
        let (folder, output) = (Folder { root: root.clone(), except: Vec::new() }, dir.path().join("out"));
        assert_eq!(done_masters(&folder, &output, &Defaults::default()), []);

        let source = source("a b.mp4", &folder.look("a b.mp4").unwrap().version);
        let ladder: Ladder = "240p".parse().unwrap();
        let job = JobId::of(&source, &ladder, &Profile::default());
        let manifest = Manifest {
            format: FORMAT,
            job_id: job,
            attempt: "1".into(),
            worker: "w".into(),
            source: source.clone(),
            ladder,
            profile: Profile::default(),
            master: MasterInfo {
                bytes: 7,
                width: 2,
                height: 2,
                duration_ms: 1,
                video_codec: "h264".into(),
                audio_codec: None,
            },
            renditions: Vec::new(),
            companions: Vec::new(),
            warnings: Vec::new(),
            timings: Timings::default(),
        };
        let text = serde_json::to_vec(&manifest).unwrap();
        let key = format!("{}/{FILE_NAME}", job.output_prefix(&source));
        Store::open(&output).unwrap().put_if_absent(&key, &text).unwrap();
        let done = done_masters(&folder, &output, &Defaults::default());
        assert_eq!(done, [DoneMaster { job, source, manifest }]);

        // Other content is another master.
        fs::write(root.join("a b.mp4"), "longer than before").unwrap();
        assert_eq!(done_masters(&folder, &output, &Defaults::default()), []);
    }
}
