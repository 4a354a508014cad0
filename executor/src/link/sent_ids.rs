//! Schemas and stages that an interpreter has been sent already.

use std::collections::HashSet;

/// How many schemas, and how many stages, are remembered as sent. The interpreter may forget them earlier, and then asks.
const MAX_SENT: usize = 1000;

/// Ids of schemas or stages that an interpreter has been sent, and need not be sent again.
#[derive(Debug, Default)]
pub struct SentIds(HashSet<u64>);

impl SentIds {
    /// True if it has been sent.
    pub fn contains(&self, id: &u64) -> bool {
        self.0.contains(id)
    }

    /// It has been sent.
    pub fn remember(&mut self, id: u64) {
        if self.0.len() >= MAX_SENT {
            self.0.clear();
        }
        self.0.insert(id);
    }
}
