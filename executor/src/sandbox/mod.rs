//! How processes are started that users have a say in: interpreters, uv with what it builds, Pythons that a function
//! names. All of them go through here: with a clean environment, and contained by the program `udfleet-interpreter`
//! (`executor/interpreter/src/host`), which takes rights away from itself before it becomes what is to run.

mod level;
mod output;
mod ownership;
mod policy;
mod reach;
mod system;
mod users;
mod variables;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use udfleet_proto::error::Error;

pub use level::Level;
pub use output::{MAX_OUTPUT_BYTES, collect, collect_async};
pub use ownership::{give, show, take_over};
pub use policy::{Policy, readable_through};
pub use reach::closed_at;
pub use users::{LOCKS, UserLease, UserRange, Users};
pub use variables::{for_interpreter, for_tool, uv_cache, uv_settings};

/// A part of the containment that operators can do without.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SandboxPart {
    /// Files, TCP ports and signals.
    Landlock,
    /// System calls and sockets.
    Seccomp,
    /// Users of their own, where the executor is root.
    Users,
}

impl SandboxPart {
    /// What the host calls it; users it is told, or not.
    fn known_to_host(self) -> Option<&'static str> {
        match self {
            Self::Landlock => Some("landlock"),
            Self::Seccomp => Some("seccomp"),
            Self::Users => None,
        }
    }
}

/// What an operator says about containment.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// Parts that are turned off.
    pub without: BTreeSet<SandboxPart>,
    /// Further paths that contained processes may read.
    pub read: Vec<PathBuf>,
    /// Further paths that they may write to.
    pub write: Vec<PathBuf>,
    /// Refuse to start where the kernel can't give all of it.
    pub required: bool,
}

#[derive(Debug)]
struct Contained {
    host: PathBuf,
    /// The executor's own program, as it was found at the start: an upgrade in place unlinks the file that runs.
    executor: PathBuf,
    rules: Rules,
    level: Level,
    users: Option<Users>,
}

/// The way to start such processes.
#[derive(Debug, Clone, Default)]
pub struct Sandbox(Option<Arc<Contained>>);

impl Sandbox {
    /// Starts processes with a clean environment and nothing else.
    #[must_use]
    pub fn off() -> Self {
        Self(None)
    }

    /// Contains them by `host`, and asks it what this machine gives. `executor` unpacks archives.
    ///
    /// # Errors
    /// `INVALID_CONFIG` where all is required and something is missing, or the host can't be run.
    pub async fn on(host: PathBuf, executor: PathBuf, rules: Rules) -> Result<Self, Error> {
        let level = level::check(&host, &rules.without).await?;
        if rules.required {
            level.require_all()?;
        }
        Ok(Self(Some(Arc::new(Contained { host, executor, rules, level, users: None }))))
    }

    /// The same with users of their own for what is started, or with the reason why a root executor has none.
    ///
    /// # Errors
    /// `INVALID_CONFIG` where all is required and there are none.
    pub fn with_users(&self, users: Result<Users, String>) -> Result<Self, Error> {
        let Some(contained) = &self.0 else { return Ok(self.clone()) };
        let (users, level) = match users {
            Ok(users) => (Some(users), contained.level.clone()),
            Err(reason) => (None, contained.level.clone().without_users(reason)),
        };
        if contained.rules.required {
            level.require_all()?;
        }
        let (host, executor) = (contained.host.clone(), contained.executor.clone());
        let rules = contained.rules.clone();
        Ok(Self(Some(Arc::new(Contained { host, executor, rules, level, users }))))
    }

    /// Whether processes can be started as this user.
    pub async fn runs_as(&self, user: u32) -> bool {
        match &self.0 {
            Some(contained) => level::runs_as(&contained.host, user).await,
            None => false,
        }
    }

    /// Users of their own, where the executor is root.
    #[must_use]
    pub fn users(&self) -> Option<&Users> {
        self.0.as_ref()?.users.as_ref()
    }

    /// The user that builds run as, where it is not the executor's.
    #[must_use]
    pub fn builder(&self) -> Option<u32> {
        self.users().map(Users::of_builds)
    }

    /// Whether nothing is contained.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.0.is_none()
    }

    /// The program that unpacks archives; `None` where nothing is contained.
    #[must_use]
    pub fn executor(&self) -> Option<&Path> {
        self.0.as_ref().map(|contained| contained.executor.as_path())
    }

    /// What is in force.
    #[must_use]
    pub fn level(&self) -> Level {
        self.0.as_ref().map_or_else(Level::off, |contained| contained.level.clone())
    }

    /// The command of a program under a policy, without any environment variable.
    #[must_use]
    pub fn command(&self, program: &Path, policy: &Policy) -> Command {
        let mut command = match &self.0 {
            None => Command::new(program),
            Some(contained) => {
                let mut command = Command::new(&contained.host);
                command.args(self.options(policy)).arg("run").arg(program);
                command
            }
        };
        command.env_clear();
        command
    }

    /// What the host is told in front of its task.
    #[must_use]
    pub fn options(&self, policy: &Policy) -> Vec<OsString> {
        let Some(contained) = &self.0 else { return vec!["--contain".into(), "nothing".into()] };
        let mut options = policy.options(&contained.rules);
        if contained.rules.required {
            options.extend(["--require".into(), "all".into()]);
        }
        options
    }
}
