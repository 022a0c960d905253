//! What can be wrong with a message's body.

use super::MAX_BODY_BYTES;

/// Why a body is not a message that Reelpool understands. Every text is one line of bounded length.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// The body is longer than [`MAX_BODY_BYTES`].
    #[error("the body: {bytes} bytes, expected at most {MAX_BODY_BYTES}")]
    TooLong {
        /// Its length in bytes.
        bytes: usize,
    },
    /// The body, or the text inside an SNS envelope, is not JSON, or nests too deeply.
    #[error("{path}: expected JSON: {detail}")]
    NotJson {
        /// Where.
        path: String,
        /// What the JSON parser says, with line and column.
        detail: String,
    },
    /// It is a JSON object of none of the understood forms.
    #[error(
        "{path}: expected an S3 event, an SNS notification, an EventBridge event or a Reelpool job, \
         found an object with {fields}"
    )]
    UnknownForm {
        /// Where.
        path: String,
        /// Its first fields, for a person.
        fields: String,
    },
    /// A field is not there.
    #[error("{path}: missing")]
    Missing {
        /// Which.
        path: String,
    },
    /// A field that this form does not have: a misspelt one would otherwise be ignored in silence.
    #[error("{path}: unknown field, expected only {known}")]
    UnknownField {
        /// Which.
        path: String,
        /// Those that are understood there.
        known: String,
    },
    /// A field holds something else than it should.
    #[error("{path}: expected {expected}, found {found}")]
    Unexpected {
        /// Which.
        path: String,
        /// What should stand there.
        expected: String,
        /// What does.
        found: String,
    },
    /// A field has the right type and a value that cannot be.
    #[error("{path}: {reason}")]
    Invalid {
        /// Which.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl MessageError {
    /// What is wrong: a field by its path, or the whole.
    #[must_use]
    pub fn path(&self) -> &str {
        match self {
            Self::TooLong { .. } => "the body",
            Self::NotJson { path, .. }
            | Self::UnknownForm { path, .. }
            | Self::Missing { path }
            | Self::UnknownField { path, .. }
            | Self::Unexpected { path, .. }
            | Self::Invalid { path, .. } => path,
        }
    }

    /// A stable name for the kind of error, for metrics and the dead-letter queue: `unreadable_message` for
    /// bodies that are too long or not JSON, `unknown_message` for JSON of another form, `invalid_message` for
    /// a known form with something wrong in it.
    #[must_use]
    pub fn category(&self) -> &'static str {
        match self {
            Self::TooLong { .. } | Self::NotJson { .. } => "unreadable_message",
            Self::UnknownForm { .. } => "unknown_message",
            Self::Missing { .. }
            | Self::UnknownField { .. }
            | Self::Unexpected { .. }
            | Self::Invalid { .. } => "invalid_message",
        }
    }
}
