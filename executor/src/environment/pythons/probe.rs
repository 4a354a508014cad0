//! Asks a Python what it is, by running it.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use tokio::process::Child;
use udfleet_proto::error::Error;
use udfleet_proto::v1::ErrorCode;

use super::Python;
use crate::orphans;
use crate::sandbox::{Policy, Sandbox, collect_async};

const LONGEST: Duration = Duration::from_secs(5);

/// Runs isolated and without site-packages: nothing installed there can change the answer.
const SCRIPT: &str = r#"
import json, os, sys, sysconfig
get = sysconfig.get_config_var
names = [n for n in (get("INSTSONAME"), get("LDLIBRARY")) if n and ".so" in n]
names.append("libpython%d.%d.so.1.0" % sys.version_info[:2])
folders = [get("LIBDIR"), os.path.join(sys.base_prefix, "lib")]
if get("LIBDIR") and get("MULTIARCH"):
    folders.append(os.path.join(get("LIBDIR"), get("MULTIARCH")))
found = [os.path.join(d, n) for d in folders if d for n in names if os.path.isfile(os.path.join(d, n))]
print(json.dumps({
    "implementation": sys.implementation.name,
    "version": sys.version_info[:3],
    "executable": os.path.realpath(sys.executable),
    "base_prefix": sys.base_prefix,
    "libpython": found[0] if found else None,
}))
"#;

#[derive(Deserialize)]
struct ProbeOutput {
    implementation: String,
    version: (u32, u32, u32),
    executable: PathBuf,
    base_prefix: PathBuf,
    libpython: Option<PathBuf>,
}

/// Runs the Python at `path` once, for at most 5 seconds, under the policy and with what it needs itself.
///
/// # Errors
/// `ENVIRONMENT_FAILED` when it does not run, does not answer, or is no CPython 3.
pub async fn probe(path: &Path, sandbox: &Sandbox, policy: Policy) -> Result<Python, Error> {
    let bad = |what: String| Error::new(ErrorCode::EnvironmentFailed, format!("Python {}: {what}", path.display()));
    let mut command = tokio::process::Command::from(sandbox.command(path, &policy.python(path)));
    command.args(["-I", "-S", "-c", SCRIPT]).stdin(Stdio::null()).kill_on_drop(true);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let (child, _own) = orphans::start(|| command.spawn(), Child::id).map_err(|e| bad(format!("can't be run: {e}")))?;
    let output = tokio::time::timeout(LONGEST, collect_async(child))
        .await
        .map_err(|_| bad(format!("no answer within {} s", LONGEST.as_secs())))?
        .map_err(|e| bad(format!("can't be run: {e}")))?;
    if !output.status.success() {
        let last = String::from_utf8_lossy(&output.stderr).lines().last().unwrap_or_default().to_owned();
        return Err(bad(format!("{}: {last}", output.status)));
    }
    let answer: ProbeOutput =
        serde_json::from_slice(&output.stdout).map_err(|e| bad(format!("unexpected answer: {e}")))?;
    if answer.implementation != "cpython" {
        return Err(bad(format!("is {}, only CPython can be embedded", answer.implementation)));
    }
    Ok(Python {
        version: answer.version,
        executable: answer.executable,
        base_prefix: answer.base_prefix,
        libpython: answer.libpython,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(text: &str) -> (tempfile::TempDir, PathBuf) {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("python3");
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        (folder, path)
    }

    #[tokio::test]
    async fn what_is_no_python_says_why() {
        let off = Sandbox::off();
        let (_folder, failing) = script("#!/bin/sh\necho broken shim >&2\nexit 127\n");
        assert!(probe(&failing, &off, Policy::closed()).await.unwrap_err().to_string().contains("broken shim"));
        let (_folder, talking) = script("#!/bin/sh\necho hello\n");
        assert!(probe(&talking, &off, Policy::closed()).await.unwrap_err().to_string().contains("unexpected answer"));
        assert!(
            probe(Path::new("/nonexistent/python"), &off, Policy::closed())
                .await
                .unwrap_err()
                .to_string()
                .contains("can't be run")
        );
    }
}
