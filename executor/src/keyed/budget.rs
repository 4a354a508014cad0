//! How much memory the bundles take that have run and are not committed: all of their clients together decide how many there are.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use udfleet_proto::error::Error;
use udfleet_proto::v1::ErrorCode;

/// The most bytes of results and changes that an executor holds.
const MAX_HELD: usize = 2 << 30;

/// Of all partitions of an executor.
#[derive(Debug, Clone, Default)]
pub struct HeldBytes(Arc<AtomicUsize>);

/// A bundle's share, until it is dropped.
#[derive(Debug)]
pub struct HeldShare {
    bytes: usize,
    all: HeldBytes,
}

impl Drop for HeldShare {
    fn drop(&mut self) {
        self.all.0.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl HeldBytes {
    /// Takes a share.
    ///
    /// # Errors
    /// [`ErrorCode::NoCapacity`] where too much is held already.
    pub fn take(&self, bytes: usize) -> Result<HeldShare, Error> {
        let share = HeldShare { bytes, all: self.clone() };
        let held = self.0.fetch_add(bytes, Ordering::Relaxed);
        if held.saturating_add(bytes) <= MAX_HELD {
            return Ok(share);
        }
        let message = format!(
            "this executor holds {held} bytes of bundles that are not committed, and {} MiB are the most",
            MAX_HELD >> 20
        );
        let hint = "commit bundles, make them smaller (python.fn-execution.bundle.size), or add executors";
        Err(Error::new(ErrorCode::NoCapacity, message).hint(hint))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_come_back() {
        let held = HeldBytes::default();
        let most = held.take(MAX_HELD - 1).unwrap();
        let _one = held.take(1).unwrap();
        assert_eq!(held.take(1).unwrap_err().code(), ErrorCode::NoCapacity);
        assert_eq!(held.take(1).unwrap_err().code(), ErrorCode::NoCapacity, "a refused one takes nothing");
        drop(most);
        held.take(MAX_HELD - 1).unwrap();
    }
}
