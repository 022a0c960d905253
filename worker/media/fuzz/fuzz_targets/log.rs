//! Any bytes as a child's log: little is kept of it, in whole lines, however the bytes come.

#![no_main]

use libfuzzer_sys::fuzz_target;
use reelpool_media::fuzzing::log;

fuzz_target!(|bytes: &[u8]| {
    let kept = log(bytes, 8192);
    assert_eq!(kept, log(bytes, 3));
    assert!(kept.tail.len() <= 4096, "{}", kept.tail.len());
    assert!(!kept.tail.contains(|c: char| c.is_control() && c != '\n'));
    assert!(kept.tail.is_empty() || kept.tail.ends_with('\n'));
    let sandbox = kept.sandbox.into_iter().flatten();
    for line in kept.first_error.into_iter().chain(sandbox) {
        assert!(!line.contains(char::is_control) && line.len() <= 4096, "{line:?}");
    }
});
