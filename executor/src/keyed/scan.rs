//! What a partition has of a stream, as messages of a bounded size.

use std::pin::Pin;

use bytes::Bytes;
use futures::Stream;
use tonic::Status;
use udfleet_proto::v1::{PartitionEntries, StateEntry};
use udfleet_state_store::StreamSnapshot;

use super::bundle::unreadable;

/// About the most bytes of a message.
const MESSAGE_BYTES: usize = 1 << 20;
/// The most entries of a message.
const MESSAGE_ENTRIES: usize = 10_000;

/// The messages.
pub type PartitionScan = Pin<Box<dyn Stream<Item = Result<PartitionEntries, Status>> + Send>>;

/// First the record, then the entries whose keys begin with one of the prefixes. The next page is read when it is asked for.
pub fn messages(snapshot: StreamSnapshot, prefixes: Vec<Bytes>) -> PartitionScan {
    Box::pin(async_stream::try_stream! {
        yield PartitionEntries { record: snapshot.record().encode().into(), entries: Vec::new() };
        for prefix in prefixes {
            let mut after: Option<Bytes> = None;
            loop {
                let page = snapshot.page(&prefix, after.as_deref(), MESSAGE_ENTRIES, MESSAGE_BYTES).await;
                let page = page.map_err(|error| unreadable(&error)).map_err(Status::from)?;
                after = page.entries.last().map(|(key, _)| key.clone());
                let entries = page.entries.into_iter().map(|(key, value)| StateEntry { key, value }).collect();
                yield PartitionEntries { record: Bytes::new(), entries };
                if page.is_last {
                    break;
                }
            }
        }
    })
}
