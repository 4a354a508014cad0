//! One process of the fleet.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::ChildStdout;

use crate::binaries::binary;
use crate::wait::{eventually, within};

/// Lines of a process's log that a failing test shows.
const TAIL: usize = 60;

/// Runs a program of ours to its end: success, stdout and stderr.
///
/// # Panics
/// When it can't be started.
pub fn run(program: &str, arguments: &[&str], environment: &[(&str, &str)]) -> (bool, String, String) {
    let mut command = command(program);
    command.args(arguments).envs(environment.iter().copied()).stdin(Stdio::null());
    let output = command.output().unwrap_or_else(|e| panic!("{program} can't be started: {e}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.success(), text(&output.stdout), text(&output.stderr))
}

/// A running program; killed and waited for when dropped, so that nothing outlives its test.
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
    ready: serde_json::Value,
}

/// The command line of a program of ours, free of what the surroundings say about other fleets.
#[must_use]
pub fn command(program: &str) -> Command {
    let mut command = Command::new(binary(program));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("UDFLEET_")) {
        command.env_remove(name);
    }
    command
}

impl Process {
    /// Starts a program and waits for its ready line. Its log goes to `folder/name.log`, appended.
    ///
    /// # Panics
    /// When it does not become ready; its log is shown.
    pub async fn start(program: &str, name: &str, folder: &Path, arguments: &[OsString]) -> Self {
        let log = folder.join(format!("{name}.log"));
        let stderr = std::fs::OpenOptions::new().create(true).append(true).open(&log).expect("a log file");
        let parent = std::process::id().to_string();
        let mut child = command(program)
            .args(arguments)
            .args(["--parent-pid", &parent])
            // Functions of tests leave traces there.
            .env("UDFLEET_EXECUTOR_SANDBOX_WRITE", folder)
            .env("UDFLEET_EXECUTOR_SANDBOX_WITHOUT", "users")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .unwrap_or_else(|e| panic!("{program} can't be started: {e}"));
        let stdout = ChildStdout::from_std(child.stdout.take().expect("piped")).expect("a pipe");
        let mut process = Self { name: name.to_owned(), child, log, ready: serde_json::Value::Null };
        let mut lines = BufReader::new(stdout).lines();
        let line = within(&format!("{name} gets ready"), lines.next_line()).await.expect("stdout");
        let line = line.unwrap_or_else(|| panic!("{name} ended before it was ready:\n{}", process.log()));
        process.ready = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{name}: ready line {line:?}: {e}"));
        process
    }

    /// What its ready line says under `key`.
    ///
    /// # Panics
    /// When it says nothing.
    #[must_use]
    pub fn ready(&self, key: &str) -> &str {
        self.ready[key].as_str().unwrap_or_else(|| panic!("{}: no {key} in {}", self.name, self.ready))
    }

    /// Process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Everything that it has logged, earlier starts under the same name included.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Sends a signal.
    ///
    /// # Panics
    /// When the process is gone.
    pub fn signal(&self, signal: i32) {
        // SAFETY: the child has not been waited for, so that its pid is still its own.
        let sent = unsafe { libc::kill(self.child.id() as i32, signal) };
        assert_eq!(sent, 0, "{}: signal {signal}: {}", self.name, std::io::Error::last_os_error());
    }

    /// SIGKILL, and waits until it is gone.
    pub fn kill(&mut self) {
        // Fails where it has been waited for already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Waits until it ends by itself.
    pub async fn ended(&mut self) -> ExitStatus {
        let child = &mut self.child;
        eventually(&format!("{} ends", self.name), async || child.try_wait().expect("waiting")).await
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<_> = log.lines().collect();
            let tail = lines[lines.len().saturating_sub(TAIL)..].join("\n");
            eprintln!("---- the log of {} ended with:\n{tail}", self.name);
        }
    }
}
