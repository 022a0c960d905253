//! A walk through a JSON document that knows, at each step, the path it has come by.

use std::borrow::Cow;
use std::fmt::Display;
use std::ops::RangeInclusive;

use serde_json::{Map, Value};

use crate::ladder::excerpt;
use crate::message::MessageError;

/// How errors name a profile as a whole.
pub(crate) const PROFILE: &str = "the profile";

/// The path of a field of the object at `path`. Names from outside are cut short.
pub(crate) fn path_of(path: &str, name: &str) -> String {
    let name = excerpt(name);
    if path.is_empty() { name } else { format!("{path}.{name}") }
}

/// The path of an item of the array at `path`.
pub(crate) fn path_of_item(path: &str, index: usize) -> String {
    format!("{path}[{index}]")
}

/// A value in a document and the path to it, such as `Records[0].s3.object.key`.
#[derive(Debug, Clone)]
pub(crate) struct Node<'v> {
    path: String,
    value: &'v Value,
}

impl<'v> Node<'v> {
    /// The document itself. Paths start with `prefix`, which is empty for the message's own body.
    pub(crate) fn root(prefix: &str, value: &'v Value) -> Self {
        Self { path: prefix.to_owned(), value }
    }

    /// The path, for errors.
    pub(crate) fn path(&self) -> String {
        if self.path.is_empty() { "the body".to_owned() } else { self.path.clone() }
    }

    /// The fields of an object.
    pub(crate) fn fields(&self) -> Result<&'v Map<String, Value>, MessageError> {
        self.value.as_object().ok_or_else(|| self.unexpected("an object"))
    }

    /// Whether this is an object with a field of that name, whatever its value.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.value.get(name).is_some()
    }

    /// A field that may be absent; `null` counts as absent.
    pub(crate) fn optional(&self, name: &str) -> Result<Option<Self>, MessageError> {
        let value = self.fields()?.get(name).filter(|value| !value.is_null());
        Ok(value.map(|value| Self { path: self.path_of(name), value }))
    }

    /// A field that must be there.
    pub(crate) fn required(&self, name: &str) -> Result<Self, MessageError> {
        match self.fields()?.get(name) {
            Some(value) => Ok(Self { path: self.path_of(name), value }),
            None => Err(MessageError::Missing { path: self.path_of(name) }),
        }
    }

    /// The items of an array.
    pub(crate) fn items(&self) -> Result<impl ExactSizeIterator<Item = Self> + use<'_, 'v>, MessageError> {
        let items = self.value.as_array().ok_or_else(|| self.unexpected("an array"))?;
        let item = |(i, value)| Self { path: path_of_item(&self.path, i), value };
        Ok(items.iter().enumerate().map(item))
    }

    /// A string.
    pub(crate) fn text(&self) -> Result<&'v str, MessageError> {
        self.value.as_str().ok_or_else(|| self.unexpected("a string"))
    }

    /// A size in bytes.
    pub(crate) fn size(&self) -> Result<u64, MessageError> {
        const EXPECTED: &str = "a size in bytes, a whole number";
        match self.value {
            // Told whole: that it is a number would not explain the refusal.
            Value::Number(number) => {
                number.as_u64().ok_or_else(|| self.says_wrongly(EXPECTED, &number.to_string()))
            }
            _ => Err(self.unexpected(EXPECTED)),
        }
    }

    /// The fields of an object, whatever their names, with those.
    pub(crate) fn each(&self) -> Result<Vec<(&'v str, Self)>, MessageError> {
        let field =
            |(name, value): (&'v String, _)| (name.as_str(), Self { path: self.path_of(name), value });
        Ok(self.fields()?.iter().map(field).collect())
    }

    /// A whole number within bounds.
    pub(crate) fn number<N: TryFrom<i64>>(&self, bounds: &RangeInclusive<i64>) -> Result<N, MessageError> {
        let expected = || format!("a whole number from {} to {}", bounds.start(), bounds.end());
        let Value::Number(number) = self.value else { return Err(self.unexpected(&expected())) };
        let within = number.as_i64().filter(|number| bounds.contains(number));
        let read = within.and_then(|number| N::try_from(number).ok());
        read.ok_or_else(|| self.says_wrongly(&expected(), &number.to_string()))
    }

    /// A string, or the digits of a number as if they were one.
    pub(crate) fn word(&self, expected: &str) -> Result<Cow<'v, str>, MessageError> {
        match self.value {
            Value::String(text) => Ok(text.into()),
            Value::Number(number) => Ok(number.to_string().into()),
            _ => Err(self.unexpected(expected)),
        }
    }

    /// True or false.
    pub(crate) fn truth(&self) -> Result<bool, MessageError> {
        const EXPECTED: &str = "true or false";
        match self.value {
            Value::Bool(truth) => Ok(*truth),
            // Told whole: YAML once read `yes` as true.
            Value::String(text) => Err(self.says_wrongly(EXPECTED, text)),
            _ => Err(self.unexpected(EXPECTED)),
        }
    }

    /// One of a few words.
    pub(crate) fn one_of<T: Copy>(&self, words: &[(&str, T)]) -> Result<T, MessageError> {
        let names: Vec<_> = words.iter().map(|(name, _)| *name).collect();
        let expected = || format!("one of {}", names.join(", "));
        let Value::String(text) = self.value else { return Err(self.unexpected(&expected())) };
        let found = words.iter().find(|(name, _)| name == text).map(|(_, value)| *value);
        found.ok_or_else(|| self.says_wrongly(&expected(), text))
    }

    /// Refuses fields other than these.
    pub(crate) fn only(&self, known: &'static [&'static str]) -> Result<(), MessageError> {
        match self.fields()?.keys().find(|name| !known.contains(&name.as_str())) {
            Some(name) => {
                Err(MessageError::UnknownField { path: self.path_of(name), known: known.join(", ") })
            }
            None => Ok(()),
        }
    }

    /// The error for a value of the wrong type.
    pub(crate) fn unexpected(&self, expected: &str) -> MessageError {
        let found = match self.value {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::String(_) => "a string",
            Value::Array(_) => "an array",
            Value::Object(_) => "an object",
        };
        MessageError::Unexpected { path: self.path(), expected: expected.to_owned(), found: found.to_owned() }
    }

    /// The error for a value of the right type that says the wrong thing: `found`.
    pub(crate) fn says_wrongly(&self, expected: &str, found: &str) -> MessageError {
        let found = format!("`{}`", excerpt(found));
        MessageError::Unexpected { path: self.path(), expected: expected.to_owned(), found }
    }

    /// The error for a value of the right type that is refused for another reason.
    pub(crate) fn invalid(&self, reason: &dyn Display) -> MessageError {
        MessageError::Invalid { path: self.path(), reason: reason.to_string() }
    }

    fn path_of(&self, name: &str) -> String {
        path_of(&self.path, name)
    }
}
