//! A coordinator with executors, on free loopback ports and in a folder of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use tempfile::TempDir;
use udfleet_proto::v1::{ExecutorInfo, ListExecutorsRequest};

use crate::binaries::uv;
use crate::control::Client;
use crate::process::Process;
use crate::wait::eventually;

const MOST_INTERPRETERS: &str = "--max-interpreters-per-environment";

/// How a cluster differs from the usual one.
#[derive(Debug, Default, Clone)]
pub struct Options {
    /// Further arguments of the coordinator.
    pub coordinator: Vec<&'static str>,
    /// Further arguments of every executor.
    pub executor: Vec<&'static str>,
    /// The fleet's token.
    pub token: Option<&'static str>,
    /// In place of `uv`.
    pub uv: Option<PathBuf>,
}

/// A fleet. Processes end with it.
pub struct Cluster {
    executors: BTreeMap<String, Process>,
    coordinator: Process,
    options: Options,
    ports: [u16; 2],
    folder: TempDir,
}

/// Ports below those that the system gives to connections: a coordinator that is down keeps its own. None is given out
/// twice: between this look and the coordinator's, or while it is down, another test would find it free.
pub(crate) fn free_port() -> u16 {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    let given = |port: u16| GIVEN.lock().expect("no test panics here").insert(port);
    let usable = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok() && given(*port);
    // Tests run side by side: each start looks from a place of its own.
    std::iter::repeat_with(|| 16_000 + rand_u16() % 16_000).take(1000).find(usable).expect("a free port")
}

fn rand_u16() -> u16 {
    use std::hash::{BuildHasher as _, Hasher as _};
    std::hash::RandomState::new().build_hasher().finish() as u16
}

impl Cluster {
    /// A coordinator and executors `e1` to `eN`, all attached.
    pub async fn start(executors: usize) -> Self {
        Self::with(executors, Options::default()).await
    }

    /// The same with options.
    pub async fn with(executors: usize, options: Options) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let ports = [free_port(), free_port()];
        let coordinator = start_coordinator(folder.path(), ports, &options).await;
        let mut cluster = Self { executors: BTreeMap::new(), coordinator, options, ports, folder };
        for number in 1..=executors {
            cluster.add_executor(&format!("e{number}")).await;
        }
        cluster.wait_ready(executors).await;
        cluster
    }

    /// Starts one more executor, or one anew; does not wait until it is attached.
    pub async fn add_executor(&mut self, id: &str) {
        self.add_executor_as(id, id).await;
    }

    /// Starts an executor that is called `name` here and `id` in the fleet.
    pub async fn add_executor_as(&mut self, name: &str, id: &str) {
        let work = self.folder.path().join(name);
        let mut arguments: Vec<OsString> = vec![
            "--coordinator".into(),
            self.address().into(),
            "--listen=127.0.0.1:0".into(),
            "--http-listen=127.0.0.1:0".into(),
            "--id".into(),
            id.into(),
            "--work-dir".into(),
            work.into(),
            "--environments-dir".into(),
            self.folder.path().join("environments").into(),
            "--interpreters-per-environment=1".into(),
            "--uv".into(),
            self.options.uv.clone().unwrap_or_else(uv).into(),
        ];
        // A test that says nothing of it has one interpreter an environment, whatever waits.
        if !self.options.executor.iter().any(|argument| argument.starts_with(MOST_INTERPRETERS)) {
            arguments.push(format!("{MOST_INTERPRETERS}=1").into());
        }
        if self.options.uv.is_some() {
            // It leaves traces where the test looks for them.
            arguments.push("--sandbox=off".into());
        }
        arguments.extend(self.options.executor.iter().map(OsString::from));
        arguments.extend(token_file(self.folder.path(), &self.options));
        let process = Process::start("udfleet-executor", name, self.folder.path(), &arguments).await;
        self.executors.insert(name.to_owned(), process);
    }

    /// Waits until this many executors are in service.
    pub async fn wait_ready(&self, executors: usize) {
        let ready =
            async || (self.states().await.values().filter(|s| *s == "ready").count() == executors).then_some(());
        eventually(&format!("{executors} executors are ready"), ready).await;
    }

    /// State of each executor by its id, as the coordinator sees it; nothing while it is away.
    pub async fn states(&self) -> BTreeMap<String, String> {
        let Some(mut fleet) = self.client().try_fleet().await else { return BTreeMap::new() };
        let Ok(answer) = fleet.list_executors(ListExecutorsRequest::default()).await else { return BTreeMap::new() };
        let all = answer.into_inner().executors.into_iter();
        let state = |executor: ExecutorInfo| {
            let word = executor.state().word().to_owned();
            (executor.hello.unwrap_or_default().executor, word)
        };
        all.map(state).collect()
    }

    /// Waits until an executor is in this state.
    pub async fn wait_state(&self, executor: &str, state: &str) {
        let reached = async || (self.states().await.get(executor)? == state).then_some(());
        eventually(&format!("{executor} is {state}"), reached).await;
    }

    /// `host:port` of the coordinator.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.ports[0])
    }

    /// The coordinator's control services and registrations.
    #[must_use]
    pub fn client(&self) -> Client {
        Client::new(&self.address(), self.options.token)
    }

    /// The coordinator's process.
    pub fn coordinator(&mut self) -> &mut Process {
        &mut self.coordinator
    }

    /// Starts the coordinator anew on the same ports and data.
    pub async fn restart_coordinator(&mut self) {
        self.coordinator.kill();
        self.coordinator = start_coordinator(self.folder.path(), self.ports, &self.options).await;
    }

    /// An executor's process.
    ///
    /// # Panics
    /// When there is none of this id.
    pub fn executor(&mut self, id: &str) -> &mut Process {
        self.executors.get_mut(id).unwrap_or_else(|| panic!("no executor {id}"))
    }

    /// What an executor has logged.
    ///
    /// # Panics
    /// When there is none of this id.
    #[must_use]
    pub fn log(&self, id: &str) -> String {
        self.executors.get(id).unwrap_or_else(|| panic!("no executor {id}")).log()
    }

    /// Starts an executor anew under its id.
    pub async fn restart_executor(&mut self, id: &str) {
        self.executors.remove(id);
        self.add_executor(id).await;
    }

    /// A place for files of the test.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    /// The coordinator's data.
    #[must_use]
    pub fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// `/metrics` addresses: the coordinator's and all executors'.
    #[must_use]
    pub fn http_addresses(&self) -> Vec<String> {
        let all = std::iter::once(&self.coordinator).chain(self.executors.values());
        all.map(|process| process.ready("http").to_owned()).collect()
    }

    /// Flight endpoints: the coordinator and every executor.
    #[must_use]
    pub fn endpoints(&self) -> Vec<String> {
        let all = std::iter::once(&self.coordinator).chain(self.executors.values());
        all.map(|process| process.ready("grpc").to_owned()).collect()
    }

    /// Flight endpoints without a token, of the coordinator and every executor that was told to have one.
    #[must_use]
    pub fn engine_endpoints(&self) -> Vec<String> {
        let all = std::iter::once(&self.coordinator).chain(self.executors.values());
        all.map(|process| process.ready("engine").to_owned()).collect()
    }

    /// Checks that nobody has logged an error.
    ///
    /// # Panics
    /// With the lines.
    pub fn assert_no_errors(&self) {
        let all = std::iter::once(&self.coordinator).chain(self.executors.values());
        let errors: Vec<String> = all
            .flat_map(|process| process.log().lines().map(str::to_owned).collect::<Vec<_>>())
            .filter(|line| line.contains("ERROR") || line.contains("panicked at"))
            .collect();
        assert!(errors.is_empty(), "errors were logged:\n{}", errors.join("\n"));
    }
}

/// The token as arguments: on the command line itself it would be refused.
fn token_file(folder: &Path, options: &Options) -> Vec<OsString> {
    let Some(token) = options.token else { return Vec::new() };
    let file = folder.join("fleet-token");
    std::fs::write(&file, token).expect("a file for the token");
    vec!["--token-file".into(), file.into()]
}

async fn start_coordinator(folder: &Path, ports: [u16; 2], options: &Options) -> Process {
    let mut arguments: Vec<OsString> = vec![
        format!("--listen=127.0.0.1:{}", ports[0]).into(),
        format!("--http-listen=127.0.0.1:{}", ports[1]).into(),
        "--data-dir".into(),
        folder.join("data").into(),
    ];
    arguments.extend(options.coordinator.iter().map(OsString::from));
    arguments.extend(token_file(folder, options));
    Process::start("udfleet-coordinator", "coordinator", folder, &arguments).await
}
