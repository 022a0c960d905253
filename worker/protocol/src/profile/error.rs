//! What can be wrong with a profile, and where in its document that is.

use std::fmt::{self, Display};

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::json;
use crate::message::MessageError;

/// Why a document is not a profile: the field, what is allowed there and what was found, in one line of bounded
/// length.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {problem}")]
pub struct ProfileError {
    path: String,
    problem: String,
    /// Whether the field itself is wrong, not its value.
    is_field: bool,
}

impl ProfileError {
    pub(super) fn not_json(error: &serde_json::Error) -> Self {
        let problem = format!("expected JSON: {error}");
        Self { path: json::PROFILE.to_owned(), problem, is_field: false }
    }

    /// The field, such as `video.maxKbps.1080p` or `packaging[1]`; `the profile` for the whole.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What is wrong with it.
    #[must_use]
    pub fn problem(&self) -> &str {
        &self.problem
    }

    /// Reads `document`, which is the one that was refused, as far as to the place that this error is about, and
    /// fails there: the error of a format that tells lines and columns then tells those of the place. `None` when the
    /// document has no such place.
    pub fn locate<'de, D: Deserializer<'de>>(&self, document: D) -> Option<D::Error> {
        let at = if self.path == json::PROFILE { json::PROFILE } else { "" };
        Seek { error: self, at: at.to_owned() }.deserialize(document).err()
    }
}

impl From<MessageError> for ProfileError {
    fn from(error: MessageError) -> Self {
        let path = error.path().to_owned();
        let is_field = matches!(error, MessageError::UnknownField { .. });
        let text = error.to_string();
        let problem = text.strip_prefix(&format!("{path}: ")).unwrap_or(&text).to_owned();
        Self { path, problem, is_field }
    }
}

/// The value at the path `at`, in which an error's place is looked for.
struct Seek<'e> {
    error: &'e ProfileError,
    at: String,
}

impl Seek<'_> {
    /// Fails when this is the place.
    fn here<E: Error>(&self) -> Result<(), E> {
        if self.at == self.error.path && !self.error.is_field { Err(E::custom(self.error)) } else { Ok(()) }
    }
}

impl<'de> DeserializeSeed<'de> for Seek<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

macro_rules! leaves {
    ($($visit:ident: $type:ty),*) => {
        $(fn $visit<E: Error>(self, _: $type) -> Result<(), E> { self.here() })*
    };
}

impl<'de> Visitor<'de> for Seek<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    leaves!(visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64, visit_str: &str);

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.here()
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        self.here()?;
        for index in 0.. {
            let at = json::path_of_item(&self.at, index);
            if items.next_element_seed(Seek { error: self.error, at })?.is_none() {
                break;
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        self.here()?;
        while let Some(at) = fields.next_key_seed(Field(&self))? {
            if self.error.path.starts_with(&at) {
                fields.next_value_seed(Seek { error: self.error, at })?;
            } else {
                fields.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

/// A field's name, read as its path.
struct Field<'s, 'e>(&'s Seek<'e>);

impl<'de> DeserializeSeed<'de> for Field<'_, '_> {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Field<'_, '_> {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a field")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<String, E> {
        let Seek { error, at } = self.0;
        let path = json::path_of(at, name);
        if error.is_field && path == error.path { Err(E::custom(error as &dyn Display)) } else { Ok(path) }
    }
}
