//! A profile as YAML text, of which JSON is a part.

use std::fmt;

use reelpool_protocol::Profile;
use reelpool_protocol::profile::ProfileError;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// The longest text that is read, in bytes.
pub const MAX_BYTES: usize = 64 * 1024;
/// How much of what the YAML parser says is told, in characters.
const MAX_SAID: usize = 200;

/// Reads a profile.
pub fn from_yaml(text: &str) -> Result<Profile, YamlError> {
    if text.len() > MAX_BYTES {
        return Err(YamlError::TooLong);
    }
    let Document(value) = serde_yaml::from_str(text).map_err(|error| YamlError::not_yaml(&error))?;
    Profile::from_value(&value).map_err(|error| {
        let at = error.locate(serde_yaml::Deserializer::from_str(text));
        let place = at.as_ref().and_then(serde_yaml::Error::location);
        YamlError::Wrong {
            error,
            place: place.map(|place| Place { line: place.line(), column: place.column() }),
        }
    })
}

/// Why a text is no profile. Each is one line of bounded length.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum YamlError {
    /// It is longer than [`MAX_BYTES`].
    #[error("a profile has at most {MAX_BYTES} bytes, this one has more")]
    TooLong,
    /// It is not YAML.
    #[error("not YAML: {0}")]
    NotYaml(String),
    /// It is YAML, and something in it is wrong.
    #[error("{error}{}", .place.map(|place| format!(" ({place})")).unwrap_or_default())]
    Wrong {
        /// What is wrong.
        error: ProfileError,
        /// Where that is.
        place: Option<Place>,
    },
}

impl YamlError {
    fn not_yaml(error: &serde_yaml::Error) -> Self {
        let said = error.to_string();
        Self::NotYaml(said.chars().take(MAX_SAID).map(|c| if c.is_control() { ' ' } else { c }).collect())
    }
}

/// A place in a text; both count from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The character in it.
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// A document in which no field stands twice.
struct Document(Value);

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader).map(Self)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, a number, true, false, a list or an object")
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Value, E> {
        Ok(truth.into())
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        // JSON has neither infinity nor NaN.
        Ok(Number::from_f64(number).map_or_else(|| number.to_string().into(), Value::Number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut read = Vec::new();
        while let Some(Document(item)) = items.next_element()? {
            read.push(item);
        }
        Ok(read.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut read = Map::new();
        while let Some(name) = fields.next_key_seed(NewName(&read))? {
            let Document(value) = fields.next_value()?;
            read.insert(name, value);
        }
        Ok(read.into())
    }
}

/// The name of a field that is not among these.
struct NewName<'m>(&'m Map<String, Value>);

impl<'de> DeserializeSeed<'de> for NewName<'_> {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for NewName<'_> {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a field")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<String, E> {
        if self.0.contains_key(name) {
            return Err(E::custom(format_args!("`{name}` is there twice")));
        }
        Ok(name.to_owned())
    }
}
