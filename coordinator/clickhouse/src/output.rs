//! Stdout: answers as ClickHouse reads them.

use std::io::{self, BufWriter, Stdout, Write};

use arrow_schema::{DataType, Field, Schema};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use udfleet_proto::ipc::schema_message;

use crate::{Stop, frame};

/// The writing end. Writes block: there is nothing else to do before ClickHouse has read what it waits for.
pub struct Output<W: Write = Stdout> {
    to: BufWriter<W>,
    return_name: String,
    within_stream: bool,
}

impl Output {
    /// To stdout, for results of that name.
    pub fn stdout(return_name: &str) -> Self {
        Self::new(io::stdout(), return_name)
    }
}

impl<W: Write> Output<W> {
    fn new(to: W, return_name: &str) -> Self {
        Self { to: BufWriter::new(to), return_name: return_name.to_owned(), within_stream: false }
    }

    /// What ClickHouse calls the result.
    pub fn return_name(&self) -> &str {
        &self.return_name
    }

    /// Begins an answer.
    ///
    /// # Errors
    /// [`Stop::Unread`], as all that write.
    pub fn schema(&mut self, header: &[u8]) -> Result<(), Stop> {
        self.within_stream = true;
        self.message(header, &[])
    }

    /// Writes a message and passes it on at once.
    pub fn message(&mut self, header: &[u8], body: &[u8]) -> Result<(), Stop> {
        let written = frame::write(&mut self.to, header, body).and_then(|()| self.to.flush());
        written.map_err(|_| Stop::Unread)
    }

    /// Ends an answer. A stream that others follow has no end of its own: ClickHouse stops reading after the rows that
    /// it waits for, and would take a marker for the next answer, empty.
    pub fn end(&mut self, others_follow: bool) -> Result<(), Stop> {
        self.within_stream = false;
        if others_follow {
            return Ok(());
        }
        frame::write_end(&mut self.to).and_then(|()| self.to.flush()).map_err(|_| Stop::Unread)
    }

    /// Ends an answer that fails, as a whole stream: where one ends in the middle or is missing, ClickHouse shows its
    /// reader's complaint in place of what stderr says.
    pub fn abandon(mut self) {
        let begun = if self.within_stream {
            Ok(())
        } else {
            let nothing = Schema::new(vec![Field::new(&self.return_name, DataType::Null, true)]);
            self.schema(&schema_message(&nothing).data_header)
        };
        // Whoever closed stdout does not want to know.
        let _ = begun.and_then(|()| self.end(false));
    }
}

/// Resolves when nobody reads stdout any more: ClickHouse has died while a call runs.
pub async fn reader_gone() {
    // SAFETY: stdout stays open, and stays the same file, as long as the process lives.
    let Ok(stdout) = (unsafe { AsyncFd::register_with_interest(io::stdout(), Interest::ERROR) }) else {
        // A file: it has no reader.
        return std::future::pending().await;
    };
    let _ = stdout.ready(Interest::ERROR).await;
}

#[cfg(test)]
mod tests {
    use arrow_ipc::reader::StreamReader;

    use super::*;

    #[test]
    fn an_answer_that_fails_is_a_whole_stream_without_rows() {
        for begun in [false, true] {
            let mut bytes = Vec::new();
            let mut output = Output::new(&mut bytes, "outcome");
            let schema = Schema::new(vec![Field::new("outcome", DataType::Int64, true)]);
            if begun {
                output.schema(&schema_message(&schema).data_header).unwrap();
            }
            output.abandon();
            let mut reader = StreamReader::try_new(&bytes[..], None).unwrap();
            assert_eq!(reader.schema().field(0).name(), "outcome");
            assert!(reader.next().is_none());
            assert!(bytes.ends_with(&[0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]));
        }
    }

    #[test]
    fn an_answer_that_others_follow_has_no_end() {
        let mut bytes = Vec::new();
        let mut output = Output::new(&mut bytes, "result");
        let header = schema_message(&Schema::new(vec![Field::new("result", DataType::Int64, true)])).data_header;
        output.schema(&header).unwrap();
        output.end(true).unwrap();
        drop(output);
        let mut from = &bytes[..];
        assert!(frame::read(&mut from).unwrap().unwrap().header.starts_with(&header));
        assert!(from.is_empty());
    }
}
