//! `udfleet-clickhouse` as ClickHouse starts it: bytes in, bytes out.

use std::process::Stdio;

use arrow_array::RecordBatch;
use arrow_ipc::reader::StreamReader;
use arrow_ipc::root_as_message;
use arrow_ipc::writer::StreamWriter;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStdin, ChildStdout};

use crate::process::command;
use crate::wait::within;

/// A stream as ClickHouse writes it, the end included.
///
/// # Panics
/// When arrow-rs can't encode it.
#[must_use]
pub fn stream(batches: &[RecordBatch]) -> Vec<u8> {
    let schema = batches.first().expect("a batch").schema();
    let mut writer = StreamWriter::try_new(Vec::new(), &schema).expect("a schema");
    batches.iter().for_each(|batch| writer.write(batch).expect("a batch"));
    writer.into_inner().expect("an end")
}

/// The same behind a row count.
#[must_use]
pub fn chunk(batches: &[RecordBatch]) -> Vec<u8> {
    let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
    [format!("{rows}\n").into_bytes(), stream(batches)].concat()
}

/// What an answer holds.
///
/// # Panics
/// When it is no stream.
#[must_use]
pub fn decode(bytes: &[u8]) -> Vec<RecordBatch> {
    StreamReader::try_new(bytes, None).expect("a schema").map(|batch| batch.expect("a batch")).collect()
}

/// How a process ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit status.
    pub status: i32,
    /// What it wrote and nobody has read.
    pub stdout: Vec<u8>,
    /// What ClickHouse would show.
    pub stderr: String,
}

/// A running bridge; killed when dropped.
pub struct Bridge {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Option<ChildStdout>,
}

impl Bridge {
    /// Starts it.
    ///
    /// # Panics
    /// When it can't be started.
    #[must_use]
    pub fn start(address: &str, function: &str, arguments: &[&str]) -> Self {
        let mut command = tokio::process::Command::from(command("udfleet-clickhouse"));
        command.args(["--address", address, "--function", function]).args(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().expect("a process");
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        Self { child, stdin, stdout }
    }

    /// Writes to it.
    ///
    /// # Panics
    /// When it does not read all of it.
    pub async fn write(&mut self, bytes: &[u8]) {
        let stdin = self.stdin.as_mut().expect("an open stdin");
        let written = async {
            stdin.write_all(bytes).await?;
            stdin.flush().await
        };
        within("the bridge reads", written).await.expect("a reader");
    }

    /// Ends its input.
    pub fn close(&mut self) {
        self.stdin = None;
    }

    /// Nobody reads its output any more.
    pub fn stop_reading(&mut self) {
        self.stdout = None;
    }

    /// An answer as ClickHouse reads it from a pool's process: messages until there are so many rows, no byte further.
    ///
    /// # Panics
    /// When it is no such answer.
    pub async fn read_rows(&mut self, rows: usize) -> Vec<u8> {
        let (mut bytes, mut read) = (Vec::new(), 0);
        while read < rows {
            let mut prefix = [0; 8];
            self.fill(&mut prefix).await;
            let length = i32::from_le_bytes([prefix[4], prefix[5], prefix[6], prefix[7]]);
            assert!(prefix[..4] == [0xff; 4] && length > 0, "no message: {prefix:?} after {read} rows");
            let mut header = vec![0; length as usize];
            self.fill(&mut header).await;
            let message = root_as_message(&header).expect("a header");
            let mut body = vec![0; message.bodyLength() as usize];
            self.fill(&mut body).await;
            read += message.header_as_record_batch().map_or(0, |batch| batch.length() as usize);
            bytes.extend([&prefix[..], &header, &body].concat());
        }
        bytes
    }

    async fn fill(&mut self, buffer: &mut [u8]) {
        let stdout = self.stdout.as_mut().expect("a reader");
        within("an answer", stdout.read_exact(buffer)).await.expect("more bytes");
    }

    /// Waits until it ends, its input closed or not.
    ///
    /// # Panics
    /// When a signal ends it.
    pub async fn ended(mut self) -> Ended {
        let (mut stdout, mut stderr) = (Vec::new(), String::new());
        let reading = async {
            if let Some(reader) = &mut self.stdout {
                reader.read_to_end(&mut stdout).await.expect("stdout");
            }
            let errors = self.child.stderr.as_mut().expect("piped");
            errors.read_to_string(&mut stderr).await.expect("stderr");
            self.child.wait().await.expect("a status")
        };
        let status = within("the bridge ends", reading).await.code().expect("no signal");
        Ended { status, stdout, stderr }
    }
}
