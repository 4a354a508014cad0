//! Arrow's stream format, message by message: headers are decoded, bodies are not.

use std::io::{self, ErrorKind, Read, Write};

use arrow_ipc::{MessageHeader, root_as_message};
use bytes::Bytes;
use udfleet_proto::error::Error;
use udfleet_proto::limits::{MAX_CONTROL_BYTES, MAX_FRAME_BYTES};
use udfleet_proto::v1::ErrorCode;

/// In front of every message, and of the zero that ends a stream.
const CONTINUATION: [u8; 4] = [0xff; 4];
/// Headers end at multiples of this.
const ALIGNMENT: usize = 8;

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The columns; comes first.
    Schema,
    /// Values that later batches refer to.
    Dictionary,
    /// Rows.
    Batch {
        /// How many.
        rows: u64,
    },
}

/// A message of a stream.
#[derive(Debug, Clone)]
pub struct Message {
    /// What it is.
    pub kind: Kind,
    /// Its flatbuffer.
    pub header: Bytes,
    /// Its buffers.
    pub body: Bytes,
}

fn malformed(what: impl std::fmt::Display) -> Error {
    Error::new(ErrorCode::InvalidInput, format!("malformed ArrowStream on stdin: {what}"))
        .hint("the function needs <format>ArrowStream</format>, and --chunk-header where send_chunk_header is set")
}

fn broken(error: &io::Error) -> Error {
    match error.kind() {
        ErrorKind::UnexpectedEof => malformed("it ends within a message"),
        _ => Error::internal(format!("reading stdin: {error}")),
    }
}

/// Reads the next message; `None` at the end of the stream, which a marker says or the end of the input.
///
/// # Errors
/// `INVALID_INPUT` for what is no ArrowStream, `LIMIT_EXCEEDED` for more than a Flight message takes.
pub fn read(from: &mut impl Read) -> Result<Option<Message>, Error> {
    let mut word = [0; 4];
    if !fill_or_end(from, &mut word)? {
        return Ok(None);
    }
    if word != CONTINUATION {
        return Err(malformed(format_args!("it begins with {}", word.escape_ascii())));
    }
    from.read_exact(&mut word).map_err(|e| broken(&e))?;
    let length = match usize::try_from(i32::from_le_bytes(word)) {
        Ok(0) => return Ok(None),
        Ok(length) if length <= MAX_CONTROL_BYTES => length,
        _ => return Err(malformed("a header has no sensible length")),
    };
    let header = take(from, length)?;
    let (kind, length) = inspect(&header)?;
    let body = take(from, length)?;
    Ok(Some(Message { kind, header, body }))
}

/// False where the input ends before it gives a byte.
fn fill_or_end(from: &mut impl Read, word: &mut [u8; 4]) -> Result<bool, Error> {
    match from.read_exact(&mut word[..1]) {
        Ok(()) => from.read_exact(&mut word[1..]).map(|()| true).map_err(|e| broken(&e)),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(broken(&error)),
    }
}

fn take(from: &mut impl Read, length: usize) -> Result<Bytes, Error> {
    let mut bytes = Vec::with_capacity(length);
    from.take(length as u64).read_to_end(&mut bytes).map_err(|e| broken(&e))?;
    if bytes.len() < length {
        return Err(malformed("it ends within a message"));
    }
    Ok(bytes.into())
}

/// What a header says: what the message is, and the length of its body.
fn inspect(header: &[u8]) -> Result<(Kind, usize), Error> {
    let message = root_as_message(header).map_err(malformed)?;
    let length = usize::try_from(message.bodyLength()).map_err(malformed)?;
    let rows = message.header_as_record_batch().map_or(0, |batch| batch.length());
    if length > MAX_FRAME_BYTES {
        let what = format!("a block of {rows} rows has {length} bytes, more than the limit of {MAX_FRAME_BYTES} bytes");
        return Err(Error::new(ErrorCode::LimitExceeded, what).hint("make blocks smaller: SETTINGS max_block_size"));
    }
    let kind = match message.header_type() {
        MessageHeader::Schema => Kind::Schema,
        MessageHeader::DictionaryBatch => Kind::Dictionary,
        MessageHeader::RecordBatch => Kind::Batch { rows: u64::try_from(rows).map_err(malformed)? },
        other => return Err(malformed(format_args!("unexpected message {other:?}"))),
    };
    Ok((kind, length))
}

/// Writes a message.
///
/// # Errors
/// As the writer.
pub fn write(to: &mut impl Write, header: &[u8], body: &[u8]) -> io::Result<()> {
    let padding = (CONTINUATION.len() + 4 + header.len()).wrapping_neg() % ALIGNMENT;
    let length = i32::try_from(header.len() + padding).map_err(io::Error::other)?;
    to.write_all(&CONTINUATION)?;
    to.write_all(&length.to_le_bytes())?;
    to.write_all(header)?;
    to.write_all(&[0; ALIGNMENT][..padding])?;
    to.write_all(body)
}

/// Writes the end of a stream.
///
/// # Errors
/// As the writer.
pub fn write_end(to: &mut impl Write) -> io::Result<()> {
    to.write_all(&CONTINUATION)?;
    to.write_all(&[0; 4])
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{Int64Array, RecordBatch};
    use arrow_ipc::reader::StreamReader;
    use arrow_ipc::writer::StreamWriter;

    use super::*;

    fn batch(values: &[i64]) -> RecordBatch {
        RecordBatch::try_from_iter([("a", Arc::new(Int64Array::from(values.to_vec())) as _)]).unwrap()
    }

    fn stream(batches: &[RecordBatch]) -> Vec<u8> {
        let mut writer = StreamWriter::try_new(Vec::new(), &batches[0].schema()).unwrap();
        batches.iter().for_each(|batch| writer.write(batch).unwrap());
        writer.into_inner().unwrap()
    }

    #[test]
    fn what_is_read_can_be_written_again() {
        let batches = [batch(&[1, 2]), batch(&[]), batch(&[3])];
        let bytes = stream(&batches);
        let (mut from, mut copy) = (&bytes[..], Vec::new());
        let mut kinds = Vec::new();
        while let Some(message) = read(&mut from).unwrap() {
            kinds.push(message.kind);
            write(&mut copy, &message.header, &message.body).unwrap();
        }
        write_end(&mut copy).unwrap();
        let rows = |rows| Kind::Batch { rows };
        assert_eq!(kinds, [Kind::Schema, rows(2), rows(0), rows(1)]);
        assert!(from.is_empty());
        let read: Vec<_> = StreamReader::try_new(&copy[..], None).unwrap().map(Result::unwrap).collect();
        assert_eq!(read, batches);
    }

    #[test]
    fn a_stream_may_end_with_its_input_but_not_within_a_message() {
        let bytes = stream(&[batch(&[1])]);
        let whole = bytes.len() - 8;
        for length in 0..bytes.len() {
            let mut from = &bytes[..length];
            let outcome = loop {
                match read(&mut from) {
                    Ok(Some(_)) => {}
                    Ok(None) => break Ok(()),
                    Err(error) => break Err(error),
                }
            };
            let boundary = length == 0 || length == whole || read(&mut &bytes[..]).unwrap().is_none();
            let schema = 8 + i32::from_le_bytes(bytes[4..8].try_into().unwrap()) as usize;
            assert_eq!(outcome.is_ok(), boundary || length == schema, "{length}: {outcome:?}");
        }
    }

    #[test]
    fn other_input_is_refused_with_what_to_look_at() {
        let mut huge = CONTINUATION.to_vec();
        huge.extend(i32::MAX.to_le_bytes());
        let mut garbage = CONTINUATION.to_vec();
        garbage.extend(8_i32.to_le_bytes());
        garbage.extend([7; 8]);
        for bytes in [&b"65409\n"[..], &huge, &garbage] {
            let error = read(&mut &bytes[..]).unwrap_err();
            assert_eq!(error.code(), ErrorCode::InvalidInput);
            assert!(error.info().hint.contains("ArrowStream"), "{error}");
        }
    }
}
