//! Stdin, read by a thread of its own, since reads block: chunks of messages, as fast as they are consumed.

use std::io::{BufReader, Read};

use tokio::sync::mpsc;
use udfleet_proto::error::Error;
use udfleet_proto::v1::ErrorCode;

use crate::frame::{self, Message};

/// Messages that wait to be taken: one is read while the one before is sent.
const AHEAD: usize = 1;
/// The most digits of a row count.
const DIGITS: u64 = 20;

/// What stdin says.
#[derive(Debug)]
pub enum Event {
    /// A stream begins, with as many rows where a row count stands before it.
    Begin(Option<u64>),
    /// A message of it.
    Message(Message),
    /// It is complete.
    End,
}

/// The taking end.
pub struct Input {
    events: mpsc::Receiver<Result<Event, Error>>,
    within_stream: bool,
}

impl Input {
    /// Reads one stream, or with `chunk_header` row counts and streams until the input ends.
    pub fn start(from: impl Read + Send + 'static, chunk_header: bool) -> Self {
        let (sender, events) = mpsc::channel(AHEAD);
        let mut reader = Reader { from: BufReader::new(from), sender };
        std::thread::spawn(move || {
            let outcome = if chunk_header { reader.chunks() } else { reader.stream(None).map(drop) };
            if let Err(error) = outcome {
                // Fails where nobody listens any more.
                let _ = reader.sender.blocking_send(Err(error));
            }
        });
        Self { events, within_stream: false }
    }

    /// What comes next; `None` at the end of the input. May be dropped without losing anything.
    ///
    /// # Errors
    /// What is wrong with the input.
    pub async fn next(&mut self) -> Result<Option<Event>, Error> {
        let event = self.events.recv().await.transpose();
        self.within_stream = matches!(event, Ok(Some(Event::Begin(_) | Event::Message(_))));
        event
    }

    /// Throws the rest of the stream away, so that whoever writes it is done.
    pub async fn drain(&mut self) {
        while self.within_stream {
            // What is wrong with it does not matter any more.
            let _ = self.next().await;
        }
    }
}

struct Reader<R> {
    from: BufReader<R>,
    sender: mpsc::Sender<Result<Event, Error>>,
}

impl<R: Read> Reader<R> {
    /// False where nobody listens any more.
    fn send(&self, event: Event) -> bool {
        self.sender.blocking_send(Ok(event)).is_ok()
    }

    fn chunks(&mut self) -> Result<(), Error> {
        while let Some(rows) = self.row_count()? {
            if !self.stream(Some(rows))? {
                break;
            }
        }
        Ok(())
    }

    /// One stream; false where nobody listens any more.
    fn stream(&mut self, rows: Option<u64>) -> Result<bool, Error> {
        let mut listening = self.send(Event::Begin(rows));
        while listening {
            match frame::read(&mut self.from)? {
                Some(message) => listening = self.send(Event::Message(message)),
                None => return Ok(self.send(Event::End)),
            }
        }
        Ok(false)
    }

    /// A line with a number; `None` at the end of the input.
    fn row_count(&mut self) -> Result<Option<u64>, Error> {
        use std::io::BufRead as _;
        let mut line = Vec::new();
        let read = self.from.by_ref().take(DIGITS + 1).read_until(b'\n', &mut line);
        read.map_err(|e| Error::internal(format!("reading stdin: {e}")))?;
        if line.is_empty() {
            return Ok(None);
        }
        let text = std::str::from_utf8(&line).ok().and_then(|text| text.strip_suffix('\n'));
        let rows = text.and_then(|text| text.parse().ok()).ok_or_else(|| {
            let message = format!("stdin has \"{}\" where a row count should stand", line.escape_ascii());
            let hint = "--chunk-header belongs to <send_chunk_header>1</send_chunk_header>, neither works alone";
            Error::new(ErrorCode::InvalidInput, message).hint(hint)
        });
        rows.map(Some)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;
    use std::sync::Arc;

    use arrow_ipc::writer::StreamWriter;
    use arrow_schema::{DataType, Field, Schema};

    use super::*;

    fn empty_stream() -> Vec<u8> {
        let schema = Arc::new(Schema::new(vec![Field::new("a", DataType::Int64, false)]));
        StreamWriter::try_new(Vec::new(), &schema).unwrap().into_inner().unwrap()
    }

    async fn read(bytes: Vec<u8>, chunk_header: bool) -> (String, Option<Error>) {
        let mut input = Input::start(Cursor::new(bytes), chunk_header);
        let mut seen = String::new();
        loop {
            match input.next().await {
                Ok(Some(Event::Begin(rows))) => seen.push_str(&rows.map_or("(".to_owned(), |rows| format!("{rows}("))),
                Ok(Some(Event::Message(_))) => seen.push('m'),
                Ok(Some(Event::End)) => seen.push(')'),
                Ok(None) => return (seen, None),
                Err(error) => return (seen, Some(error)),
            }
        }
    }

    #[tokio::test]
    async fn chunks_follow_each_other_until_the_input_ends() {
        let chunk = |rows: &str| [rows.as_bytes(), b"\n", &empty_stream()].concat();
        assert_eq!(read(empty_stream(), false).await, ("(m)".to_owned(), None));
        assert_eq!(read(Vec::new(), true).await, (String::new(), None));
        let (seen, error) = read([chunk("7"), chunk("0"), chunk("123456")].concat(), true).await;
        assert_eq!((seen.as_str(), error), ("7(m)0(m)123456(m)", None));
    }

    #[tokio::test]
    async fn a_missing_row_count_is_named() {
        let (seen, error) = read([b"5\n", &empty_stream()[..], &empty_stream()].concat(), true).await;
        let error = error.unwrap();
        assert_eq!(seen, "5(m)");
        assert!(error.info().message.contains("row count") && error.info().hint.contains("send_chunk_header"));
    }
}
