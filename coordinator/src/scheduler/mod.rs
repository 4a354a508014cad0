//! Placement: which executors serve which environments. Pure: no clock, no I/O.

mod feasible;
mod host;
mod place;
mod python;
mod row;
mod settle;

#[cfg(test)]
mod properties;

use std::collections::{BTreeMap, BTreeSet};

use udfleet_proto::network::Network;
use udfleet_proto::v1::SandboxStatus;

pub use feasible::{feasible, remedy};
pub use place::Placer;
pub use python::PythonRequirement;

/// An environment to be placed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlacementRequest {
    /// Its hash.
    pub environment: String,
    /// Its Python.
    pub python: PythonRequirement,
    /// Pythons ("3.11") of which its functions hold bytecode: an executor must be able to load one of these. Empty: any.
    pub payloads: BTreeSet<String>,
    /// Interpreters per executor; 0: the executor's default, or fewer where it is full.
    pub interpreters: u32,
    /// On how many executors; 0: on all that can.
    pub executors: u32,
    /// What an executor's labels must be.
    pub labels: BTreeMap<String, String>,
    /// Devices of each kind that each of its interpreters gets for itself.
    pub resources: BTreeMap<String, u32>,
    /// Where its functions may connect to.
    pub network: Network,
    /// Secrets that the executor must have.
    pub secrets: BTreeSet<String>,
}

/// An executor as placement sees it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Offer {
    /// Its id.
    pub executor: String,
    /// Versions of its Pythons, the default first.
    pub pythons: Vec<String>,
    /// The most interpreters it runs.
    pub capacity: u32,
    /// Interpreters for an environment that asks for no number.
    pub default_interpreters: u32,
    /// Environments built on its disk.
    pub built: BTreeSet<String>,
    /// Draining: it accepts nothing.
    pub draining: bool,
    /// Nobody can tell it anything now: it keeps what it has, and is given nothing.
    pub unreachable: bool,
    /// As it was started with.
    pub labels: BTreeMap<String, String>,
    /// How many devices it has of each kind.
    pub resources: BTreeMap<String, u32>,
    /// How far it contains functions.
    pub sandbox: SandboxStatus,
    /// Names of the secrets that it has.
    pub secrets: BTreeSet<String>,
}

/// Executor -> interpreters: where one environment is.
pub type Places = BTreeMap<String, u32>;

/// Environment -> executor -> interpreters.
pub type Assignment = BTreeMap<String, Places>;
