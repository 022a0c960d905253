//! Jobs with a profile of their own.

use reelpool_protocol::manifest::{FILE_NAME, Manifest};
use reelpool_protocol::message::job_message;
use reelpool_protocol::{JobRequest, Profile};

use crate::worker::block_on;
use crate::world::{World, files_below, profile};

#[test]
fn a_job_is_made_as_its_message_says_and_others_as_the_worker_is_told() {
    block_on(async {
        let world = World::new();
        let video = world.video("a.mp4");
        let own = Profile::from_json(r#"{"video":{"crf":40},"audio":{"kbps":64}}"#).unwrap();
        let asked = JobRequest { source: video.clone(), ladder: None, profile: Some(own.clone()) };
        world.send_text(&job_message(&asked));
        world.send(&[video]);
        world.finish().await;

        let manifests =
            files_below(&world.at("outputs")).into_iter().filter(|file| file.ends_with(FILE_NAME));
        let read = |file| serde_json::from_slice::<Manifest>(&std::fs::read(file).unwrap()).unwrap();
        let mut made: Vec<_> = manifests.map(read).collect();
        made.sort_by_key(|manifest| manifest.profile.audio_kbps());
        let [as_asked, as_told] = &made[..] else { panic!("{made:#?}\n{world}") };
        assert_eq!(as_asked.profile, own, "the worker's own preset is not for it");
        let told = profile().with_x264_preset("ultrafast".parse().unwrap());
        assert_eq!(Some(&as_told.profile), told.as_ref());
        assert!(as_asked.renditions[0].bytes < as_told.renditions[0].bytes);
    });
}
