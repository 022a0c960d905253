//! Any bytes as a file: our own look ends, gives the same answer twice, and takes no list for a container.

#![no_main]

use libfuzzer_sys::fuzz_target;
use reelpool_media::fuzzing::{container, has_encrypted_track};

fuzz_target!(|file: &[u8]| {
    let head = &file[..file.len().min(4096)];
    let found = container(head);
    let lists: [&[u8]; 3] = [b"#EXTM3U", b"ffconcat", b"<?xml"];
    let is_list = lists.iter().any(|start| head.starts_with(start));
    match &found {
        Ok(_) => assert!(!is_list, "a list passes: {:?}", String::from_utf8_lossy(head)),
        Err(error) => {
            assert!(["empty", "not_media", "unsupported_format"].contains(&error.category()));
            assert!(!error.to_string().contains(char::is_control), "{error:?}");
        }
    }
    // A file in memory has no errors of reading.
    has_encrypted_track(file).expect("any boxes are walked");
});
