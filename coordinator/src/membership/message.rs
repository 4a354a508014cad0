//! The messages of the membership actor.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::{mpsc, oneshot, watch};
use udfleet_proto::error::Error;
use udfleet_proto::v1::{BuildLogLine, ErrorInfo, ExecutorInfo, FunctionDefinition, FunctionInfo, Hello, Report};

use super::desired::Desired;
use super::member::NodeAddress;
use super::record::{Claim, Record};
use crate::store::Revision;

/// The newest of each kind on its way to an executor.
#[derive(Debug, Clone, Default)]
pub(super) struct Outbound {
    pub desired: Option<Arc<Desired>>,
    /// Number of the latest request for a report; 0: none yet.
    pub request: u64,
}

/// To an executor; dropping the sender ends the attach stream.
pub(super) type Link = watch::Sender<Outbound>;

/// An executor that asks to attach.
pub(super) struct NewAttachment {
    pub hello: Hello,
    /// Of its process, the same at all coordinators.
    pub epoch: u64,
    /// Counts up with each attach to this coordinator: what an earlier one says is refused.
    pub number: u64,
    pub draining: bool,
    /// Of the record that says both; 0: of one that was known before.
    pub revision: Revision,
    pub link: Link,
    pub origin: Origin,
}

/// The origin of an attachment, reported to a process that claims the same id.
#[derive(Debug, Clone)]
pub(super) struct Origin {
    /// Of its connection.
    pub address: Option<SocketAddr>,
    pub since: SystemTime,
}

/// What a registration hears while it waits.
#[derive(Debug)]
pub enum WatchEvent {
    /// A line for people.
    Progress(String),
    /// From the build of the function's environment.
    BuildLog(BuildLogLine),
    /// An executor serves it: from now on it may have been called.
    Served,
    /// Every executor that should serve it has answered, and at least one serves it.
    Ready(Box<FunctionInfo>),
    /// Nobody will serve it.
    Failed(Box<ErrorInfo>),
}

/// What it means for a registration that no executor should serve the function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unplaced {
    /// The registration fails: a client waits for the answer.
    Fails,
    /// It waits on: after a restart executors have yet to come back.
    Waits,
}

/// Everything goes through here. Answers go into the `reply` of the question.
pub(super) enum Message {
    Attached {
        attachment: Box<NewAttachment>,
        reply: oneshot::Sender<Result<(), Error>>,
    },
    Reported {
        executor: String,
        number: u64,
        report: Box<Report>,
    },
    /// The executor stops in order.
    Goodbye {
        executor: String,
        number: u64,
    },
    /// Its stream has ended.
    Detached {
        executor: String,
        number: u64,
    },
    /// `reply`: once that is published.
    CatalogChanged {
        reply: Option<oneshot::Sender<()>>,
    },
    Feasible {
        definition: Box<FunctionDefinition>,
        reply: oneshot::Sender<Result<(), Error>>,
    },
    Watch {
        function: String,
        unplaced: Unplaced,
        events: mpsc::UnboundedSender<WatchEvent>,
    },
    Refresh {
        reply: oneshot::Sender<()>,
    },
    Nodes {
        reply: oneshot::Sender<Vec<NodeAddress>>,
    },
    Tick,
    /// Refused where another process of the executor is attached here; else what is known of this one.
    Admit {
        executor: String,
        incarnation: String,
        reply: oneshot::Sender<Result<Option<Record>, Error>>,
    },
    /// What the store holds of an executor has changed.
    Remembered {
        executor: String,
        revision: Revision,
        record: Record,
        reply: Option<oneshot::Sender<Option<ExecutorInfo>>>,
    },
    /// What another coordinator claims in the store has changed.
    Claimed {
        executor: String,
        coordinator: String,
        claim: Option<Claim>,
    },
    /// All that other coordinators claim.
    ClaimsListed(Vec<(String, String, Claim)>),
    /// Other coordinators that live, by id, with their addresses.
    Coordinators(BTreeMap<String, String>),
    /// This coordinator leads from now on. `awaited`: executors that are known to live, which it does not act without.
    Lead {
        term: Revision,
        awaited: BTreeSet<String>,
    },
    /// It leads no more.
    Follow,
}
