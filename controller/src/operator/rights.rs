//! Whether this process may write.

use crate::lease::Validity;

/// Whether this process may write.
#[derive(Debug)]
pub enum Rights {
    /// There is no other: leader election was switched off.
    Sole,
    /// As long as it leads.
    Lease(Validity),
}

impl Rights {
    /// Whether it may write now. A process that was stopped for a while finds by its own clock that it may not.
    #[must_use]
    pub fn may_write(&self) -> bool {
        match self {
            Self::Sole => true,
            Self::Lease(validity) => validity.is_valid_now(),
        }
    }
}
