//! How much of the containment is in force.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Output, Stdio};

use udfleet_proto::error::Error;
use udfleet_proto::v1::{ErrorCode, SandboxLevel, SandboxStatus};

use super::{SandboxPart, collect_async};

/// From this version on Landlock knows files, TCP ports and signals.
const WHOLE_LANDLOCK: u32 = 6;

/// From this version on Landlock knows TCP ports.
const LANDLOCK_OF_PORTS: u32 = 4;

/// What is in force, by parts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Level {
    off: bool,
    landlock: u32,
    seccomp: bool,
    no_new_privs: bool,
    /// Parts that the operator has turned off.
    without: BTreeSet<SandboxPart>,
    /// Why a root executor has no users of their own for what it starts.
    no_users: Option<String>,
}

impl Level {
    /// Nothing.
    #[must_use]
    pub fn off() -> Self {
        Self { off: true, ..Self::default() }
    }

    /// The answer of the host: `name=value` pairs.
    fn parse(text: &str) -> Option<Self> {
        let mut level = Self::default();
        for pair in text.split_whitespace() {
            let (name, value) = pair.split_once('=')?;
            let value: u32 = value.parse().ok()?;
            match name {
                "landlock" => level.landlock = value,
                "seccomp" => level.seccomp = value > 0,
                "no_new_privs" => level.no_new_privs = value > 0,
                _ => {}
            }
        }
        Some(level)
    }

    /// Functions run as the executor's own user, root.
    pub(super) fn without_users(self, reason: String) -> Self {
        Self { no_users: Some(reason), ..self }
    }

    /// As coordinators are told.
    #[must_use]
    pub fn status(&self) -> SandboxStatus {
        let missing = self.missing();
        let level = match (self.off, missing.is_empty()) {
            (true, _) => SandboxLevel::Off,
            (false, true) => SandboxLevel::Full,
            (false, false) => SandboxLevel::Partial,
        };
        SandboxStatus {
            level: level as i32,
            missing,
            closes_network: self.seccomp,
            bounds_ports: self.seccomp && self.landlock >= LANDLOCK_OF_PORTS,
        }
    }

    /// What is missing, for people.
    #[must_use]
    pub fn missing(&self) -> Vec<String> {
        if self.off {
            return vec!["it is turned off".to_owned()];
        }
        let mut missing = Vec::new();
        if self.without.contains(&SandboxPart::Landlock) {
            missing.push("Landlock is turned off: files, TCP ports and signals are not bounded".to_owned());
        } else if self.landlock == 0 {
            missing.push("Landlock: files, TCP ports and signals are not bounded (Linux 6.12 has it)".to_owned());
        } else if self.landlock < WHOLE_LANDLOCK {
            let version = self.landlock;
            missing.push(format!("Landlock is of version {version}, which does not bound signals (Linux 6.12 does)"));
        }
        if self.without.contains(&SandboxPart::Seccomp) {
            missing.push("seccomp is turned off: system calls are not bounded".to_owned());
        } else if !self.seccomp {
            missing.push("seccomp: system calls are not bounded".to_owned());
        }
        if !self.no_new_privs {
            missing.push("no_new_privs: programs with set-user-ID keep their rights".to_owned());
        }
        if let Some(reason) = &self.no_users {
            missing.push(format!("users: functions run as root, without its rights: {reason}"));
        }
        missing
    }

    /// # Errors
    /// `INVALID_CONFIG` naming what is missing.
    pub(super) fn require_all(&self) -> Result<(), Error> {
        let missing = self.missing();
        if missing.is_empty() {
            return Ok(());
        }
        let message = format!("require_sandbox: interpreters can't be contained here: {}", missing.join("; "));
        Err(Error::new(ErrorCode::InvalidConfig, message)
            .hint("run the executor on a newer kernel, or without --require-sandbox"))
    }
}

/// Asks the host.
pub(super) async fn check(host: &Path, without: &BTreeSet<SandboxPart>) -> Result<Level, Error> {
    let problem = |what: String| {
        Error::new(ErrorCode::InvalidConfig, format!("{} can't tell how it contains: {what}", host.display()))
            .hint("install all of udfleet's programs of one version into one folder")
    };
    let options: Vec<&str> =
        without.iter().filter_map(|part| part.known_to_host()).flat_map(|part| ["--without", part]).collect();
    let output = ask(host, &options).await.map_err(|e| problem(e.to_string()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let level = Level::parse(&text).filter(|_| output.status.success()).ok_or_else(|| {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        problem(format!("{}, {}{}", output.status, text.trim(), said.trim()))
    })?;
    Ok(Level { without: without.clone(), ..level })
}

/// Whether the host can become this user.
pub(super) async fn runs_as(host: &Path, user: u32) -> bool {
    let output = ask(host, &["--user", &user.to_string()]).await;
    output.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).split_whitespace().any(|word| word == "user=1"))
}

async fn ask(host: &Path, options: &[&str]) -> std::io::Result<Output> {
    let mut command = tokio::process::Command::new(host);
    command.args(options).arg("check").env_clear().stdin(Stdio::null()).kill_on_drop(true);
    collect_async(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named() {
        let whole = Level::parse("landlock=7 seccomp=1 no_new_privs=1 user=0").unwrap();
        assert_eq!((whole.status().level(), whole.missing().len()), (SandboxLevel::Full, 0));
        assert!(whole.require_all().is_ok());
        for (text, missing) in
            [("landlock=0 seccomp=1 no_new_privs=1", 1), ("landlock=4 seccomp=0 no_new_privs=1", 2), ("", 3)]
        {
            let level = Level::parse(text).unwrap();
            assert_eq!((level.status().level(), level.missing().len()), (SandboxLevel::Partial, missing), "{text}");
            assert_eq!(level.require_all().unwrap_err().code(), ErrorCode::InvalidConfig);
        }
        let bounds = |text: &str| {
            let status = Level::parse(text).unwrap().status();
            (status.closes_network, status.bounds_ports)
        };
        assert_eq!(bounds("landlock=3 seccomp=1"), (true, false));
        assert_eq!(bounds("landlock=4 seccomp=1"), (true, true));
        assert_eq!(bounds("landlock=7 seccomp=0"), (false, false));
        assert_eq!(Level::off().status().level(), SandboxLevel::Off);
        assert!(Level::off().require_all().is_err());
        assert_eq!(Level::parse("nonsense"), None);
    }

    #[test]
    fn what_is_turned_off_and_users_that_are_missing_count() {
        let whole = Level::parse("landlock=7 seccomp=1 no_new_privs=1").unwrap();
        let named = |level: &Level| (level.status().level(), level.missing().join(" "));
        let (level, missing) = named(&whole.clone().without_users("nobody is free".to_owned()));
        assert!(level == SandboxLevel::Partial && missing.contains("nobody is free"), "{missing}");
        let off = BTreeSet::from([SandboxPart::Landlock, SandboxPart::Seccomp]);
        let text = "landlock=0 seccomp=0 no_new_privs=1";
        let level = Level { without: off, ..Level::parse(text).unwrap() };
        assert!(named(&level).0 == SandboxLevel::Partial && level.missing().len() == 2);
        assert!(level.missing().iter().all(|part| part.contains("turned off")), "{:?}", level.missing());
    }
}
