//! Classifies Flight messages by their headers.

use arrow_flight::FlightData;
use arrow_ipc::{Field, MessageHeader, Schema};
use udfleet_proto::error::Error;
use udfleet_proto::flight::bare_header;
use udfleet_proto::v1::ErrorCode;

/// Nesting of fields that is looked into for dictionaries; deeper ones are taken to hold some.
const DEPTH: usize = 64;

/// Kinds of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Only descriptor or metadata.
    Empty,
    Schema {
        dictionaries: bool,
    },
    Dictionary {
        id: i64,
        delta: bool,
    },
    Batch,
}

/// Looks at the header only.
///
/// # Errors
/// For a header that is no IPC message, or of a kind that streams of batches don't have.
pub(super) fn kind(data: &FlightData) -> Result<Kind, Error> {
    if data.data_header.is_empty() {
        return Ok(Kind::Empty);
    }
    let bad = |why: String| Error::new(ErrorCode::InvalidInput, format!("a Flight message can't be read: {why}"));
    let header = bare_header(&data.data_header);
    let message = arrow_ipc::root_as_message(&header).map_err(|e| bad(e.to_string()))?;
    match message.header_type() {
        MessageHeader::Schema => {
            let schema = message.header_as_schema().ok_or_else(|| bad("its schema is missing".to_owned()))?;
            Ok(Kind::Schema { dictionaries: has_dictionaries(&schema) })
        }
        MessageHeader::DictionaryBatch => {
            let batch =
                message.header_as_dictionary_batch().ok_or_else(|| bad("its dictionary is missing".to_owned()))?;
            Ok(Kind::Dictionary { id: batch.id(), delta: batch.isDelta() })
        }
        MessageHeader::RecordBatch => Ok(Kind::Batch),
        other => Err(bad(format!("it holds {other:?}, which is neither schema, dictionary nor record batch"))),
    }
}

fn has_dictionaries(schema: &Schema<'_>) -> bool {
    fn within(field: Field<'_>, depth: usize) -> bool {
        depth > DEPTH
            || field.dictionary().is_some()
            || field.children().is_some_and(|children| children.iter().any(|child| within(child, depth + 1)))
    }
    schema.fields().is_some_and(|fields| fields.iter().any(|field| within(field, 0)))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_schema::{DataType, Field, Schema};
    use udfleet_proto::ipc::schema_message;

    use super::*;

    fn dictionary() -> DataType {
        DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
    }

    #[test]
    fn schemas_tell_of_dictionaries_at_any_depth() {
        let nested = DataType::List(Arc::new(Field::new("item", dictionary(), true)));
        for (data_type, dictionaries) in [(DataType::Int64, false), (dictionary(), true), (nested, true)] {
            let message = schema_message(&Schema::new(vec![Field::new("a", data_type, true)]));
            assert_eq!(kind(&message).unwrap(), Kind::Schema { dictionaries });
        }
    }

    #[test]
    fn empty_and_broken_headers() {
        assert_eq!(kind(&FlightData::default()).unwrap(), Kind::Empty);
        let broken = FlightData::new().with_data_header(vec![7; 40]);
        assert_eq!(kind(&broken).unwrap_err().code(), ErrorCode::InvalidInput);
    }
}
