//! Tables about the fleet: built beside the workers that serve everybody, and few at once.

use std::sync::Arc;
use std::time::Duration;

use arrow_flight::FlightData;
use futures::{Stream, StreamExt as _, stream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use udfleet_proto::error::Error;
use udfleet_proto::v1::ErrorCode;

use super::SystemTables;

/// Tables that are built, or have not been read whole: each is in memory until then.
const AT_ONCE: usize = 8;
/// How long one waits for the others.
const WAIT: Duration = Duration::from_secs(10);

/// Reads tables.
#[derive(Clone)]
pub(super) struct TableReader {
    tables: Arc<dyn SystemTables>,
    free: Arc<Semaphore>,
}

impl TableReader {
    pub fn new(tables: Arc<dyn SystemTables>) -> Self {
        Self { tables, free: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// The messages of the table that a ticket names.
    ///
    /// # Errors
    /// `NO_CAPACITY` where others take too long, and what [`SystemTables::read`] says.
    pub async fn read(&self, ticket: Vec<u8>) -> Result<impl Stream<Item = FlightData> + Send + use<>, Error> {
        let (place, tables) = (self.place().await?, Arc::clone(&self.tables));
        let built = tokio::task::spawn_blocking(move || tables.read(&ticket).map(|messages| (messages, place))).await;
        let (messages, place) = built.map_err(|error| Error::internal(format!("building a table: {error}")))??;
        // Until it has been read, or nobody reads it any more.
        Ok(stream::iter(messages).map(move |message| {
            let _ = &place;
            message
        }))
    }

    async fn place(&self) -> Result<OwnedSemaphorePermit, Error> {
        let waited = tokio::time::timeout(WAIT, Arc::clone(&self.free).acquire_owned()).await;
        waited.ok().and_then(Result::ok).ok_or_else(|| {
            Error::new(ErrorCode::NoCapacity, format!("{AT_ONCE} tables about the fleet are being read already"))
                .hint("try again once some have been read")
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Counts its tables.
    #[derive(Default)]
    struct Built(AtomicUsize);

    impl SystemTables for Built {
        fn read(&self, _: &[u8]) -> Result<Vec<FlightData>, Error> {
            self.0.fetch_add(1, Ordering::Relaxed);
            Ok(vec![FlightData::default()])
        }
    }

    #[tokio::test]
    async fn few_tables_are_in_memory_at_once() {
        let built = Arc::new(Built::default());
        let reader = TableReader::new(Arc::clone(&built) as Arc<dyn SystemTables>);
        let mut open = Vec::new();
        for _ in 0..AT_ONCE {
            open.push(reader.read(Vec::new()).await.unwrap());
        }
        let mut next = std::pin::pin!(reader.read(Vec::new()));
        assert!(futures::poll!(&mut next).is_pending());
        assert_eq!(built.0.load(Ordering::Relaxed), AT_ONCE);
        assert_eq!(open.remove(0).count().await, 1);
        assert!(next.await.is_ok(), "one that has been read makes room for who waits");
    }
}
