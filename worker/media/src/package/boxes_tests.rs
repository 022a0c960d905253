use std::io::Cursor;

use proptest::prelude::*;

use super::*;
use crate::package::fixtures::boxed;

/// Where the body of a box starts and where it ends, or what is wrong with it.
type Found = Result<(u64, u64), &'static str>;

fn place_in(bytes: &[u8]) -> Found {
    match place(&mut Cursor::new(bytes), 0, bytes.len() as u64) {
        Ok(place) => Ok((place.body, place.end)),
        Err(TrackError::Damaged { what, .. }) => Err(what),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn a_box_of_a_file_has_three_kinds_of_size() {
    let long = [b"\0\0\0\x01mdat\0\0\0\0\0\0\0\x14".as_slice(), &[0; 9]].concat();
    let table: [(&[u8], Found); 7] = [
        (b"\0\0\0\x0amdat1234", Ok((8, 10))),
        (b"\0\0\0\0mdat1234", Ok((8, 12))),
        (&long, Ok((16, 20))),
        (b"\0\0\0\x0dmdat1234", Err("the file ends in it")),
        (b"\0\0\0\x07mdat1234", Err("it is shorter than its own header")),
        (b"\0\0\0\x01mdat\0\0\0", Err("the file ends in it")),
        (b"\0\0\0\x08mda", Err("the file ends in it")),
    ];
    for (bytes, expected) in table {
        assert_eq!(place_in(bytes), expected, "{bytes:?}");
    }
}

#[test]
fn boxes_in_memory_end_before_the_first_that_does_not_fit() {
    let bytes = [boxed("aaaa", b"1"), boxed("bbbb", b""), b"\0\0\0\x63cccc".to_vec()].concat();
    let found: Vec<_> = boxes(&bytes).collect();
    assert_eq!(found, [(*b"aaaa", b"1".as_slice()), (*b"bbbb", b"")]);
    assert!(matches!(child(&bytes, "cccc"), Err(TrackError::Missing("cccc"))));
}

#[test]
fn a_box_longer_than_allowed_is_not_read() {
    let bytes = boxed("moov", &[0; 100]);
    let mut file = Cursor::new(&bytes);
    let found = place(&mut file, 0, 108).unwrap();
    assert_eq!(body(&mut file, found, 100).unwrap().len(), 100);
    assert!(matches!(body(&mut file, found, 99), Err(TrackError::Damaged { at: 0, .. })));
}

proptest! {
    #[test]
    fn any_bytes_are_walked(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let held: usize = boxes(&bytes).map(|(_, body)| body.len() + 8).sum();
        prop_assert!(held <= bytes.len());
    }
}
