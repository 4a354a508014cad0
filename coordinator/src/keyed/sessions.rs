//! Sessions of streams: each opening of a stream has a number of its own, higher than those before.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use udfleet_proto::error::Error;
use udfleet_proto::v1::ErrorCode;

use crate::store::{Condition, SharedStore, Write};

/// The entry of a stream, `state/streams/STATE/STREAM`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct StreamEntry {
    session: u64,
    /// The types of its key columns, as Arrow names them: keys of others would not be found.
    key: Vec<String>,
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

/// The number of a new session of the stream, which is created where it is new.
///
/// # Errors
/// [`ErrorCode::InvalidInput`] where the stream has another key; where the metadata store fails.
pub async fn begin(store: &SharedStore, state: &str, stream: &str, key: Vec<String>) -> Result<u64, Error> {
    let entry_key = format!("state/streams/{state}/{stream}");
    loop {
        let found = store.get(&entry_key).await?;
        let known = found.as_ref().and_then(|entry| serde_json::from_slice::<StreamEntry>(&entry.value).ok());
        if let Some(known) = known.as_ref().filter(|known| known.key != key) {
            let (was, is) = (known.key.join(", "), key.join(", "));
            let message = format!("stream {stream:?} has a key of ({was}), and was opened with one of ({is})");
            return Err(Error::new(ErrorCode::InvalidInput, message).hint("use another id, or the same key columns"));
        }
        let session = known.map_or(0, |known| known.session) + 1;
        let value: Bytes = serde_json::to_vec(&StreamEntry { session, key: key.clone() }).unwrap_or_default().into();
        let condition = Condition::unchanged(entry_key.as_str(), found.map(|entry| entry.revision));
        if store.transact(&[condition], vec![Write::put(entry_key.as_str(), value)]).await?.is_some() {
            return Ok(session);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_plain_texts() {
        check_id("clicks-eu.2:a_b").unwrap();
        for id in ["", "a/b", "ä", "a b", &"x".repeat(129)] {
            assert_eq!(check_id(id).unwrap_err().code(), ErrorCode::InvalidInput, "{id:?}");
        }
    }
}
