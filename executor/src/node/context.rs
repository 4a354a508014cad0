//! Dependencies that the actors of a node share.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use udfleet_edge::tls::Credentials;
use udfleet_proto::error::Error;
use udfleet_proto::v1::ErrorCode;

use super::board::Board;
use super::devices::Devices;
use super::memory::MemoryWatch;
use super::reconcile::Limits;
use super::scaling::ScalingRule;
use crate::artifact::ArtifactStore;
use crate::definition::DefinitionSource;
use crate::environment::EnvironmentStore;
use crate::exchange::FunctionTable;
use crate::keyed::Partitions;
use crate::logs::LogStore;
use crate::metrics::StatsRegistry;
use crate::sandbox::Sandbox;
use crate::secrets::SecretsFolder;

/// What functions may keep however full the disk is, bytes.
const LEAST_DISK_SHARE: u64 = 2 << 30;

/// What an interpreter process is made of.
#[derive(Debug, Clone)]
pub struct Programs {
    /// The executor itself, as it was found at its start.
    pub executor: PathBuf,
    /// The host binary.
    pub host: PathBuf,
    /// The module that it loads into Python.
    pub module: PathBuf,
}

impl Programs {
    /// Those beside this executable.
    ///
    /// # Errors
    /// `INTERNAL` naming what is missing.
    pub fn beside(executable: &Path) -> Result<Self, Error> {
        let folder = executable.parent().unwrap_or(executable);
        let find = |name: &str| {
            let path = folder.join(name);
            let missing = || {
                let message = format!("{} is missing beside the executor", path.display());
                Error::new(ErrorCode::Internal, message).hint("install all of udfleet's programs into one folder")
            };
            if path.is_file() { Ok(path) } else { Err(missing()) }
        };
        let (host, module) = (find("udfleet-interpreter")?, find("libudfleet_interpreter.so")?);
        Ok(Self { executor: executable.to_owned(), host, module })
    }
}

/// Shared by all actors of a node.
pub struct Context {
    /// The executor's name.
    pub executor: String,
    /// Bounds of the node.
    pub limits: Limits,
    /// How environments grow and shrink.
    pub scaling: ScalingRule,
    /// How long unused environments and artifacts stay.
    pub ttl: Duration,
    /// The most that the functions of one interpreter may keep on the disk, bytes; none: by the room there is.
    pub largest_disk: Option<u64>,
    /// Folder for temporary files of interpreters.
    pub temporary: PathBuf,
    /// Folder that holds the SDK's Python package.
    pub sdk: PathBuf,
    /// Of interpreter processes.
    pub programs: Programs,
    /// How processes are started that users have a say in.
    pub sandbox: Sandbox,
    /// Built environments.
    pub environments: EnvironmentStore,
    /// Files by content.
    pub artifacts: Arc<ArtifactStore>,
    /// Where definitions come from.
    pub definitions: DefinitionSource,
    /// Output of functions.
    pub logs: Arc<LogStore>,
    /// Functions that streams can call.
    pub table: Arc<FunctionTable>,
    /// Counters.
    pub stats: Arc<StatsRegistry>,
    /// For reports.
    pub board: Arc<Board>,
    /// Devices that interpreters have for themselves.
    pub devices: Arc<Devices>,
    /// For functions that ask for them.
    pub secrets: Arc<SecretsFolder>,
    /// Keyed state that this executor owns.
    pub partitions: Arc<Partitions>,
    /// Memory of interpreters.
    pub memory: Arc<MemoryWatch>,
    /// What its ports show; `None` in plain text.
    pub credentials: Option<Arc<Credentials>>,
    /// The last function number given out.
    pub numbers: AtomicU32,
}

impl Context {
    /// The most that the functions of an interpreter that starts now may keep on the disk, bytes.
    #[must_use]
    pub fn disk_share(&self) -> u64 {
        let room =
            || rustix::fs::statvfs(&self.temporary).map_or(0, |disk| disk.f_bavail.saturating_mul(disk.f_frsize));
        self.largest_disk.unwrap_or_else(|| (room() / 2).max(LEAST_DISK_SHARE))
    }

    /// A number for a function, unique on this node.
    pub fn next_number(&self) -> u32 {
        self.numbers.fetch_add(1, Ordering::Relaxed) + 1
    }
}
