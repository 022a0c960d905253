use super::*;

#[test]
fn a_name_a_file_or_the_text_itself() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mine.yaml");
    std::fs::write(&path, "# Mine.\nvideo: {codec: av1, preset: 4}\n").unwrap();
    let mine = Profile::from_json(r#"{"video":{"codec":"av1","preset":"4"}}"#).unwrap();
    for (said, profile) in [
        ("av1", Profile::built_in("av1").unwrap()),
        (path.to_str().unwrap(), mine.clone()),
        (r#" {"video":{"codec":"av1","preset":"4"}}"#, mine.clone()),
        ("video: {codec: av1, preset: 4}", mine.clone()),
        ("video:\n  codec: av1\n  preset: \"4\"\n", mine),
        ("{\n\t\"poster\": true\n}", Profile::default()),
    ] {
        assert_eq!(read(said).unwrap(), profile, "{said}");
    }
}

#[test]
fn what_is_wrong_is_said_in_one_line_with_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let crf = file("crf.yaml", "video:\n  codec: h264\n  crf: 99\n");
    let long = file("long.yaml", &"#".repeat(MAX_BYTES + 1));
    let folder = dir.path().to_str().unwrap().to_owned();
    let table = [
        ("h265".to_owned(), "the profile `h265` is neither built in (h264, fast, av1) nor a file: name one of these".to_owned()),
        (String::new(), "the profile `` is neither built in (h264, fast, av1) nor a file: name one of these".to_owned()),
        (crf.clone(), format!("the profile {crf}: video.crf: expected a whole number from 0 to 51, found `99` (line 3, column 8)")),
        (long.clone(), format!("the profile {long}: a profile has at most 65536 bytes, this one has more")),
        (folder.clone(), format!("the profile {folder}: the file cannot be read (Is a directory (os error 21)): name another")),
        ("video:\n  crf: 22\n  crf: 23\n".to_owned(), "the profile given as text: not YAML: video: `crf` is there twice at line 3 column 3".to_owned()),
        ("video: {codek: av1}".to_owned(), "the profile given as text: video.codek: unknown field, expected only codec, preset, crf, maxKbps (line 1, column 9)".to_owned()),
        ("video: [".to_owned(), "the profile given as text: not YAML: did not find expected node content at line 2 column 1, while parsing a flow node".to_owned()),
        ("poster: yes".to_owned(), "the profile given as text: poster: expected true or false, found `yes` (line 1, column 9)".to_owned()),
        ("packaging:\n- mp4\n- webm\n".to_owned(), "the profile given as text: packaging[1]: expected one of mp4, hls, dash, found `webm` (line 3, column 3)".to_owned()),
        ("video: {crf: .nan}".to_owned(), "the profile given as text: video.crf: expected a whole number from 0 to 51, found a string (line 1, column 14)".to_owned()),
        ("- a\n- b\n".to_owned(), "the profile given as text: the profile: expected an object, found an array (line 1, column 1)".to_owned()),
        ("a: 1\n---\nb: 1\n".to_owned(), "the profile given as text: not YAML: deserializing from YAML containing more than one document is not supported".to_owned()),
        ("audio: {kbps: 128, loudness: \"-16\"}".to_owned(), "the profile given as text: audio.loudness: expected a whole number from -70 to -5, found a string (line 1, column 30)".to_owned()),
    ];
    for (said, error) in table {
        assert_eq!(read(&said).unwrap_err().to_string(), error, "{said}");
    }
}

#[test]
fn a_text_that_grows_without_end_is_refused_soon() {
    let lines = (1..20).map(|n| format!("a{n}: &a{n} [{}]\n", vec![format!("*a{}", n - 1); 9].join(",")));
    let bomb = ["a0: &a0 [x]\n".to_owned()].into_iter().chain(lines).collect::<String>();
    assert!(read(&bomb).unwrap_err().to_string().contains("not YAML: repetition limit"), "{bomb}");
    let deep = format!("{{{}", "[".repeat(60_000));
    assert!(read(&deep).is_err());
}

#[test]
fn the_workers_preset_makes_no_other_job() {
    let slow = "slow".parse().unwrap();
    let own = OwnProfile::choose(None, Some(slow)).unwrap();
    assert_eq!(own.profile(), &Profile::default());
    assert_eq!(own.as_made(), &Profile::from_json(r#"{"video":{"preset":"slow"}}"#).unwrap());
    let plain = OwnProfile::choose(Some("av1"), None).unwrap();
    assert_eq!((plain.profile(), plain.as_made()), (&Profile::built_in("av1").unwrap(), plain.profile()));
    let error = OwnProfile::choose(Some("av1"), Some(slow)).unwrap_err().to_string();
    assert_eq!(error, "--preset is x264's, and the profile encodes av1: set video.preset in the profile");
}
