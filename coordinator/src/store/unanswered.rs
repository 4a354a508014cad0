//! Transactions whose answer did not come.

use super::{Revision, StoreError};

/// How often a change is looked at again in all.
const LOOKS: u8 = 3;

/// For changes that are made in a loop of reading, and writing on condition that nothing has changed since: one that was not
/// answered goes round once more, as after a lost race. What is read then tells whether it has happened, and a condition on
/// that keeps what is still on its way from happening later.
#[derive(Debug, Default)]
pub struct UnansweredWrites(u8);

impl UnansweredWrites {
    /// The answer, or `None` where the change has to be looked at again.
    ///
    /// # Errors
    /// Those of the store; [`StoreError::Unavailable`] once that has been in vain a few times.
    pub fn again(&mut self, answer: Result<Option<Revision>, StoreError>) -> Result<Option<Revision>, StoreError> {
        match answer {
            Err(StoreError::Unavailable(_)) if self.0 < LOOKS => {
                self.0 += 1;
                Ok(None)
            }
            answer => answer,
        }
    }

    /// True where some answer has not come.
    #[must_use]
    pub fn any(&self) -> bool {
        self.0 > 0
    }
}
