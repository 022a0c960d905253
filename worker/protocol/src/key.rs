//! How S3 writes keys in its events: form encoding with the slashes left alone.
//!
//! `in/some file+ü (1).mp4` is `in/some+file%2B%C3%BC+%281%29.mp4`.

use form_urlencoded::byte_serialize;

/// Why an encoded key cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum KeyError {
    /// A `%` that begins no escape. Guessing would name another object.
    #[error("expected a URL-encoded key: `%` is not followed by two hexadecimal digits")]
    BadEscape,
    /// S3's keys are UTF-8.
    #[error("expected a URL-encoded key: it is not UTF-8 when decoded")]
    NotUtf8,
}

/// Encodes a key as S3 does.
pub(crate) fn encode(key: &str) -> String {
    let mut encoded = String::with_capacity(key.len());
    for (i, part) in key.split('/').enumerate() {
        if i > 0 {
            encoded.push('/');
        }
        encoded.extend(byte_serialize(part.as_bytes()));
    }
    encoded
}

/// Decodes a key of an S3 event.
///
/// Strict where `form_urlencoded::parse` is lenient: that one splits at `&` and `=`, which some servers leave as
/// they are, keeps broken escapes, and replaces what is not UTF-8.
pub(crate) fn decode(encoded: &str) -> Result<String, KeyError> {
    let mut decoded = Vec::with_capacity(encoded.len());
    let mut rest = encoded.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => {
                let (escape, after) = rest.split_at_checked(2).ok_or(KeyError::BadEscape)?;
                rest = after;
                let [high, low] = [escape[0], escape[1]].map(|digit| char::from(digit).to_digit(16));
                let (high, low) = high.zip(low).ok_or(KeyError::BadEscape)?;
                u8::try_from(high * 16 + low).map_err(|_| KeyError::BadEscape)?
            }
            other => other,
        });
    }
    String::from_utf8(decoded).map_err(|_| KeyError::NotUtf8)
}

#[cfg(test)]
mod tests {
    use super::{KeyError, decode, encode};

    #[test]
    fn keys_are_written_as_s3_writes_them() {
        for (key, encoded) in [
            ("in/some file+ü (1).mp4", "in/some+file%2B%C3%BC+%281%29.mp4"),
            ("a-b_c.d*e", "a-b_c.d*e"),
            ("//x/", "//x/"),
            ("a&b=c%d~e'f!", "a%26b%3Dc%25d%7Ee%27f%21"),
        ] {
            assert_eq!(encode(key), encoded);
            assert_eq!(decode(encoded).as_deref(), Ok(key));
        }
    }

    #[test]
    fn other_servers_encodings_are_read_too() {
        assert_eq!(decode("in%2fsome%20file").as_deref(), Ok("in/some file"));
        assert_eq!(decode("raw/ü&x=y").as_deref(), Ok("raw/ü&x=y"));
    }

    #[test]
    fn what_cannot_be_decoded_is_refused() {
        for broken in ["%", "a%2", "%zz", "100%+", "%+1", "%2\u{fc}"] {
            assert_eq!(decode(broken), Err(KeyError::BadEscape), "{broken}");
        }
        for not_utf8 in ["%FF", "%C3", "a%C3+b", "%ED%A0%80"] {
            assert_eq!(decode(not_utf8), Err(KeyError::NotUtf8), "{not_utf8}");
        }
    }
}
