//! Contains this process, and with it all that it will start, before anything of a user runs.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::options::{Containment, Network};
use crate::{calls, files, privileges};

/// Takes away what the containment does not name. Where the kernel can't give a part of it, the rest is done all the
/// same, unless all of it is required: `check` tells the executor beforehand.
pub fn contain(containment: &Containment) -> Result<(), String> {
    if containment.off {
        return Ok(());
    }
    limits(containment).map_err(|error| format!("limits: {error}"))?;
    if let Some(score) = containment.oom_score {
        // Raising it needs no right; a container without /proc goes without.
        let _ = std::fs::write("/proc/self/oom_score_adj", score.to_string());
    }
    if let Some(umask) = containment.umask {
        rustix::process::umask(rustix::fs::Mode::from_bits_truncate(umask));
    }
    let needed = |what: &str, outcome: Result<(), String>, for_network: bool| match outcome {
        Err(error) if containment.required || (containment.network_required && for_network) => {
            Err(format!("{what}: {error}"))
        }
        _ => Ok(()),
    };
    privileges::drop_all(containment.user)?;
    let ports = matches!(containment.network, Network::Ports(_));
    needed("Landlock", files::restrict(containment), ports)?;
    needed("seccomp", calls::restrict(containment), containment.network != Network::All)
}

fn limits(containment: &Containment) -> io::Result<()> {
    lower(Resource::Core, Some(0))?;
    lower(Resource::Nofile, containment.files)?;
    lower(Resource::Fsize, containment.file_size)
}

/// Sets the bound, and never a higher one than there was.
fn lower(resource: Resource, bound: Option<u64>) -> io::Result<()> {
    let Some(bound) = bound else { return Ok(()) };
    let before = getrlimit(resource);
    let least = |limit: Option<u64>| Some(limit.map_or(bound, |limit| limit.min(bound)));
    Ok(setrlimit(resource, Rlimit { current: least(before.current), maximum: least(before.maximum) })?)
}
