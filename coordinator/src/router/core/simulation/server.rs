//! An executor as the core knows it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::super::Candidate;

#[derive(Debug, Clone)]
pub(in crate::router::core) struct CandidateExecutor {
    pub executor: String,
    pub interpreters: u32,
    pub in_flight: Arc<AtomicUsize>,
}

pub(in crate::router::core) struct InFlight(Arc<AtomicUsize>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Candidate for CandidateExecutor {
    type InFlight = InFlight;

    fn executor(&self) -> &str {
        &self.executor
    }

    fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    fn interpreters(&self) -> u32 {
        self.interpreters
    }

    fn is_blocked(&self) -> bool {
        false
    }

    fn begin(&self) -> InFlight {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(Arc::clone(&self.in_flight))
    }
}
