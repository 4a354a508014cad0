//! Everything of one run: the store, the coordinators and executors that are up, and what clients were told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use tokio_util::sync::CancellationToken;
use udfleet_coordinator::audit::AuditLog;
use udfleet_edge::clock;

use super::coordinator::Coordinator;
use super::executor::ExecutorProcess;
use super::network::{Network, Node};
use super::plant::PlantedBug;
use super::store_access::StoreAccess;
use super::store_data::StoreData;
use super::trace::Trace;

/// A restart is tried again after so long.
const RESTART_PAUSE: Duration = Duration::from_millis(500);
const LEASES_CHECKED: Duration = Duration::from_millis(100);

/// What clients know of functions (`add@3`).
#[derive(Default)]
pub struct ClientRecords {
    /// Registrations that were answered with success, with what was registered.
    pub acknowledged: BTreeMap<String, Bytes>,
    /// Drops that were answered with success.
    pub dropped: BTreeSet<String>,
}

/// See the module.
pub struct World {
    pub trace: Arc<Trace>,
    pub network: Arc<Network>,
    pub store: Arc<Mutex<StoreData>>,
    pub planted: PlantedBug,
    audit: AuditLog,
    pub records: Mutex<ClientRecords>,
    running: Mutex<Vec<Option<Arc<Coordinator>>>>,
    /// What the store's clock does while that of each coordinator does a hundred.
    clocks: Vec<u32>,
    /// The newest process of each executor.
    executors: Mutex<BTreeMap<String, Arc<ExecutorProcess>>>,
    processes: Mutex<usize>,
}

impl World {
    /// Starts some coordinators and executors.
    pub fn new(seed: u64, planted: PlantedBug, audit: &AuditLog) -> Arc<Self> {
        let (trace, network) = (Arc::new(Trace::new()), Arc::new(Network::new(seed)));
        let coordinators = 2 + network.roll("world", 2) as usize;
        let clocks = (0..coordinators).map(|_| 92 + network.roll("world", 17) as u32).collect();
        let store = Arc::new(Mutex::new(StoreData::new(Arc::clone(&trace), planted)));
        let this = Arc::new(Self {
            trace,
            network,
            store,
            planted,
            audit: audit.clone(),
            records: Mutex::default(),
            running: Mutex::new(vec![None; coordinators]),
            clocks,
            executors: Mutex::default(),
            processes: Mutex::new(0),
        });
        let store = Arc::clone(&this.store);
        tokio::spawn(async move {
            loop {
                clock::sleep(LEASES_CHECKED).await;
                store.lock().unwrap().expire();
            }
        });
        for coordinator in 0..coordinators {
            tokio::spawn(Arc::clone(&this).start_coordinator(coordinator));
        }
        for executor in 0..2 + this.network.roll("world", 2) {
            this.start_executor(&format!("x{executor}"));
        }
        this
    }

    pub fn coordinators(&self) -> usize {
        self.clocks.len()
    }

    /// The one that is up.
    pub fn coordinator(&self, number: usize) -> Option<Arc<Coordinator>> {
        self.running.lock().unwrap()[number].clone()
    }

    /// Starts a coordinator that is down, however often it takes.
    pub async fn start_coordinator(self: Arc<Self>, number: usize) {
        loop {
            let name = format!("c{number}-{}", self.process());
            let access = StoreAccess {
                data: Arc::clone(&self.store),
                network: Arc::clone(&self.network),
                node: Node::Coordinator(number),
                name: name.clone(),
                crashed: CancellationToken::new(),
                store_clock: self.clocks[number],
                planted: self.planted,
            };
            match Coordinator::start(access, self.audit.clone(), &format!("c{number}"), &name).await {
                Ok(coordinator) => {
                    self.trace.note(format!("{name} starts"));
                    self.running.lock().unwrap()[number] = Some(Arc::new(coordinator));
                    return;
                }
                Err(error) => self.trace.note(format!("{name} can't start: {error}")),
            }
            clock::sleep(RESTART_PAUSE).await;
        }
    }

    /// Crashes a coordinator, where it is up.
    pub fn crash_coordinator(&self, number: usize) -> bool {
        let running = self.running.lock().unwrap()[number].take();
        if let Some(coordinator) = &running {
            self.trace.note(format!("{} crashes", coordinator.session.me().owner.incarnation));
            coordinator.crash();
        }
        running.is_some()
    }

    fn process(&self) -> usize {
        let mut processes = self.processes.lock().unwrap();
        *processes += 1;
        *processes
    }

    pub fn executor_ids(&self) -> Vec<String> {
        self.executors.lock().unwrap().keys().cloned().collect()
    }

    /// The newest process of an executor.
    pub fn executor(&self, id: &str) -> Arc<ExecutorProcess> {
        Arc::clone(&self.executors.lock().unwrap()[id])
    }

    /// Starts another process of an executor; the last one is left as it is.
    pub fn start_executor(self: &Arc<Self>, id: &str) {
        let process = ExecutorProcess::start(self, id, self.process());
        self.trace.note(format!("{id} starts as {:?}", process.node));
        self.executors.lock().unwrap().insert(id.to_owned(), process);
    }

    /// Kills the newest process of an executor.
    pub fn kill_executor(&self, id: &str) {
        let process = self.executor(id);
        self.trace.note(format!("{id} {:?} is killed", process.node));
        process.dead.cancel();
    }
}
