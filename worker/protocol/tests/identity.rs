//! Ladders and job ids: what is the same job and what is another.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, dead_code, reason = "tests")]

mod common;

use common::{any_ladder, any_profile, any_rungs, any_source};
use proptest::prelude::*;
use reelpool_protocol::{JobId, Ladder, Profile, Rung, Source};

fn master(version: Option<&str>, etag: Option<&str>) -> Source {
    Source {
        bucket: "masters".into(),
        key: "in/a ü.mp4".into(),
        version: version.map(Into::into),
        etag: etag.map(Into::into),
        size: Some(7),
    }
}

fn id(source: &Source) -> String {
    id_as(source, &Profile::default())
}

fn id_as(source: &Source, profile: &Profile) -> String {
    JobId::of(source, &"480p,720p".parse().unwrap(), profile).to_string()
}

#[test]
fn ids_stay_what_they_are_from_release_to_release() {
    // SHA-256 over each part behind its length in 8 bytes, worked out apart from this crate.
    assert_eq!(id(&master(Some("v1"), None)), "2f8cb7022656ea7dec7089ec9ce1897e");
    assert_eq!(id(&master(None, Some("e1"))), "da5610714930b3887524e31d0f344911");
    assert_eq!(id(&master(None, None)), "62b3db666feac2dc4a1d7687e7bbd39f");
    let as_written = |profile: &str| id_as(&master(None, None), &Profile::from_json(profile).unwrap());
    // One part more: what is not the default, as JSON without spaces and with names in order.
    for (profile, id) in PROFILES {
        assert_eq!(as_written(profile), id, "{profile}");
    }
}

const PROFILES: [(&str, &str); 5] = [
    (
        r#"{"video":{"codec":"h264","preset":"faster","crf":22},"quality":null}"#,
        "62b3db666feac2dc4a1d7687e7bbd39f",
    ),
    (r#"{"video":{"preset":"veryfast"}}"#, "7201fa3e484a4327fc3893766495f8cb"),
    (r#"{"video":{"codec":"av1","preset":10,"crf":35,"maxKbps":{}}}"#, "0a91bbd1402b4e638f97bf7f0882bbff"),
    (r#"{"video":{"maxKbps":{"720p":3000,"1080p":6000}}}"#, "9234b4515732b2e71db3077a4192d397"),
    (
        r#"{"packaging":["hls"],"audio":{"loudness":-16},"chunkSeconds":30}"#,
        "6d1179567be57dbd54b508fa717bd1d2",
    ),
];

#[test]
fn a_version_outweighs_the_entity_tag_unless_it_is_null() {
    assert_eq!(id(&master(Some("v1"), Some("e1"))), id(&master(Some("v1"), Some("e2"))));
    assert_eq!(id(&master(Some("null"), Some("e1"))), id(&master(None, Some("e1"))));
    assert_ne!(id(&master(Some("null"), Some("e1"))), id(&master(Some("null"), Some("e2"))));
    assert_ne!(id(&master(Some("x"), None)), id(&master(None, Some("x"))));
}

#[test]
fn size_is_not_part_of_the_identity() {
    let unsized_master = Source { size: None, ..master(None, None) };
    assert_eq!(id(&unsized_master), id(&master(None, None)));
}

#[test]
fn output_keys_stay_within_the_stores_limit() {
    let short = master(None, None);
    let job = JobId::of(&short, &Ladder::default(), &Profile::default());
    assert_eq!(job.output_prefix(&short), format!("in/a ü.mp4/{job}"));
    let long = Source { key: "k".repeat(1024), ..short };
    let job = JobId::of(&long, &Ladder::default(), &Profile::default());
    assert_eq!(job.output_prefix(&long), format!("long-keys/{job}"));
}

#[test]
fn texts_that_are_no_id() {
    for text in
        ["", "0", "2F8CB7022656EA7DEC7089EC9CE1897E", "2f8cb7022656ea7dec7089ec9ce1897", "üüüüüüüüüüüüüüüü"]
    {
        assert!(text.parse::<JobId>().is_err(), "{text}");
    }
}

#[test]
fn texts_that_are_no_ladder() {
    for (text, error) in [
        ("", "a ladder needs at least one rung, such as 720p"),
        (" ,, ", "a ladder needs at least one rung, such as 720p"),
        ("720", "`720` is not a rung: write the short side in pixels and a p, such as 720p"),
        ("p", "`p` is not a rung: write the short side in pixels and a p, such as 720p"),
        ("-720p", "`-720p` is not a rung: write the short side in pixels and a p, such as 720p"),
        (
            "99999999999p",
            "`99999999999p` is not a rung: write the short side in pixels and a p, such as 720p",
        ),
        ("14p", "14p is out of range: a rung is between 16p and 4320p"),
        ("4322p", "4322p is out of range: a rung is between 16p and 4320p"),
        ("719p", "719p is odd: video sizes are even, use 720p"),
    ] {
        assert_eq!(
            text.parse::<Ladder>().map_err(|error| error.to_string()),
            Err(error.to_owned()),
            "{text:?}"
        );
    }
    let thirteen: Vec<_> = (1..=13).map(|i| format!("{}p", i * 100)).collect();
    assert!(thirteen.join(",").parse::<Ladder>().is_err());
    assert!(
        format!("{},100p", thirteen[..12].join(",")).parse::<Ladder>().is_ok(),
        "a rung twice is one rung"
    );
}

#[test]
fn ladders_are_read_as_people_write_them() {
    let expected: Ladder = "1080p,720p".parse().unwrap();
    for text in ["720p 1080P", "1080p,\n720p,720p", "\t720p , 1080p ,"] {
        assert_eq!(text.parse::<Ladder>().as_ref(), Ok(&expected), "{text:?}");
    }
    assert_eq!(Ladder::default().to_string(), "1080p,720p,480p,360p");
}

/// Changes one part of a source that its identity is made of.
fn another(source: &Source, which: u8) -> Source {
    let mut other = source.clone();
    match which {
        0 => other.bucket.push('x'),
        1 => other.key.push('x'),
        // The part that counts: the version where there is one, else the entity tag.
        2 => match (&mut other.version, &mut other.etag) {
            (Some(version), _) => version.push('x'),
            (None, Some(etag)) => etag.push('x'),
            (None, none) => *none = Some("x".into()),
        },
        // A character moves from the bucket's end to the key's beginning.
        _ => {
            let moved = other.bucket.pop().unwrap();
            other.key.insert(0, moved);
        }
    }
    other
}

proptest! {
    #[test]
    fn order_and_repetition_make_no_other_ladder(
        (rungs, shuffled) in any_rungs().prop_flat_map(|rungs| (Just(rungs.clone()), Just(rungs).prop_shuffle())),
        source in any_source(),
    ) {
        let ladder = Ladder::try_from(rungs.clone()).unwrap();
        let twice: Vec<Rung> = shuffled.iter().chain(&rungs).copied().collect();
        let same = Ladder::try_from(twice).unwrap();
        prop_assert_eq!(&ladder, &same);
        let id = |ladder| JobId::of(&source, ladder, &Profile::default());
        prop_assert_eq!(id(&ladder), id(&same));
        prop_assert!(ladder.rungs().windows(2).all(|pair| pair[0] > pair[1]));
    }

    #[test]
    fn a_ladder_comes_back(ladder in any_ladder()) {
        prop_assert_eq!(ladder.to_string().parse(), Ok(ladder.clone()));
        let json = serde_json::to_string(&ladder).unwrap();
        prop_assert_eq!(serde_json::from_str::<Ladder>(&json).unwrap(), ladder);
    }

    #[test]
    fn another_master_ladder_or_profile_is_another_job(
        source in any_source(), which in 0..4_u8, ladder in any_ladder(), other_ladder in any_ladder(),
        profile in any_profile(), other_profile in any_profile(),
    ) {
        let id = JobId::of(&source, &ladder, &profile);
        prop_assert_ne!(id, JobId::of(&another(&source, which), &ladder, &profile));
        prop_assert_eq!(id == JobId::of(&source, &other_ladder, &profile), ladder == other_ladder);
        prop_assert_eq!(id == JobId::of(&source, &ladder, &other_profile), profile == other_profile);
    }

    #[test]
    fn an_id_comes_back(source in any_source(), ladder in any_ladder(), profile in any_profile()) {
        let id = JobId::of(&source, &ladder, &profile);
        prop_assert_eq!(id.to_string().parse::<JobId>(), Ok(id));
        let json = serde_json::to_string(&id).unwrap();
        prop_assert_eq!(&json, &format!("\"{id}\""));
        prop_assert_eq!(serde_json::from_str::<JobId>(&json).unwrap(), id);
    }

    #[test]
    fn no_text_is_read_as_a_ladder_it_does_not_say(text in "\\PC{0,20}") {
        if let Ok(ladder) = text.parse::<Ladder>() {
            let written: Vec<String> = ladder.rungs().iter().map(Rung::to_string).collect();
            prop_assert!(written.iter().all(|rung| text.contains(rung.trim_end_matches('p'))));
        }
    }
}
