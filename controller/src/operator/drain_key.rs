//! The key that the tokens of drain requests are made from.
//!
//! One key for all pools, in a Secret in the operator's own namespace. A pool's token is made from the key and the
//! pool's uid, and its workers are given only the token's hash: whoever can read pods cannot drain them, and the
//! operator needs no rights on Secrets anywhere else.

use hmac::{Hmac, KeyInit, Mac};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use sha2::{Digest, Sha256};

use super::deployment::MANAGER;
use crate::said::said;

/// The field of the Secret.
const FIELD: &str = "key";
/// The length of the key in bytes.
const LENGTH: usize = 32;
/// How often the key is written, when another writes the Secret at the same time.
const TRIES: u32 = 5;

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum DrainKeyError {
    /// The Secret could not be read or written.
    #[error(
        "the Secret {name} cannot be used: the chart creates it, and lets the operator read and fill it: {}",
        said(source.as_ref())
    )]
    Secret {
        /// The Secret.
        name: String,
        /// What the API server said.
        source: Box<kube::Error>,
    },
    /// The Secret holds something that is no key.
    #[error(
        "the Secret {name} holds a key of {found} bytes, expected {LENGTH}: delete the field `{FIELD}`, and a new key is made"
    )]
    WrongLength {
        /// The Secret.
        name: String,
        /// The bytes found.
        found: usize,
    },
    /// Others kept writing the Secret.
    #[error("the Secret {0} is written by somebody else all the time: see who does, and make them stop")]
    Contested(String),
    /// The system gave no randomness.
    #[error("the system gives no random bytes to make a key from: {0}")]
    Random(String),
}

/// The key.
#[derive(Clone)]
pub struct DrainKey([u8; LENGTH]);

impl std::fmt::Debug for DrainKey {
    /// Leaves the key out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DrainKey")
    }
}

impl DrainKey {
    /// Reads the key from the Secret `name` in `namespace`; fills it where it is empty.
    pub async fn load(client: Client, namespace: &str, name: &str) -> Result<Self, DrainKeyError> {
        let secrets: Api<Secret> = Api::namespaced(client, namespace);
        let failed = |source| DrainKeyError::Secret { name: name.to_owned(), source: Box::new(source) };
        for _ in 0..TRIES {
            let secret = secrets.get(name).await.map_err(failed)?;
            if let Some(ByteString(key)) = secret.data.as_ref().and_then(|data| data.get(FIELD)) {
                let wrong = |_| DrainKeyError::WrongLength { name: name.to_owned(), found: key.len() };
                return Ok(Self(key.as_slice().try_into().map_err(wrong)?));
            }
            let mut key = [0; LENGTH];
            getrandom::fill(&mut key).map_err(|error| DrainKeyError::Random(error.to_string()))?;
            // Two operators may find it empty at the same time: only one of them writes.
            let filled = Secret {
                metadata: kube::api::ObjectMeta {
                    resource_version: secret.metadata.resource_version,
                    ..Default::default()
                },
                data: Some([(FIELD.to_owned(), ByteString(key.to_vec()))].into()),
                ..Default::default()
            };
            let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
            match secrets.patch(name, &params, &Patch::Merge(&filled)).await {
                Ok(_) => return Ok(Self(key)),
                Err(kube::Error::Api(status)) if status.code == 409 => {}
                Err(error) => return Err(failed(error)),
            }
        }
        Err(DrainKeyError::Contested(name.to_owned()))
    }

    /// The token for drain requests to the workers of the pool with this uid: 64 hexadecimal digits.
    #[must_use]
    pub fn token(&self, pool_uid: &str) -> String {
        // HMAC takes keys of any length.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.0) else { return String::new() };
        mac.update(pool_uid.as_bytes());
        hex(&mac.finalize().into_bytes())
    }
}

/// The SHA-256 of a token, in hexadecimal digits: what workers are given.
#[must_use]
pub fn hash(token: &str) -> String {
    hex(&Sha256::digest(token.as_bytes()))
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_pool_has_a_token_of_its_own_and_its_hash_is_another() {
        let key = DrainKey([7; LENGTH]);
        let token = key.token("a");
        assert_eq!(token.len(), 64);
        assert_eq!(token, key.token("a"));
        assert_ne!(token, key.token("b"));
        assert_ne!(token, DrainKey([8; LENGTH]).token("a"));
        assert_ne!(hash(&token), token);
        // As sha256sum says it.
        assert_eq!(hash("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn what_the_api_server_said_of_the_secret_is_told_in_its_words() {
        let status = kube::core::Status::failure("secrets \"a\" not found", "NotFound").with_code(404);
        let source = Box::new(kube::Error::Api(Box::new(status)));
        let said = DrainKeyError::Secret { name: "a".to_owned(), source }.to_string();
        assert!(said.ends_with("fill it: secrets \"a\" not found"), "{said}");
    }

    #[test]
    fn the_key_is_not_told() {
        assert_eq!(format!("{:?}", DrainKey([7; LENGTH])), "DrainKey");
    }
}
