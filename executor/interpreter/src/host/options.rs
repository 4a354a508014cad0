//! The command line, written by the executor.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::path::PathBuf;

/// Where a contained process may connect to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Network {
    /// Anywhere.
    #[default]
    All,
    /// Nowhere.
    None,
    /// To these TCP ports of any host. Port 53 allows UDP too: names are looked up by it.
    Ports(Vec<u16>),
}

/// What a process may do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Containment {
    /// Take nothing away: the operator has turned containment off.
    pub off: bool,
    /// Fail where the kernel can't give all of it.
    pub required: bool,
    /// Fail where the kernel can't bound the network.
    pub network_required: bool,
    /// Read and run, folders with all below them.
    pub read: Vec<PathBuf>,
    /// Read, run and write.
    pub write: Vec<PathBuf>,
    /// Where it may connect to.
    pub network: Network,
    /// The most open files.
    pub files: Option<u64>,
    /// The largest file that it may write, bytes.
    pub file_size: Option<u64>,
    /// How much earlier than others the kernel ends it when memory is short.
    pub oom_score: Option<i32>,
    /// The user and group that it runs as; needs root.
    pub user: Option<u32>,
    /// Rights that new files don't get.
    pub umask: Option<u32>,
    /// The operator has turned Landlock off.
    pub without_landlock: bool,
    /// The operator has turned seccomp off.
    pub without_seccomp: bool,
}

/// What to become.
#[derive(Debug, PartialEq, Eq)]
pub enum Task {
    /// Say what containment this machine has.
    Check,
    /// An interpreter.
    Python { module: OsString, libpython: OsString, python: OsString },
    /// A program.
    Run { program: OsString, arguments: Vec<OsString> },
}

const USAGE: &str = "this program is started by udfleet-executor: [OPTION VALUE]... python MODULE LIBPYTHON PYTHON, \
                     [OPTION VALUE]... run PROGRAM [ARGUMENT]..., or check";

/// Reads options up to the task.
pub fn parse(arguments: Vec<OsString>) -> Result<(Containment, Task), String> {
    let mut rest = VecDeque::from(arguments);
    let mut containment = Containment::default();
    while let Some(word) = rest.pop_front() {
        if let Some(name) = word.to_str().and_then(|word| word.strip_prefix("--")) {
            let value = rest.pop_front().ok_or_else(|| format!("--{name} has no value"))?;
            containment.set(name, value)?;
            continue;
        }
        return Ok((containment, task(&word, rest)?));
    }
    Err(USAGE.to_owned())
}

fn task(word: &OsString, mut rest: VecDeque<OsString>) -> Result<Task, String> {
    let mut next = || rest.pop_front().ok_or_else(|| USAGE.to_owned());
    match word.to_str() {
        Some("check") => Ok(Task::Check),
        Some("python") => Ok(Task::Python { module: next()?, libpython: next()?, python: next()? }),
        Some("run") => Ok(Task::Run { program: next()?, arguments: rest.into() }),
        _ => Err(USAGE.to_owned()),
    }
}

impl Containment {
    fn set(&mut self, name: &str, value: OsString) -> Result<(), String> {
        match name {
            "read" => self.read.push(value.into()),
            "write" => self.write.push(value.into()),
            "contain" => self.off = value == "nothing",
            "require" if value == "network" => self.network_required = true,
            "require" => self.required = value == "all",
            "network" => self.network = network(&value)?,
            "files" => self.files = Some(number(name, &value)?),
            "file-size" => self.file_size = Some(number(name, &value)?),
            "oom-score" => self.oom_score = Some(number(name, &value)?),
            "user" => self.user = Some(number(name, &value)?),
            "umask" => self.umask = Some(number(name, &value)?),
            "without" if value == "landlock" => self.without_landlock = true,
            "without" if value == "seccomp" => self.without_seccomp = true,
            _ => return Err(format!("unknown option --{name}")),
        }
        Ok(())
    }
}

fn network(value: &OsString) -> Result<Network, String> {
    match value.to_str().unwrap_or_default() {
        "all" => Ok(Network::All),
        "none" => Ok(Network::None),
        ports => {
            ports.split(',').map(|port| number("network", &port.into())).collect::<Result<_, _>>().map(Network::Ports)
        }
    }
}

fn number<T: std::str::FromStr>(name: &str, value: &OsString) -> Result<T, String> {
    let parsed = value.to_str().and_then(|text| text.parse().ok());
    parsed.ok_or_else(|| format!("--{name} {}: not a number", value.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<(Containment, Task), String> {
        parse(line.split_whitespace().map(OsString::from).collect())
    }

    #[test]
    fn options_come_before_the_task() {
        let (containment, task) = parsed("--read /usr --network 443,53 --files 10 run /bin/sh --read x").unwrap();
        assert_eq!(containment.read, [PathBuf::from("/usr")]);
        assert_eq!(containment.network, Network::Ports(vec![443, 53]));
        assert_eq!(containment.files, Some(10));
        assert_eq!(task, Task::Run { program: "/bin/sh".into(), arguments: vec!["--read".into(), "x".into()] });
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for line in [
            "",
            "--read",
            "--files x check",
            "--nosuch 1 check",
            "python a b",
            "run",
            "--network some check",
            "--without x check",
        ] {
            assert!(parsed(line).is_err(), "{line}");
        }
    }
}
