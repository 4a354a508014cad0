//! What a caller may do: rights, and the roles that give them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One thing that a caller may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Right {
    /// Call functions.
    Call,
    /// Register and drop functions.
    Register,
    /// See what the fleet does: executors, progress, logs, row errors, profiles.
    Observe,
    /// Tokens, drains, backups.
    Admin,
    /// Serve as an executor.
    Attach,
    /// Exchange a join token for an executor's credential, or renew one.
    Join,
    /// Ask executors as a coordinator does.
    Coordinate,
    /// Read capsules: values of batches that failed.
    Inspect,
}

impl Right {
    /// What gives this right, for messages: "the role call".
    #[must_use]
    pub fn source(self) -> &'static str {
        match self {
            Self::Call => "the role call",
            Self::Register => "the role register",
            Self::Observe => "the role observe",
            Self::Admin => "the role admin",
            Self::Attach => "an executor's credential",
            Self::Join => "a join token",
            Self::Coordinate => "a coordinator's ticket",
            Self::Inspect => "the role inspect",
        }
    }
}

/// A set of rights.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rights(u8);

impl Rights {
    /// Everything.
    pub const ALL: Self = Self(u8::MAX);

    /// These.
    #[must_use]
    pub const fn of(rights: &[Right]) -> Self {
        let (mut bits, mut index) = (0, 0);
        while index < rights.len() {
            bits |= 1 << rights[index] as u8;
            index += 1;
        }
        Self(bits)
    }

    /// Those of roles.
    #[must_use]
    pub fn of_roles(roles: &[Role]) -> Self {
        Self(roles.iter().fold(0, |bits, role| bits | role.rights().0))
    }

    /// With one more.
    #[must_use]
    pub const fn with(self, right: Right) -> Self {
        Self(self.0 | (1 << right as u8))
    }

    /// True where it is among them.
    #[must_use]
    pub const fn has(self, right: Right) -> bool {
        self.0 & (1 << right as u8) != 0
    }
}

/// A named set of rights, as tokens have them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Everything that people do: the other roles, tokens, drains and backups. Not what executors do.
    Admin,
    /// Register and drop functions.
    Register,
    /// Call functions.
    Call,
    /// See what the fleet does.
    Observe,
    /// Read the values of batches that failed, where functions keep them.
    Inspect,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Admin, Self::Register, Self::Call, Self::Observe, Self::Inspect];

    /// As people write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Register => "register",
            Self::Call => "call",
            Self::Observe => "observe",
            Self::Inspect => "inspect",
        }
    }

    /// The role of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }

    /// What it gives.
    #[must_use]
    pub fn rights(self) -> Rights {
        match self {
            Self::Admin => Rights::of(&[Right::Admin, Right::Register, Right::Call, Right::Observe, Right::Inspect]),
            Self::Register => Rights::of(&[Right::Register]),
            Self::Call => Rights::of(&[Right::Call]),
            Self::Observe => Rights::of(&[Right::Observe]),
            Self::Inspect => Rights::of(&[Right::Observe, Right::Inspect]),
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_admin_is_no_executor() {
        let admin = Role::Admin.rights();
        for right in [Right::Admin, Right::Register, Right::Call, Right::Observe, Right::Inspect] {
            assert!(admin.has(right) && Rights::ALL.has(right), "{right:?}");
        }
        for right in [Right::Attach, Right::Join, Right::Coordinate] {
            assert!(!admin.has(right) && Rights::ALL.has(right), "{right:?}");
        }
        assert!(!Rights::default().has(Right::Call));
    }

    #[test]
    fn roles_add_up_and_have_names() {
        let both = Rights::of_roles(&[Role::Call, Role::Observe]);
        assert!(both.has(Right::Call) && both.has(Right::Observe) && !both.has(Right::Register));
        assert!(!both.has(Right::Inspect) && Role::Inspect.rights().has(Right::Observe));
        for role in Role::ALL {
            assert_eq!(Role::named(role.name()), Some(role));
        }
        assert_eq!(Role::named("root"), None);
    }
}
