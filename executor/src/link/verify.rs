//! Validates what interpreters have written before it goes to clients, whose Arrow readers trust it.

use std::sync::Arc;

use arrow_ipc::root_as_message;
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use bytes::Bytes;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};
use udfleet_proto::frame::{self, guarded};
use udfleet_proto::ipc;
use udfleet_proto::v1::Done;

/// Checks a result, as copied out of the interpreter's reach, against its schema: counts, offsets, text, nothing else.
///
/// # Errors
/// What is wrong, as the end of a sentence about the interpreter.
pub(super) fn verify(results: &SchemaRef, done: &Done, header: &Bytes, body: &Bytes) -> Result<(), String> {
    let wrong = |error: udfleet_proto::error::Error| format!("its result is wrong: {}", error.info().message);
    let message = root_as_message(header).map_err(|e| format!("its result's header is malformed: {e}"))?;
    let batch = message.header_as_record_batch().ok_or("its result is no record batch")?;
    frame::check(&batch, body).map_err(wrong)?;
    let schema = if done.errors_column { with_errors(results) } else { Arc::clone(results) };
    let batch = guarded(|| ipc::decode(&schema, header, body.clone())).map_err(wrong)?;
    let rows = batch.num_rows() as u64;
    if rows == done.rows { Ok(()) } else { Err(format!("its result has {rows} rows in place of {}", done.rows)) }
}

fn with_errors(results: &SchemaRef) -> SchemaRef {
    let nullable = results.fields().iter().map(|field| Arc::new(field.as_ref().clone().with_nullable(true)));
    Arc::new(Schema::new(nullable.chain([Arc::new(Field::new("error", DataType::Utf8, true))]).collect::<Vec<_>>()))
}

/// How many values of the field `items` the messages in field 1 of a message hold together; `None` where it is malformed.
pub(super) fn count_items(message: &[u8], items: u32) -> Option<usize> {
    let mut count = 0;
    each(message, &mut |tag, value| {
        if tag == 1 {
            count += 1;
            each(value, &mut |tag, _| {
                count += usize::from(tag == items);
                Some(())
            })?;
        }
        Some(())
    })?;
    Some(count)
}

/// Calls `field` for each field that has a length.
fn each<'a>(mut message: &'a [u8], field: &mut dyn FnMut(u32, &'a [u8]) -> Option<()>) -> Option<()> {
    while !message.is_empty() {
        let (tag, wire) = decode_key(&mut message).ok()?;
        if wire == WireType::LengthDelimited {
            let length = usize::try_from(decode_varint(&mut message).ok()?).ok()?;
            let (value, rest) = message.split_at_checked(length)?;
            field(tag, value)?;
            message = rest;
        } else {
            skip_field(wire, tag, &mut message, DecodeContext::default()).ok()?;
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
    use prost::Message as _;
    use udfleet_proto::v1::{FunctionUserMetrics, UserMetric, UserMetrics};

    use super::*;

    fn message(columns: Vec<ArrayRef>) -> (SchemaRef, Bytes, Bytes) {
        let columns = columns.into_iter().enumerate().map(|(index, column)| (format!("c{index}"), column, true));
        let batch = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
        let data = ipc::encode(&batch).unwrap();
        (batch.schema(), data.data_header, data.data_body)
    }

    #[test]
    fn what_is_as_it_should_be_passes() {
        let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("alpha"), None]));
        let (schema, header, body) = message(vec![Arc::clone(&texts)]);
        let done = Done { rows: 2, ..Done::default() };
        assert_eq!(verify(&schema, &done, &header, &body), Ok(()));
        assert!(verify(&schema, &Done { rows: 3, ..done.clone() }, &header, &body).is_err());
        let (_, header, body) = message(vec![Arc::clone(&texts), texts]);
        assert_eq!(verify(&schema, &Done { errors_column: true, ..done }, &header, &body), Ok(()));
    }

    #[test]
    fn offsets_text_and_sizes_that_lie_are_found() {
        let (schema, header, body) = message(vec![Arc::new(StringArray::from(vec!["alpha", "beta"]))]);
        let done = Done { rows: 2, ..Done::default() };
        let at = body.windows(8).position(|window| window == [0, 0, 0, 0, 5, 0, 0, 0]).unwrap();
        for (place, bytes) in [(at + 4, 1_000_000_i32.to_le_bytes()), (at, (-1_i32).to_le_bytes())] {
            let mut changed = body.to_vec();
            changed[place..place + 4].copy_from_slice(&bytes);
            assert!(verify(&schema, &done, &header, &changed.into()).is_err());
        }
        let text = body.windows(5).position(|window| window == b"alpha").unwrap();
        let mut changed = body.to_vec();
        changed[text] = 0xff;
        assert!(verify(&schema, &done, &header, &changed.into()).is_err());
        assert!(verify(&schema, &done, &header, &body.slice(..8)).is_err());
        let (numbers, ..) = message(vec![Arc::new(Int64Array::from(vec![1, 2, 3]))]);
        assert!(verify(&numbers, &done, &header, &body.slice(..0)).is_err());
    }

    #[test]
    fn items_are_counted_before_they_are_made() {
        let metrics = |count: usize| FunctionUserMetrics { function: 7, metrics: vec![UserMetric::default(); count] };
        let report = UserMetrics { functions: vec![metrics(3), metrics(0), metrics(5)] }.encode_to_vec();
        assert_eq!(count_items(&report, 2), Some(3 + 8));
        assert_eq!(count_items(&report[..report.len() - 1], 2), None);
    }
}
