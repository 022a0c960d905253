//! The token that allows to drain.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};

/// The length of a SHA-256 in bytes.
const LENGTH: usize = 32;

/// What is known of the bearer token that allows to drain: its SHA-256, never itself.
///
/// A worker that is given only the hash, as in a cluster where many may read pods, tells nobody the token.
#[derive(Clone, PartialEq, Eq)]
pub struct DrainToken([u8; LENGTH]);

impl DrainToken {
    /// Of the token itself.
    #[must_use]
    pub fn of(token: &str) -> Self {
        Self(Sha256::digest(token.as_bytes()).into())
    }

    /// Whether `given` is the token. Its time does not tell how much was right.
    #[must_use]
    pub fn admits(&self, given: &str) -> bool {
        let Self(given) = Self::of(given);
        self.0.iter().zip(given).fold(0, |differ, (own, given)| differ | (own ^ given)) == 0
    }
}

impl fmt::Debug for DrainToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DrainToken")
    }
}

impl FromStr for DrainToken {
    type Err = DrainTokenError;

    /// Reads the SHA-256 of a token, as 64 hexadecimal digits.
    fn from_str(hash: &str) -> Result<Self, DrainTokenError> {
        if hash.len() != 2 * LENGTH || !hash.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(DrainTokenError);
        }
        let mut bytes = [0; LENGTH];
        for (index, byte) in bytes.iter_mut().enumerate() {
            let digits = hash.get(2 * index..2 * index + 2).ok_or(DrainTokenError)?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| DrainTokenError)?;
        }
        Ok(Self(bytes))
    }
}

/// A text is not the SHA-256 of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a SHA-256: write it as 64 hexadecimal digits, as `printf %s TOKEN | sha256sum` does")]
pub struct DrainTokenError;

#[cfg(test)]
mod tests {
    use super::*;

    /// `printf %s abc | sha256sum`
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn the_hash_and_the_token_admit_the_same() {
        let by_hash: DrainToken = ABC.parse().unwrap();
        assert_eq!(by_hash, DrainToken::of("abc"));
        assert_eq!(ABC.to_uppercase().parse(), Ok(DrainToken::of("abc")));
        assert!(by_hash.admits("abc"));
        for other in ["", "ab", "abcd", "Abc", ABC] {
            assert!(!by_hash.admits(other), "{other}");
        }
    }

    #[test]
    fn what_is_no_hash_is_refused() {
        for wrong in
            ["", "abc", &ABC[1..], &format!("{ABC}0"), &ABC.replace('b', "g"), &ABC.replace("ba", "é")]
        {
            assert_eq!(wrong.parse::<DrainToken>(), Err(DrainTokenError), "{wrong}");
        }
    }

    #[test]
    fn it_is_not_told() {
        assert_eq!(format!("{:?}", DrainToken::of("abc")), "DrainToken");
    }
}
