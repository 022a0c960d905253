//! Keys and paths: which file stands for which key.
//!
//! A key is split at `/`, and each part is the name of a folder or file. What a file system cannot hold is escaped
//! with `%`, so that different keys have different paths, no path leaves the store, and ordinary keys are their own
//! paths:
//!
//! | in a key | on disk |
//! |---|---|
//! | `%`, control characters | `%25`, `%0A`: two hexadecimal digits for each byte |
//! | a part `.` or `..` | `%2E`, `%2E%2E` |
//! | an empty part (`a//b`, `/a`, `a/`) | `%` |
//! | a first part `.incoming`, the store's own | `%2Eincoming` |
//! | a part of more than 255 bytes | folders of up to 250 bytes whose names end in `%+`, then the rest |
//!
//! Unlike in a bucket, an object `a` and an object `a/b` cannot both be there: the later write is refused. Keys that
//! Reelpool makes never clash so, because each job's outputs are files in a folder of its own.

use std::path::{Component, Path};

use super::INCOMING;
use crate::SpoolError;

/// The longest key, in bytes: as S3.
pub const MAX_KEY_BYTES: usize = 1024;
/// The longest name a file may have on common file systems, in bytes.
const MAX_NAME_BYTES: usize = 255;
/// Where longer names are split; leaves room for the mark and for a character that is not cut in two.
const SPLIT_BYTES: usize = 250;
/// Ends a name that goes on in the next one.
const GOES_ON: &str = "%+";
/// Stands for an empty part.
const EMPTY: &str = "%";

/// The names, from the store's folder downwards, that stand for a key. There is at least one.
pub(crate) fn to_components(key: &str) -> Result<Vec<String>, SpoolError> {
    let refuse = |problem| Err(SpoolError::Key { key: shorten(key), problem });
    if key.is_empty() {
        return refuse("it is empty: name an object");
    }
    if key.len() > MAX_KEY_BYTES {
        return refuse("it is longer than 1024 bytes: use a shorter name");
    }
    let mut components = Vec::new();
    for (i, part) in key.split('/').enumerate() {
        let mut name = escape(part, i == 0);
        while name.len() > MAX_NAME_BYTES {
            let rest = name.split_off(split_at(&name));
            name.push_str(GOES_ON);
            components.push(std::mem::replace(&mut name, rest));
        }
        components.push(name);
    }
    Ok(components)
}

/// The key that a path, relative to the store's folder, stands for; `None` when it stands for none, as a file that
/// something else put there may.
pub(crate) fn from_path(path: &Path) -> Option<String> {
    let mut key = String::new();
    let mut components = path.components().peekable();
    while let Some(component) = components.next() {
        let Component::Normal(name) = component else {
            return None;
        };
        let name = name.to_str()?;
        if let Some(start) = name.strip_suffix(GOES_ON) {
            components.peek()?;
            key.push_str(&unescape(start)?);
            continue;
        }
        if name != EMPTY {
            key.push_str(&unescape(name)?);
        }
        if components.peek().is_some() {
            key.push('/');
        }
    }
    // Names that no key maps to, such as one escaped for no reason, are not ours.
    let ours = to_components(&key)
        .is_ok_and(|names| names.iter().map(String::as_str).eq(path.iter().map_while(|c| c.to_str())));
    ours.then_some(key)
}

fn escape(part: &str, first: bool) -> String {
    match part {
        "" => return EMPTY.to_owned(),
        "." => return "%2E".to_owned(),
        ".." => return "%2E%2E".to_owned(),
        INCOMING if first => return format!("%2E{}", INCOMING.trim_start_matches('.')),
        _ => {}
    }
    let mut name = String::with_capacity(part.len());
    for c in part.chars() {
        // Control characters beyond ASCII (C1) are no trouble to a file system.
        if c == '%' || c.is_ascii_control() {
            name.extend(format!("%{:02X}", u32::from(c)).chars());
        } else {
            name.push(c);
        }
    }
    name
}

fn unescape(name: &str) -> Option<String> {
    let mut part = String::with_capacity(name.len());
    let mut rest = name;
    while let Some((plain, escaped)) = rest.split_once('%') {
        part.push_str(plain);
        let byte = u8::from_str_radix(escaped.get(..2)?, 16).ok().filter(u8::is_ascii)?;
        part.push(char::from(byte));
        rest = escaped.get(2..)?;
    }
    part.push_str(rest);
    Some(part)
}

/// Where to split a long name: neither inside a character nor inside an escape.
fn split_at(name: &str) -> usize {
    let at = name.floor_char_boundary(SPLIT_BYTES);
    match name.get(..at).and_then(|start| start.rfind('%')) {
        Some(escape) if at - escape < 3 => escape,
        _ => at,
    }
}

/// Enough of a key to know it by, on one line.
fn shorten(key: &str) -> String {
    const LIMIT: usize = 60;
    let mut short: String = key.chars().take(LIMIT).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if key.chars().nth(LIMIT).is_some() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use proptest::prelude::*;

    use super::*;

    fn path(key: &str) -> String {
        to_components(key).unwrap().join("/")
    }

    #[test]
    fn ordinary_keys_are_their_own_paths() {
        for key in
            ["a.mp4", "2024/März/a b.mp4", "x/.hidden/..y/z...", "x/.incoming/y", "猫/🎬.mov", "a+b=c&d#e?"]
        {
            assert_eq!(path(key), key);
        }
    }

    #[test]
    fn what_no_file_system_holds_is_escaped() {
        for (key, expected) in [
            ("../etc/passwd", "%2E%2E/etc/passwd"),
            ("/etc/passwd", "%/etc/passwd"),
            ("a/./b", "a/%2E/b"),
            ("a//b/", "a/%/b/%"),
            ("a\0b\n%", "a%00b%0A%25"),
            (".incoming/x", "%2Eincoming/x"),
            ("50%25.mp4", "50%2525.mp4"),
        ] {
            assert_eq!(path(key), expected);
        }
    }

    #[test]
    fn long_parts_are_split_and_found_again() {
        for key in [
            "x".repeat(1024),
            "%".repeat(1000),
            "é".repeat(512),
            format!("{}/b", "a".repeat(256)),
            "y".repeat(255),
        ] {
            let names = to_components(&key).unwrap();
            assert!(names.iter().all(|name| name.len() <= MAX_NAME_BYTES), "{names:?}");
            assert_eq!(from_path(&names.iter().collect::<PathBuf>()), Some(key));
        }
        assert_eq!(to_components(&"y".repeat(255)).unwrap().len(), 1);
    }

    #[test]
    fn keys_that_cannot_be_are_refused() {
        assert!(matches!(to_components(""), Err(SpoolError::Key { .. })));
        assert!(matches!(to_components(&"x".repeat(1025)), Err(SpoolError::Key { .. })));
    }

    #[test]
    fn foreign_names_are_no_keys() {
        for name in ["a%", "%2", "%41", "%zz", "a%+", "%2e", "%C3", "..", "%+/x"] {
            assert_eq!(from_path(Path::new(name)), None, "{name}");
        }
    }

    fn any_key() -> impl Strategy<Value = String> {
        let part = prop_oneof![
            Just(String::new()),
            Just(".".to_owned()),
            Just("..".to_owned()),
            Just(INCOMING.to_owned()),
            "[a%+2E5./\u{0}é]{0,12}",
            "[%+aé]{240,260}",
        ];
        proptest::collection::vec(part, 1..5)
            .prop_map(|parts| parts.join("/"))
            .prop_filter("keys are not empty and not too long", |key| {
                (1..=MAX_KEY_BYTES).contains(&key.len())
            })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

        /// Every key has its way back, so no two share a path; and no path leaves the store or is too long.
        #[test]
        fn paths_lead_back_to_their_keys(key in any_key()) {
            let names = to_components(&key).unwrap();
            for name in &names {
                prop_assert!(!name.is_empty() && name.len() <= MAX_NAME_BYTES);
                prop_assert!(name != "." && name != ".." && !name.contains(['/', '\0']));
            }
            prop_assert_ne!(&names[0], INCOMING);
            prop_assert_eq!(from_path(&names.iter().collect::<PathBuf>()), Some(key));
        }

        /// Reading any name gives a key that maps to that name, or nothing.
        #[test]
        fn names_are_read_as_written(name in "[a%+2E5.é/]{1,20}") {
            if let Some(key) = from_path(Path::new(&name)) {
                let written: PathBuf = to_components(&key).unwrap().iter().collect();
                prop_assert_eq!(written.as_path(), Path::new(&name));
            }
        }
    }
}
