//! What is known of a stream, beside its state.

use arrow_ipc::convert::try_schema_from_flatbuffer_bytes;
use arrow_schema::{DataType, Schema};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use udfleet_proto::error::Error;
use udfleet_proto::flight::bare_header;
use udfleet_proto::frame::malformed;
use udfleet_proto::v1::{ErrorCode, StreamInfo};

use super::registry::{Opening, StreamHolder};

/// Whether a stream can be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StreamStatus {
    /// It can.
    Ready,
    /// It is being dropped.
    Dropping,
    /// It is being imported.
    Importing,
}

/// The record of a stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamEntry {
    /// The number of its newest session.
    pub session: u64,
    /// The version of the function that has opened it last.
    pub function: String,
    /// Into how many partitions its keys fall.
    pub partitions: u32,
    /// Of its key columns: an IPC message, in hexadecimal digits. Keys of other types would not be found.
    pub key_schema: String,
    /// The folder of its state, which no other stream has or will have.
    pub state: String,
    /// Rows that were applied when this was written.
    pub position: u64,
    /// Whether it can be opened.
    pub status: StreamStatus,
}

impl StreamEntry {
    /// Of a stream that begins.
    pub fn new(opening: &Opening<'_>) -> Self {
        Self {
            session: 1,
            function: opening.function.to_owned(),
            partitions: opening.partitions,
            key_schema: hex::encode(opening.key_schema),
            state: new_state(opening.function),
            position: 0,
            status: StreamStatus::Ready,
        }
    }

    /// As it is stored.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// What is stored.
    ///
    /// # Errors
    /// Where that is no entry.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        serde_json::from_slice(bytes).map_err(|error| {
            let message = format!("the record of a stream can't be read: {error}");
            Error::internal(message).hint("another version of udfleet has written it: use that, or a newer one")
        })
    }

    /// The schema of its key columns, as it was sent.
    ///
    /// # Errors
    /// Where the record is damaged.
    pub fn key_message(&self) -> Result<Bytes, Error> {
        let message = hex::decode(&self.key_schema);
        message.map(Bytes::from).map_err(|_| Error::internal("the record of a stream has no schema of its key"))
    }

    /// Whether it can be opened like this.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidInput`] saying what differs.
    pub fn check(&self, opening: &Opening<'_>) -> Result<(), Error> {
        let stream = opening.stream;
        if self.status != StreamStatus::Ready {
            return Err(unusable(stream));
        }
        let differs = |what: &str, was: String, is: String| {
            let message = format!("stream {stream:?} {what} {was}, and was opened with {is}");
            let error = Error::new(ErrorCode::InvalidInput, message).function(opening.function);
            Err(error.hint("use another id, or open it with reset to begin anew: its state is deleted then"))
        };
        if family(&self.function) != family(opening.function) {
            return differs("is of function", self.function.clone(), opening.function.to_owned());
        }
        if self.partitions != opening.partitions {
            let (was, is) = (self.partitions, opening.partitions);
            return differs("has", format!("{was} partitions"), format!("a version of {is}"));
        }
        let (was, is) = (key_types(&self.key_message()?)?, key_types(opening.key_schema)?);
        if was != is {
            return differs("has a key of", shown(&was), shown(&is));
        }
        Ok(())
    }

    /// As clients are told.
    pub fn info(&self, stream: &str, holder: Option<&StreamHolder>) -> StreamInfo {
        StreamInfo {
            stream: stream.to_owned(),
            function: self.function.clone(),
            partitions: self.partitions,
            position: self.position,
            key_schema: self.key_message().unwrap_or_default(),
            session: self.session,
            state: self.state.clone(),
            coordinator: holder.map(|holder| holder.coordinator.clone()).unwrap_or_default(),
            holder: holder.map(|holder| holder.holder.clone()).unwrap_or_default(),
            opened_unix_ms: holder.map_or(0, |holder| holder.opened_unix_ms),
            unusable: self.status != StreamStatus::Ready,
        }
    }
}

/// The columns of a key.
///
/// # Errors
/// [`ErrorCode::InvalidInput`] for what is no schema.
pub fn key_schema(message: &Bytes) -> Result<Schema, Error> {
    try_schema_from_flatbuffer_bytes(&bare_header(message)).map_err(malformed)
}

fn key_types(message: &Bytes) -> Result<Vec<DataType>, Error> {
    Ok(key_schema(message)?.fields().iter().map(|field| field.data_type().clone()).collect())
}

fn shown(types: &[DataType]) -> String {
    format!("({})", types.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
}

/// The name of a function without its version: its versions read each other's state. Names that follow from a content are of
/// another content where they differ.
pub fn family(function: &str) -> &str {
    function.split_once('@').map_or(function, |(name, _)| name)
}

/// A folder for the state of a stream that begins: no other has had it, so that an owner that wakes late harms nobody.
pub fn new_state(function: &str) -> String {
    // Names of functions may have letters of any script, names of folders have not.
    let fits = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-' | '@');
    let plain: String = function.chars().map(|letter| if fits(letter) { letter } else { '_' }).collect();
    format!("{plain}-{:016x}", rand::random::<u64>())
}

/// The error about a stream that can't be opened now.
pub fn unusable(stream: &str) -> Error {
    let message = format!("stream {stream:?} is being dropped or imported");
    Error::new(ErrorCode::InvalidInput, message).hint("where that was interrupted, drop it, and begin again")
}

/// The most bytes of a stream's id.
const MAX_ID: usize = 128;

/// Checks that a text can be a stream's id.
///
/// # Errors
/// [`ErrorCode::InvalidInput`] saying what it can be.
pub fn check_id(stream: &str) -> Result<(), Error> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ':');
    if !stream.is_empty() && stream.len() <= MAX_ID && stream.chars().all(fits) {
        return Ok(());
    }
    let message = format!("{stream:?} can't be the id of a stream");
    let hint = format!("1 to {MAX_ID} letters, digits and the characters _ - . :");
    Err(Error::new(ErrorCode::InvalidInput, message).hint(hint))
}

#[cfg(test)]
mod tests {
    use arrow_schema::Field;
    use udfleet_proto::ipc;

    use super::*;

    fn schema(data_type: DataType) -> Bytes {
        ipc::schema_message(&Schema::new(vec![Field::new("k", data_type, true)])).data_header
    }

    #[test]
    fn ids_are_plain_texts() {
        check_id("clicks-eu.2:a_b").unwrap();
        for id in ["", "a/b", "ä", "a b", &"x".repeat(129)] {
            assert_eq!(check_id(id).unwrap_err().code(), ErrorCode::InvalidInput, "{id:?}");
        }
    }

    #[test]
    fn versions_are_one_family() {
        assert_eq!(family("sum@3"), "sum");
        assert_eq!(family("sum-groups-0123456789ab@1"), "sum-groups-0123456789ab");
    }

    #[test]
    fn a_stream_is_opened_again_with_the_same_key_partitions_and_function() {
        let text = schema(DataType::Utf8);
        let opening = Opening { stream: "s", function: "f@1", partitions: 4, key_schema: &text };
        let entry = StreamEntry::new(&opening);
        assert_eq!(StreamEntry::decode(&entry.encode()).unwrap(), entry);
        entry.check(&Opening { function: "f@2", ..opening }).unwrap();
        let number = schema(DataType::Int64);
        for other in [
            Opening { function: "g@1", ..opening },
            Opening { partitions: 8, ..opening },
            Opening { key_schema: &number, ..opening },
        ] {
            assert_eq!(entry.check(&other).unwrap_err().code(), ErrorCode::InvalidInput);
        }
        let dropping = StreamEntry { status: StreamStatus::Dropping, ..entry };
        assert!(dropping.check(&opening).is_err());
    }

    #[test]
    fn no_two_streams_have_one_folder() {
        assert_ne!(new_state("f@1"), new_state("f@1"));
    }
}
