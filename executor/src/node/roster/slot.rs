//! One place for an interpreter.

use crate::node::backoff::Backoff;

/// What the interpreter of a slot does.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum SlotPhase {
    /// There is none that takes calls.
    #[default]
    Vacant,
    /// It takes calls.
    Running,
    /// It takes none for long, because it loads or closes a function.
    Stalled,
    /// It has ended while it was stalled, and its replacement takes no calls yet.
    Replacing,
}

/// One place for an interpreter.
#[derive(Debug, Default)]
pub(super) struct Slot {
    pub(super) phase: SlotPhase,
    pub(super) backoff: Backoff,
}

impl Slot {
    /// True from when its interpreter has gone into service until that ends.
    pub(super) fn in_service(&self) -> bool {
        matches!(self.phase, SlotPhase::Running | SlotPhase::Stalled)
    }

    /// Its interpreter has ended, or has not started.
    pub(super) fn vacate(&mut self) {
        self.phase = match self.phase {
            SlotPhase::Stalled | SlotPhase::Replacing => SlotPhase::Replacing,
            SlotPhase::Running | SlotPhase::Vacant => SlotPhase::Vacant,
        };
    }

    /// Its interpreter has begun an operation that takes long, or has ended one.
    pub(super) fn stall(&mut self, stalled: bool) {
        self.phase = match (self.phase, stalled) {
            (SlotPhase::Running, true) => SlotPhase::Stalled,
            (SlotPhase::Stalled, false) => SlotPhase::Running,
            (phase, _) => phase,
        };
    }
}
