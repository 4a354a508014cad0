//! Landlock: which files a process may see, which TCP ports it may connect to, and no signals to the outside.

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, NetPort, Ruleset, RulesetAttr, RulesetCreated,
    RulesetCreatedAttr, RulesetError, RulesetStatus, Scope, path_beneath_rules,
};

use crate::options::{Containment, Network};

/// What is asked for; a kernel that has less gives that.
const WANTED: ABI = ABI::V9;

/// Of this process itself: others' entries in /proc stay closed. It has to be opened by the process that it names.
const OWN: [&str; 2] = ["/proc/self", "/proc/thread-self"];

/// Takes away all access to files but what is named. What does not exist is passed over.
pub fn restrict(containment: &Containment) -> Result<(), String> {
    if containment.without_landlock {
        return Err("it is turned off".to_owned());
    }
    let enforced = ruleset(containment).and_then(|rules| rules.restrict_self()).map_err(|e| e.to_string())?;
    match enforced.ruleset {
        RulesetStatus::NotEnforced => Err("this kernel does not have it, or has it turned off".to_owned()),
        _ => Ok(()),
    }
}

fn ruleset(containment: &Containment) -> Result<RulesetCreated, RulesetError> {
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(WANTED))?
        .scope(Scope::from_all(WANTED))?;
    let wanted = match &containment.network {
        Network::All => None,
        // System calls are refused already: see `calls.rs`.
        Network::None => Some(CompatLevel::BestEffort),
        Network::Ports(_) => Some(CompatLevel::HardRequirement),
    };
    if let Some(level) = wanted {
        let tcp = AccessNet::BindTcp | AccessNet::ConnectTcp;
        rules = rules.set_compatibility(level).handle_access(tcp)?.set_compatibility(CompatLevel::BestEffort);
    }
    let mut rules = rules.create()?;
    rules = rules.add_rules(path_beneath_rules(existing(&containment.read), AccessFs::from_read(WANTED)))?;
    rules = rules.add_rules(path_beneath_rules(OWN, AccessFs::from_read(WANTED) | AccessFs::WriteFile))?;
    rules = rules.add_rules(path_beneath_rules(existing(&containment.write), AccessFs::from_all(WANTED)))?;
    if let Network::Ports(ports) = &containment.network {
        rules = rules
            .add_rules(ports.iter().map(|port| Ok::<_, RulesetError>(NetPort::new(*port, AccessNet::ConnectTcp))))?;
    }
    Ok(rules)
}

fn existing(paths: &[PathBuf]) -> impl Iterator<Item = &Path> {
    paths.iter().map(PathBuf::as_path).filter(|path| path.exists())
}

/// The version of Landlock that this kernel offers; 0: none.
pub fn version() -> i64 {
    const CREATE_RULESET_VERSION: libc::c_uint = 1;
    // SAFETY: with this flag the call takes no structure and only answers.
    let version = unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<u8>(), 0_usize, CREATE_RULESET_VERSION)
    };
    version.max(0)
}
