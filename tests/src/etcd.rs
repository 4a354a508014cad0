//! etcd for tests: one member or several, real processes on free loopback ports and in a folder of their own.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(20);
/// How often other ports are tried where somebody else takes one.
const STARTS: usize = 10;

/// Members of one cluster; killed when dropped.
pub struct EtcdCluster {
    members: Vec<Member>,
    scheme: &'static str,
    folder: tempfile::TempDir,
}

struct Member {
    client: u16,
    peer: u16,
    process: Option<Child>,
}

/// The program, of which Debian's `etcd-server` is one. Where it is missing, tests with etcd are left out; not as root,
/// for whom `make test` installs it.
#[must_use]
pub fn installed() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join("etcd")).find(|file| file.is_file());
    if found.is_none() {
        let root = std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
        assert!(!root, "etcd is missing: run `deploy/system-packages etcd` (`make test` does)");
        eprintln!("skipped: etcd is not installed (Debian: etcd-server)");
    }
    found
}

fn free_ports(count: usize) -> Vec<u16> {
    use std::hash::{BuildHasher as _, Hasher as _};
    let random = || std::hash::RandomState::new().build_hasher().finish() as u16;
    let free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    let mut ports = BTreeSet::new();
    // Below those that the system gives to connections: a member that is down keeps its own.
    while ports.len() < count {
        ports.extend(Some(16_000 + random() % 16_000).filter(free));
    }
    ports.into_iter().collect()
}

impl EtcdCluster {
    /// Starts members and waits until they answer; `None` where etcd is not installed.
    ///
    /// # Panics
    /// When they do not answer.
    #[must_use]
    pub fn start(members: usize) -> Option<Self> {
        Self::start_with(members, &[])
    }

    /// The same with further arguments; with `--cert-file` it speaks TLS.
    ///
    /// # Panics
    /// When they do not answer.
    #[must_use]
    pub fn start_with(members: usize, arguments: &[String]) -> Option<Self> {
        let program = installed()?;
        for _ in 0..STARTS {
            let ports = free_ports(2 * members);
            let members = ports.chunks(2).map(|pair| Member { client: pair[0], peer: pair[1], process: None });
            let scheme = if arguments.iter().any(|a| a.starts_with("--cert-file")) { "https" } else { "http" };
            let folder = tempfile::tempdir().expect("a temporary folder");
            let mut cluster = Self { members: members.collect(), scheme, folder };
            std::fs::write(cluster.arguments(), arguments.join("\n")).expect("a file");
            (0..cluster.members.len()).for_each(|index| cluster.spawn(&program, index));
            if cluster.answers() {
                return Some(cluster);
            }
        }
        panic!("etcd does not start");
    }

    fn arguments(&self) -> PathBuf {
        self.folder.path().join("arguments")
    }

    fn spawn(&mut self, program: &Path, index: usize) {
        let peer = |member: &Member| format!("http://127.0.0.1:{}", member.peer);
        let name = |index: usize| format!("m{index}");
        let all: Vec<String> =
            self.members.iter().enumerate().map(|(i, member)| format!("{}={}", name(i), peer(member))).collect();
        let folder = self.folder.path().join(name(index));
        let log = std::fs::OpenOptions::new().create(true).append(true).open(folder.with_extension("log"));
        let member = &self.members[index];
        let client = format!("{}://127.0.0.1:{}", self.scheme, member.client);
        let further = std::fs::read_to_string(self.arguments()).expect("a file");
        let process = Command::new(program)
            .args(["--name", &name(index), "--initial-cluster", &all.join(","), "--logger=zap", "--log-level=warn"])
            .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
            .args(["--listen-peer-urls", &peer(member), "--initial-advertise-peer-urls", &peer(member)])
            .arg("--data-dir")
            .arg(folder)
            .args(further.lines())
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log.expect("a log file"))
            .spawn();
        self.members[index].process = Some(process.expect("etcd starts"));
    }

    /// False where a member ended, for want of a port.
    fn answers(&mut self) -> bool {
        let end = Instant::now() + PATIENCE;
        loop {
            let ended = |member: &mut Member| {
                member.process.as_mut().is_some_and(|process| process.try_wait().expect("a child").is_some())
            };
            if self.members.iter_mut().any(ended) {
                return false;
            }
            if self.members.iter().all(|member| self.scheme == "https" && reachable(member) || healthy(member)) {
                return true;
            }
            assert!(Instant::now() < end, "etcd does not answer: {}", self.logs());
            std::thread::sleep(PAUSE);
        }
    }

    fn logs(&self) -> String {
        let log = |index: usize| std::fs::read_to_string(self.folder.path().join(format!("m{index}.log")));
        (0..self.members.len()).filter_map(|index| log(index).ok()).collect()
    }

    /// `host:port` of each member, joined by commas.
    #[must_use]
    pub fn endpoints(&self) -> String {
        self.members.iter().map(|member| format!("127.0.0.1:{}", member.client)).collect::<Vec<_>>().join(",")
    }

    /// The setting `meta_store`.
    #[must_use]
    pub fn url(&self, prefix: &str) -> String {
        let scheme = if self.scheme == "https" { "etcds" } else { "etcd" };
        format!("{scheme}://{}/{prefix}", self.endpoints())
    }

    /// SIGKILL, and waits until it is gone.
    ///
    /// # Panics
    /// When it is gone already.
    pub fn kill(&mut self, member: usize) {
        let mut process = self.members[member].process.take().expect("a running member");
        process.kill().expect("SIGKILL");
        process.wait().expect("a child");
    }

    /// Starts a member that was killed anew, with its ports and data; does not wait until it answers.
    ///
    /// # Panics
    /// When it can't be started.
    pub fn restart(&mut self, member: usize) {
        let program = installed().expect("it was installed");
        self.spawn(&program, member);
    }

    /// Waits until all members answer and know a leader: from then on one of them may fail.
    ///
    /// # Panics
    /// When they do not.
    pub fn wait_until_whole(&mut self) {
        assert!(self.answers(), "a member of etcd has ended: {}", self.logs());
    }

    /// Lets a member stand still.
    pub fn pause(&self, member: usize) {
        self.signal(member, "-STOP");
    }

    /// Lets it go on.
    pub fn resume(&self, member: usize) {
        self.signal(member, "-CONT");
    }

    fn signal(&self, member: usize, signal: &str) {
        let process = self.members[member].process.as_ref().expect("a running member");
        let sent = Command::new("kill").args([signal, &process.id().to_string()]).status();
        assert!(sent.expect("kill").success(), "{signal}");
    }
}

fn reachable(member: &Member) -> bool {
    TcpStream::connect(("127.0.0.1", member.client)).is_ok()
}

/// True once the cluster has a leader.
fn healthy(member: &Member) -> bool {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", member.client))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(b"GET /health HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    ask().is_ok_and(|answer| answer.contains("\"true\""))
}

impl Drop for EtcdCluster {
    fn drop(&mut self) {
        for process in self.members.iter_mut().filter_map(|member| member.process.as_mut()) {
            // It may have ended by itself.
            let _ = process.kill();
            let _ = process.wait();
        }
        if std::thread::panicking() {
            eprintln!("---- etcd's log:\n{}", self.logs());
        }
    }
}
