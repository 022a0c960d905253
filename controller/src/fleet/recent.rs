//! What the last few measurements say.

use std::collections::VecDeque;

use reelpool_core::Millis;

/// How many measurements are remembered: enough to even out single ones, few enough to follow a change.
pub(crate) const REMEMBERED: usize = 32;

/// The mean of the last few measurements.
#[derive(Debug, Clone, Default)]
pub struct Recent(VecDeque<Millis>);

impl Recent {
    /// Takes a measurement; the oldest is forgotten.
    pub fn add(&mut self, measured: Millis) {
        if self.0.len() == REMEMBERED {
            self.0.pop_front();
        }
        self.0.push_back(measured);
    }

    /// Their mean; `None` before the first.
    #[must_use]
    pub fn mean(&self) -> Option<Millis> {
        let sum = self.0.iter().fold(Millis::ZERO, |sum, next| sum.plus(*next));
        sum.get().checked_div(self.0.len() as u64).map(Millis::new)
    }
}
