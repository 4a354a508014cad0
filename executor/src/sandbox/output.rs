//! What a contained process prints, where little is expected: what is beyond a bound is not read, and its writer is told so
//! as by any pipe that nobody reads any more.

use std::io::{self, Read};
use std::process::Output;
use std::thread;

use tokio::io::{AsyncRead, AsyncReadExt as _};

/// Of standard output and of standard error, bytes of each.
pub const MAX_OUTPUT_BYTES: u64 = 64 << 10;

/// Reads both pipes and waits for the end of the process.
///
/// # Errors
/// When a pipe can't be read or the process not be waited for.
pub fn collect(mut child: std::process::Child) -> io::Result<Output> {
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (stdout, stderr) = thread::scope(|scope| {
        let stderr = scope.spawn(|| beginning(stderr));
        (beginning(stdout), stderr.join())
    });
    let status = child.wait()?;
    let stderr = stderr.map_err(|_| io::Error::other("standard error was not read"))?;
    Ok(Output { status, stdout: stdout?, stderr: stderr? })
}

/// The same of a process that tokio waits for.
///
/// # Errors
/// As [`collect`].
pub async fn collect_async(mut child: tokio::process::Child) -> io::Result<Output> {
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (status, stdout, stderr) = tokio::join!(child.wait(), async_beginning(stdout), async_beginning(stderr));
    Ok(Output { status: status?, stdout: stdout?, stderr: stderr? })
}

fn beginning(pipe: Option<impl Read>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    pipe.map_or(Ok(0), |pipe| pipe.take(MAX_OUTPUT_BYTES).read_to_end(&mut bytes))?;
    Ok(bytes)
}

async fn async_beginning(pipe: Option<impl AsyncRead + Unpin>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(pipe) = pipe {
        pipe.take(MAX_OUTPUT_BYTES).read_to_end(&mut bytes).await?;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    async fn both(script: &str) -> [Output; 2] {
        let waited = collect(shell(script).spawn().unwrap()).unwrap();
        let child = tokio::process::Command::from(shell(script)).spawn().unwrap();
        [waited, collect_async(child).await.unwrap()]
    }

    #[tokio::test]
    async fn both_pipes_and_the_status_are_told() {
        for output in both("echo out; echo err >&2; exit 3").await {
            assert_eq!((output.stdout.as_slice(), output.stderr.as_slice()), (&b"out\n"[..], &b"err\n"[..]));
            assert_eq!(output.status.code(), Some(3));
        }
    }

    /// Such a process would fill the memory of who reads all of it.
    #[tokio::test]
    async fn output_without_end_is_cut_and_ends_its_writer() {
        for script in ["yes", "yes >&2"] {
            for output in both(script).await {
                assert!(!output.status.success(), "{:?}", output.status);
                let longest = output.stdout.len().max(output.stderr.len());
                assert_eq!(longest as u64, MAX_OUTPUT_BYTES, "{script}");
            }
        }
    }
}
