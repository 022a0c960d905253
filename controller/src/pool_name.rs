//! The name of a pool in its cluster.

use std::fmt;
use std::sync::Arc;

use kube::ResourceExt;
use reelpool_api::WorkerPool;

/// A pool's namespace and name. Shown as `namespace/name`. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PoolName {
    text: Arc<str>,
    /// How long the namespace is.
    namespace: usize,
}

impl PoolName {
    /// The pool `name` in `namespace`.
    #[must_use]
    #[expect(clippy::needless_pass_by_value, reason = "callers have strings of their own")]
    pub fn new(namespace: String, name: String) -> Self {
        Self { text: format!("{namespace}/{name}").into(), namespace: namespace.len() }
    }

    /// The name of `pool`.
    #[must_use]
    pub fn of(pool: &WorkerPool) -> Self {
        Self::new(pool.namespace().unwrap_or_default(), pool.name_any())
    }

    /// Both, as `namespace/name`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Its namespace.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.text[..self.namespace]
    }

    /// Its name within its namespace.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.text[self.namespace + 1..]
    }
}

impl fmt::Display for PoolName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_has_two_parts() {
        let name = PoolName::new("cattube".to_owned(), "masters".to_owned());
        assert_eq!((name.namespace(), name.name(), name.as_str()), ("cattube", "masters", "cattube/masters"));
        let nowhere = PoolName::new(String::new(), "masters".to_owned());
        assert_eq!(
            (nowhere.namespace(), nowhere.name(), nowhere.to_string()),
            ("", "masters", "/masters".into())
        );
    }
}
