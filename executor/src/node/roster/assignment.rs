//! What the interpreter of one slot should serve, kept from one look to the next: only functions that have changed since are
//! looked at again.

use std::collections::BTreeSet;

use crate::node::interpreter::Functions;

/// What decides, beside the functions themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct AssignmentRule {
    /// It is no spare.
    pub regular: bool,
    /// Functions are served here already: a new one is tried in one interpreter first.
    pub something_to_lose: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Assignment {
    /// As of the last look; `None`: there was none.
    rule: Option<AssignmentRule>,
    /// By number.
    pub functions: Functions,
    changed: BTreeSet<u32>,
}

impl Assignment {
    /// A function has changed.
    pub fn touch(&mut self, number: u32) {
        self.changed.insert(number);
    }

    /// The functions to look at, of `all`: all of them where another rule holds than at the last look.
    pub fn begin(&mut self, rule: AssignmentRule, all: impl Iterator<Item = u32>) -> BTreeSet<u32> {
        let changed = std::mem::take(&mut self.changed);
        if self.rule.replace(rule) == Some(rule) {
            return changed;
        }
        all.chain(self.functions.keys().copied()).collect()
    }
}
