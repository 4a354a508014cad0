//! Bugs that can be planted, to see that the simulation finds them.

/// What is broken on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlantedBug {
    None,
    /// What a leader writes does not depend on that it leads.
    FencingOff,
    /// Executors take desired state of any term and revision.
    AnyTerm,
    /// Coordinators do not hear of the epochs that others have given to executors.
    EpochsUnseen,
}
