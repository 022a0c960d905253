//! All that is wrong with a pool.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The field, such as `spec.ladder[1]`.
    pub field: String,
    /// What is wrong with it, and what to do.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

/// A pool that cannot be followed: at least one thing is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", one_line(.0))]
pub struct InvalidPool(Vec<Problem>);

fn one_line(problems: &[Problem]) -> String {
    problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("; ")
}

impl InvalidPool {
    pub(super) fn new(field: &str, message: &str) -> Self {
        Self(vec![Problem { field: field.to_owned(), message: message.to_owned() }])
    }

    /// What is wrong, in the order of the spec.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.0
    }

    /// A stable category for logs and metrics.
    #[must_use]
    pub fn category(&self) -> &'static str {
        "invalid_spec"
    }
}

/// Collects what is wrong, so that all of it can be told at once.
#[derive(Debug, Default)]
pub(super) struct Problems(Vec<Problem>);

impl Problems {
    /// Something is wrong with `field`.
    pub(super) fn add(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.0.push(Problem { field: field.into(), message: message.into() });
    }

    /// Reads `text`, which stands at `field`.
    pub(super) fn parse<T: FromStr<Err: fmt::Display>>(&mut self, field: &str, text: &str) -> Option<T> {
        text.parse().map_err(|error: T::Err| self.add(field, error.to_string())).ok()
    }

    /// Reads a number that must be within `bounds`. The least is returned for one that is not.
    pub(super) fn within(&mut self, field: &str, number: i32, bounds: RangeInclusive<u32>) -> u32 {
        match u32::try_from(number) {
            Ok(number) if bounds.contains(&number) => number,
            _ => {
                let (least, most) = (bounds.start(), bounds.end());
                self.add(field, format!("must be from {least} to {most}, and is {number}"));
                *least
            }
        }
    }

    /// That nothing is wrong, or all that is.
    pub(super) fn none(self) -> Result<(), InvalidPool> {
        if self.0.is_empty() { Ok(()) } else { Err(InvalidPool(self.0)) }
    }
}
