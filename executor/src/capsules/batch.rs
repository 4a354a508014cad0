//! A batch as it is kept: its rows, or the one that failed, without the columns that are left out.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, new_null_array};
use arrow_ipc::convert::try_schema_from_flatbuffer_bytes;
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{ArrowError, Field, Schema};
use bytes::Bytes;
use udfleet_proto::frame::guarded;
use udfleet_proto::ipc;

use super::rule::CapsuleRule;
use super::store::FailedBatch;

/// The largest batch that is kept whole, bytes; of a larger one the row that failed is.
pub(super) const MAX_INPUT_BYTES: usize = 4 << 20;

/// What is kept of a batch.
#[derive(Debug, Default)]
pub(super) struct KeptRows {
    /// An Arrow IPC stream; empty where nothing is kept.
    pub(super) stream: Bytes,
    pub(super) rows: u64,
    pub(super) first_row: u64,
    /// Names of columns that are null.
    pub(super) redacted: Vec<String>,
}

/// Of a batch that can't be decoded, or whose one row is too large, nothing is kept.
pub(super) fn keep(failed: &FailedBatch<'_>, rule: &CapsuleRule) -> KeptRows {
    guarded(|| encode(failed, rule)).unwrap_or_default()
}

fn encode(failed: &FailedBatch<'_>, rule: &CapsuleRule) -> Result<KeptRows, ArrowError> {
    let schema = Arc::new(try_schema_from_flatbuffer_bytes(failed.schema)?);
    let batch = ipc::decode(&schema, failed.header, failed.body.clone())?;
    let (batch, first_row) = match failed.error.row {
        _ if failed.body.len() <= MAX_INPUT_BYTES => (batch, 0),
        Some(row) if row < batch.num_rows() as u64 => (batch.slice(row as usize, 1), row),
        _ => return Ok(KeptRows::default()),
    };
    let (batch, redacted) = redact(&batch, &rule.redacts(&schema))?;
    let mut stream = Vec::new();
    let mut writer = StreamWriter::try_new(&mut stream, &batch.schema())?;
    writer.write(&batch)?;
    writer.finish()?;
    drop(writer);
    if stream.len() > MAX_INPUT_BYTES + (64 << 10) {
        return Ok(KeptRows::default());
    }
    Ok(KeptRows { stream: stream.into(), rows: batch.num_rows() as u64, first_row, redacted })
}

fn redact(batch: &RecordBatch, redacts: &[bool]) -> Result<(RecordBatch, Vec<String>), ArrowError> {
    let schema = batch.schema();
    let (mut fields, mut columns, mut names) = (Vec::new(), Vec::<ArrayRef>::new(), Vec::new());
    for ((field, column), redacted) in schema.fields().iter().zip(batch.columns()).zip(redacts) {
        if *redacted {
            names.push(field.name().clone());
            fields.push(Arc::new(Field::clone(field).with_nullable(true)));
            columns.push(new_null_array(column.data_type(), column.len()));
        } else {
            fields.push(Arc::clone(field));
            columns.push(Arc::clone(column));
        }
    }
    let options = arrow_array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    let schema = Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()));
    Ok((RecordBatch::try_new_with_options(schema, columns, &options)?, names))
}

#[cfg(test)]
mod tests {
    use arrow_array::cast::AsArray as _;
    use arrow_array::types::Int64Type;
    use arrow_array::{Array as _, Int64Array, StringArray};
    use arrow_ipc::reader::StreamReader;
    use arrow_schema::DataType;
    use udfleet_proto::config::{CAPSULES, CAPSULES_REDACT};
    use udfleet_proto::v1::{ErrorInfo, FunctionDefinition};

    use super::*;

    fn rule(redact: &str) -> CapsuleRule {
        let set = |key: &udfleet_proto::config::Key, value: &str| (key.name.to_owned(), value.to_owned());
        let config = [set(&CAPSULES, "errors"), set(&CAPSULES_REDACT, redact)].into();
        CapsuleRule::of(&FunctionDefinition { config, ..FunctionDefinition::default() }).unwrap()
    }

    /// Rows 0 to `rows` with a text of so many bytes each.
    fn kept(rows: i64, text: usize, redact: &str, row: Option<u64>) -> (KeptRows, Option<RecordBatch>) {
        let fields = vec![Field::new("n", DataType::Int64, false), Field::new("s", DataType::Utf8, true)];
        let texts: StringArray = (0..rows).map(|_| Some("x".repeat(text))).collect();
        let columns: Vec<ArrayRef> = vec![Arc::new((0..rows).collect::<Int64Array>()), Arc::new(texts)];
        let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap();
        let (schema, message) = (ipc::schema_message(&batch.schema()).data_header, ipc::encode(&batch).unwrap());
        let error = ErrorInfo { row, ..ErrorInfo::default() };
        let (header, body) = (&message.data_header, &message.data_body);
        let kept = keep(
            &FailedBatch { schema: &schema, header, body, rows: rows as u64, error: &error, on_error: 0 },
            &rule(redact),
        );
        let read = (!kept.stream.is_empty())
            .then(|| StreamReader::try_new(&kept.stream[..], None).unwrap().next().unwrap().unwrap());
        (kept, read)
    }

    #[test]
    fn a_batch_is_kept_whole() {
        let (kept, read) = kept(3, 5, "", Some(1));
        let read = read.unwrap();
        assert_eq!((kept.rows, kept.first_row, kept.redacted.len()), (3, 0, 0));
        assert_eq!(read.column(0).as_primitive::<Int64Type>().values(), &[0, 1, 2]);
        assert_eq!(read.column(1).as_string::<i32>().value(2), "xxxxx");
    }

    #[test]
    fn redacted_columns_hold_nothing() {
        let (kept, read) = kept(3, 5, "n", None);
        let read = read.unwrap();
        assert_eq!(kept.redacted, ["n"]);
        assert_eq!((read.column(0).null_count(), read.column(1).null_count()), (3, 0));
        assert!(
            !kept
                .stream
                .windows(16)
                .any(|bytes| bytes == [[1, 0, 0, 0, 0, 0, 0, 0], [2, 0, 0, 0, 0, 0, 0, 0]].concat())
        );
    }

    #[test]
    fn of_a_large_batch_only_the_row_that_failed_is_kept() {
        let (one, read) = kept(100, 100 << 10, "", Some(7));
        assert_eq!((one.rows, one.first_row), (1, 7));
        assert_eq!(read.unwrap().column(0).as_primitive::<Int64Type>().value(0), 7);
        assert!(one.stream.len() < 200 << 10);
        let (none, _) = kept(100, 100 << 10, "", None);
        assert_eq!((none.rows, none.stream.len()), (0, 0), "nobody knows which row it was");
        let (none, _) = kept(2, 5 << 20, "", Some(1));
        assert_eq!(none.rows, 0, "the row itself is too large");
    }
}
