//! How processes are started that users have a say in: interpreters, uv with what it builds, Pythons that a function
//! names. All of them go through here: with a clean environment, and contained by the program `udfleet-interpreter`
//! (`executor/interpreter/src/host`), which takes rights away from itself before it becomes what is to run.

mod level;
mod policy;
mod system;
mod variables;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use udfleet_proto::error::Error;

pub use level::Level;
pub use policy::{Policy, readable_through};
pub use variables::{for_interpreter, for_tool, uv_cache, uv_settings};

/// What an operator says about containment.
#[derive(Debug, Clone, Default)]
pub struct Rules {
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
    rules: Rules,
    level: Level,
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

    /// Contains them by `host`, and asks it what this machine gives.
    ///
    /// # Errors
    /// `INVALID_CONFIG` where all is required and something is missing, or the host can't be run.
    pub async fn on(host: PathBuf, rules: Rules) -> Result<Self, Error> {
        let level = level::check(&host).await?;
        if rules.required {
            level.require_all()?;
        }
        Ok(Self(Some(Arc::new(Contained { host, rules, level }))))
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
