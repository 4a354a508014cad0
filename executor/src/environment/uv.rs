//! Runs uv: every line of its output goes to the build log, and its whole process group ends with the future.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process_group, set_parent_process_death_signal};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use udfleet_proto::error::Error;
use udfleet_proto::network::Network;
use udfleet_proto::v1::ErrorCode;

use super::BuildLog;
use crate::orphans;
use crate::sandbox::{Policy, Sandbox, closed_at, for_tool, give, show, uv_cache, uv_settings};

/// The longest line of output, bytes; what is beyond it is left out.
const LONGEST_LINE: usize = 16 << 10;
/// Lines of output that are kept for the error.
const KEPT_LINES: usize = 200;

/// The uv to run.
#[derive(Debug, Clone)]
pub(super) struct Uv {
    program: PathBuf,
    sandbox: Sandbox,
}

/// Temporary files of a build, and what is its home.
const HOME: &str = "build-home";
/// Where it installs packages.
pub(super) const VENV: &str = "venv";
/// Beside these, uv's settings where builds have a user of their own.
const SETTINGS: &str = "uv.toml";
/// How the folder begins that is the cache of such a user.
const OWN_CACHE: &str = "udfleet-builds-";

impl Uv {
    /// The configured uv, else the one on PATH.
    pub(super) fn find(configured: Option<&Path>, sandbox: &Sandbox) -> Result<Self, Error> {
        let program = match configured {
            Some(path) if path.is_file() => Ok(path.to_owned()),
            Some(path) => Err(missing(format!("there is no uv at {}", path.display()))),
            None => on_path(std::env::var_os("PATH")).ok_or_else(|| missing("there is no uv on PATH".to_owned())),
        }?;
        Ok(Self { program, sandbox: sandbox.clone() })
    }

    /// Runs it in `folder`, for this Python: packages that it builds run their own code, which may write there and into
    /// uv's cache. `Err` holds what it wrote last.
    pub(super) async fn run<A: AsRef<OsStr>>(
        &self,
        folder: &Path,
        python: &Path,
        arguments: &[A],
        log: &BuildLog,
    ) -> Result<(), Vec<String>> {
        let problem = |e: std::io::Error| vec![format!("error: {}: {e}", self.program.display())];
        let mut command = self.command(folder, python).map_err(problem)?;
        command.args(arguments).args(["--no-progress", "--color", "never"]);
        command.current_dir(folder).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.process_group(0).kill_on_drop(true);
        // SAFETY: one system call, which is async-signal-safe and allocates nothing.
        unsafe { command.pre_exec(|| Ok(set_parent_process_death_signal(Some(Signal::KILL))?)) };
        let (child, _own) = orphans::start(|| command.spawn(), Child::id).map_err(problem)?;
        let mut group = Group(Some(child));
        let Some(child) = &mut group.0 else { return Ok(()) };
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let (_, kept) = tokio::join!(lines(stdout, log), lines(stderr, log));
        let status = child.wait().await.map_err(problem)?;
        // All of the group that matters has ended: its number may belong to others from now on.
        group.0 = None;
        if status.success() {
            return Ok(());
        }
        Err(if kept.is_empty() { vec![format!("error: uv ended with {status}")] } else { kept })
    }

    fn command(&self, folder: &Path, python: &Path) -> std::io::Result<Command> {
        let (home, builder) = (folder.join(HOME), self.sandbox.builder());
        std::fs::create_dir_all(&home)?;
        if let Some(builder) = builder {
            let venv = folder.join(VENV);
            std::fs::create_dir_all(&venv)?;
            give(&home, builder).and_then(|()| give(&venv, builder))?;
        }
        let program = self.program.canonicalize()?;
        let policy = Policy::with(Network::All).user(builder).shared();
        let mut policy = policy.read(program).read(&self.program).python(python).write(folder);
        let mut variables = for_tool(&home, std::env::vars_os());
        // A package that is linked to the cache would change with any environment that has it.
        variables.push(("UV_LINK_MODE".into(), "copy".into()));
        if let Some(cache) = uv_cache(|name| std::env::var_os(name)) {
            let cache = builder.map_or_else(|| Ok(cache.clone()), |builder| cache_of(builder, &cache, folder))?;
            std::fs::create_dir_all(&cache)?;
            policy = policy.write(&cache);
            variables.push(("UV_CACHE_DIR".into(), cache.into()));
        }
        if let Some(settings) = uv_settings(|name| std::env::var_os(name)) {
            let settings = builder.map_or_else(|| Ok(settings.clone()), |builder| copied(&settings, &home, builder))?;
            policy = policy.read(&settings);
            variables.insert(0, ("UV_CONFIG_FILE".into(), settings.into()));
        }
        let mut command = self.sandbox.command(&self.program, &policy);
        command.envs(variables);
        Ok(command.into())
    }
}

/// The cache of builds that have a user of their own: within the operator's, who shares it with nobody else; beside the
/// environments, in one of which the build runs, where that user can't get there.
fn cache_of(builder: u32, cache: &Path, folder: &Path) -> std::io::Result<PathBuf> {
    std::fs::create_dir_all(cache)?;
    let parent = if closed_at(cache).is_none() { cache } else { folder.parent().unwrap_or(folder) };
    let own = parent.join(format!("{OWN_CACHE}{builder}"));
    if !own.is_dir() {
        std::fs::create_dir_all(&own)?;
        give(&own, builder)?;
    }
    Ok(own)
}

/// The operator's settings, for a user who can't read them where they are.
fn copied(settings: &Path, home: &Path, builder: u32) -> std::io::Result<PathBuf> {
    let copy = home.with_file_name(SETTINGS);
    std::fs::copy(settings, &copy)?;
    show(&copy, builder)?;
    Ok(copy)
}

/// The first `uv` in these folders that can be run.
fn on_path(folders: Option<OsString>) -> Option<PathBuf> {
    which::which_in_global("uv", folders).ok()?.next()
}

fn missing(what: String) -> Error {
    Error::new(ErrorCode::EnvironmentFailed, format!("environments are built with uv, but {what}"))
        .hint("install uv on the executor's node (`pip install uv`), or name it with --uv or UDFLEET_UV")
}

async fn lines(output: Option<impl AsyncRead + Unpin>, log: &BuildLog) -> Vec<String> {
    let mut kept = VecDeque::new();
    if let Some(output) = output {
        let mut reader = BufReader::new(output);
        while let Some(text) = read_line(&mut reader).await {
            log(&text);
            kept.push_back(text);
            if kept.len() > KEPT_LINES {
                kept.pop_front();
            }
        }
    }
    kept.into()
}

/// The next line, without what is beyond the longest.
async fn read_line(reader: &mut (impl AsyncBufRead + Unpin)) -> Option<String> {
    let mut line = Vec::new();
    loop {
        let block = reader.fill_buf().await.ok()?;
        if block.is_empty() && line.is_empty() {
            return None;
        }
        let end = block.iter().position(|byte| *byte == b'\n');
        let taken = end.unwrap_or(block.len());
        line.extend_from_slice(&block[..taken.min(LONGEST_LINE - line.len())]);
        let (over, length) = (end.is_some() || block.is_empty(), taken + usize::from(end.is_some()));
        reader.consume(length);
        if over {
            return Some(String::from_utf8_lossy(&line).trim_end().to_owned());
        }
    }
}

/// A child that leads its process group; dropped early, the whole group is killed.
struct Group(Option<Child>);

impl Drop for Group {
    fn drop(&mut self) {
        let id = self.0.as_ref().and_then(Child::id).and_then(|id| i32::try_from(id).ok());
        if let Some(pid) = id.and_then(Pid::from_raw) {
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn the_uv_on_path_is_one_that_can_be_run() {
        let (first, (second, uv)) = (tempfile::tempdir().unwrap(), shell("true"));
        std::fs::write(first.path().join("uv"), "no program").unwrap();
        let folders = std::env::join_paths([first.path(), second.path()]).unwrap();
        assert_eq!(on_path(Some(folders)), Some(uv.program));
        assert_eq!(on_path(Some(first.path().into())), None);
    }

    fn shell(script: &str) -> (tempfile::TempDir, Uv) {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("uv");
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        (folder, Uv { program: path, sandbox: Sandbox::off() })
    }

    #[test]
    fn a_missing_uv_says_what_to_do() {
        let error = Uv::find(Some(Path::new("/nonexistent/uv")), &Sandbox::off()).unwrap_err();
        assert!(error.info().hint.contains("--uv"), "{error}");
    }

    #[tokio::test]
    async fn output_is_logged_and_the_error_output_kept() {
        let (folder, uv) = shell("echo one; echo two >&2; exit 3");
        let (sender, receiver) = std::sync::mpsc::channel();
        let log: BuildLog = Arc::new(move |line: &str| sender.send(line.to_owned()).unwrap_or_default());
        let output = uv.run(folder.path(), Path::new("/bin/sh"), &["x"], &log).await.unwrap_err();
        assert_eq!(output, ["two"]);
        drop(log);
        let mut logged: Vec<String> = receiver.into_iter().collect();
        logged.sort();
        assert_eq!(logged, ["one", "two"]);
    }

    #[tokio::test]
    async fn a_line_without_end_is_cut() {
        let (folder, uv) = shell("head -c 20000000 /dev/zero | tr '\\0' x >&2; echo >&2; echo; echo last >&2; exit 3");
        let log: BuildLog = Arc::new(|line: &str| assert!(line.len() <= LONGEST_LINE));
        let output = uv.run(folder.path(), Path::new("/bin/sh"), &["x"], &log).await.unwrap_err();
        assert_eq!(output.iter().map(String::len).collect::<Vec<_>>(), [LONGEST_LINE, 4]);
    }

    #[tokio::test]
    async fn cancelling_kills_the_whole_group() {
        let (folder, uv) = shell("sleep 1000 & echo $! > \"$1\"; wait");
        let file = folder.path().join("pid");
        let (arguments, log): (_, BuildLog) = ([file.clone()], Arc::new(|_: &str| {}));
        let place = folder.path().to_owned();
        let run = tokio::spawn(async move { uv.run(&place, Path::new("/bin/sh"), &arguments, &log).await });
        let grandchild = loop {
            let pid = std::fs::read_to_string(&file).unwrap_or_default();
            if let Ok(pid) = pid.trim().parse::<i32>() {
                break pid;
            }
            assert!(!run.is_finished(), "ended by itself");
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        };
        let alive = || {
            let status = std::fs::read_to_string(format!("/proc/{grandchild}/stat")).unwrap_or_default();
            !status.is_empty() && !status.contains(") Z ")
        };
        assert!(alive());
        run.abort();
        while alive() {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }
}
