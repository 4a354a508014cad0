//! Several coordinators on one etcd, with executors that are told of one of them.

use std::collections::BTreeMap;
use std::ffi::OsString;

use tempfile::TempDir;
use udfleet_proto::v1::{ExecutorInfo, ListExecutorsRequest};

use crate::binaries::uv;
use crate::control::Client;
use crate::etcd::EtcdCluster;
use crate::http::metrics;
use crate::process::Process;
use crate::proxy::Proxy;
use crate::wait::eventually;

/// A coordinator; none while it is down.
struct Seat {
    process: Option<Process>,
    ports: [u16; 2],
    /// The address that others are told; its own where there is none.
    advertise: Option<String>,
    /// host:port of etcd as it reaches it.
    etcd: Option<String>,
}

/// See the module. Processes end with it.
pub struct CoordinatorCluster {
    executors: BTreeMap<String, Process>,
    seats: Vec<Seat>,
    etcd: EtcdCluster,
    folder: TempDir,
    token: Option<&'static str>,
}

impl CoordinatorCluster {
    /// Coordinators, and executors `e1` to `eN` that are all attached to all; `None` where etcd is not installed.
    pub async fn start(coordinators: usize, executors: usize) -> Option<Self> {
        let mut cluster = Self::prepare(coordinators)?;
        for index in 0..coordinators {
            cluster.start_coordinator(index).await;
        }
        for number in 1..=executors {
            cluster.start_executor(&format!("e{number}")).await;
        }
        for index in 0..coordinators {
            cluster.wait_ready(index, executors).await;
        }
        Some(cluster)
    }

    /// etcd, and coordinators that are to be started; `None` where etcd is not installed.
    ///
    /// # Panics
    /// Without a temporary folder or free ports.
    #[must_use]
    pub fn prepare(coordinators: usize) -> Option<Self> {
        let etcd = EtcdCluster::start(1)?;
        let folder = tempfile::tempdir().expect("a temporary folder");
        let seat = |_| {
            let ports = [crate::cluster::free_port(), crate::cluster::free_port()];
            Seat { process: None, ports, advertise: None, etcd: None }
        };
        Some(Self {
            executors: BTreeMap::new(),
            seats: (0..coordinators).map(seat).collect(),
            etcd,
            folder,
            token: None,
        })
    }

    /// With the fleet's own token, which whatever is started from now on is given.
    #[must_use]
    pub fn with_token(self, token: &'static str) -> Self {
        Self { token: Some(token), ..self }
    }

    /// Others reach a coordinator through a relay, from its next start on.
    pub async fn relay(&mut self, index: usize) -> Proxy {
        let proxy = Proxy::start(&self.address(index)).await;
        self.seats[index].advertise = Some(proxy.address().to_owned());
        proxy
    }

    /// A coordinator reaches etcd through a relay, from its next start on.
    pub async fn relay_etcd(&mut self, index: usize) -> Proxy {
        let proxy = Proxy::start(&self.etcd.endpoints()).await;
        self.seats[index].etcd = Some(proxy.address().to_owned());
        proxy
    }

    /// Starts a coordinator, or one that was killed anew.
    pub async fn start_coordinator(&mut self, index: usize) {
        let [grpc, http] = self.seats[index].ports;
        let name = format!("c{index}");
        let meta_store = match &self.seats[index].etcd {
            Some(address) => format!("--meta-store=etcd://{address}/tests"),
            None => format!("--meta-store={}", self.etcd.url("tests")),
        };
        let mut arguments: Vec<OsString> = vec![
            format!("--listen=127.0.0.1:{grpc}").into(),
            format!("--http-listen=127.0.0.1:{http}").into(),
            "--data-dir".into(),
            self.folder.path().join(&name).into(),
            meta_store.into(),
            "--artifact-store".into(),
            self.folder.path().join("artifacts").into(),
            "--artifact-store-shared".into(),
            "--executor-timeout=3s".into(),
        ];
        if let Some(token) = self.token {
            let file = self.folder.path().join("token");
            std::fs::write(&file, token).expect("a file for the token");
            arguments.extend(["--token-file".into(), file.into()]);
        }
        if let Some(address) = &self.seats[index].advertise {
            arguments.push(format!("--advertise={address}").into());
        }
        let process = Process::start("udfleet-coordinator", &name, self.folder.path(), &arguments).await;
        self.seats[index].process = Some(process);
    }

    /// Starts an executor that is told of the first coordinator only; does not wait until it is attached.
    pub async fn start_executor(&mut self, id: &str) {
        let first = self.address(0);
        self.start_executor_at(id, &first).await;
    }

    /// The same with an executor that is told of these coordinators: addresses with commas between them.
    pub async fn start_executor_at(&mut self, id: &str, coordinators: &str) {
        let work = self.folder.path().join(id);
        let arguments: Vec<OsString> = vec![
            "--coordinator".into(),
            coordinators.into(),
            "--id".into(),
            id.into(),
            "--work-dir".into(),
            work.into(),
            "--environments-dir".into(),
            self.folder.path().join("environments").into(),
            "--interpreters-per-environment=1".into(),
            "--max-interpreters-per-environment=1".into(),
            "--uv".into(),
            uv().into(),
        ];
        let process = Process::start("udfleet-executor", id, self.folder.path(), &arguments).await;
        self.executors.insert(id.to_owned(), process);
    }

    /// Waits until a coordinator has this many executors in service.
    pub async fn wait_ready(&self, index: usize, executors: usize) {
        let ready =
            async || (self.states(index).await.values().filter(|s| *s == "ready").count() == executors).then_some(());
        eventually(&format!("c{index} has {executors} executors"), ready).await;
    }

    /// State of each executor as a coordinator sees it.
    pub async fn states(&self, index: usize) -> BTreeMap<String, String> {
        let Some(mut fleet) = self.client(index).try_fleet().await else { return BTreeMap::new() };
        let Ok(answer) = fleet.list_executors(ListExecutorsRequest::default()).await else { return BTreeMap::new() };
        let state = |executor: ExecutorInfo| {
            let word = executor.state().word().to_owned();
            (executor.hello.unwrap_or_default().executor, word)
        };
        answer.into_inner().executors.into_iter().map(state).collect()
    }

    /// `host:port` of a coordinator.
    #[must_use]
    pub fn address(&self, index: usize) -> String {
        format!("127.0.0.1:{}", self.seats[index].ports[0])
    }

    /// `host:port` of a coordinator's metrics and JSON API.
    #[must_use]
    pub fn http_address(&self, index: usize) -> String {
        format!("127.0.0.1:{}", self.seats[index].ports[1])
    }

    /// A coordinator's services.
    #[must_use]
    pub fn client(&self, index: usize) -> Client {
        Client::new(&self.address(index), self.token)
    }

    /// A coordinator's process.
    ///
    /// # Panics
    /// While it is down.
    #[must_use]
    pub fn coordinator(&self, index: usize) -> &Process {
        self.seats[index].process.as_ref().expect("a running coordinator")
    }

    /// SIGKILL, and waits until it is gone.
    pub fn kill_coordinator(&mut self, index: usize) {
        if let Some(mut process) = self.seats[index].process.take() {
            process.kill();
        }
    }

    /// The term that a coordinator leads in; 0: it does not.
    pub async fn term(&self, index: usize) -> u64 {
        let series = metrics(&format!("127.0.0.1:{}", self.seats[index].ports[1])).await;
        series.get("udfleet_leader_term").copied().unwrap_or_default() as u64
    }

    /// Waits until one of these leads; which, and its term.
    pub async fn wait_leader(&self, among: &[usize]) -> (usize, u64) {
        let leads = async || {
            for index in among {
                let term = self.term(*index).await;
                if term > 0 {
                    return Some((*index, term));
                }
            }
            None
        };
        eventually("one coordinator leads", leads).await
    }

    /// An executor's process.
    ///
    /// # Panics
    /// When there is none of this id.
    pub fn executor(&mut self, id: &str) -> &mut Process {
        self.executors.get_mut(id).unwrap_or_else(|| panic!("no executor {id}"))
    }

    /// The metadata store.
    pub fn etcd(&mut self) -> &mut EtcdCluster {
        &mut self.etcd
    }
}
