//! An executor as the core knows it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::super::Candidate;

#[derive(Debug, Clone, Default)]
pub(in crate::router::core) struct CandidateExecutor {
    pub executor: String,
    pub interpreters: u32,
    pub in_flight: Arc<AtomicUsize>,
    pub blocked: Arc<AtomicBool>,
    pub silent: Arc<AtomicBool>,
    /// It is of a version that does not say how streams stand.
    pub older: bool,
}

impl CandidateExecutor {
    /// An interpreter is free.
    pub fn report_free(&self) {
        self.blocked.store(false, Ordering::Relaxed);
    }
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
        self.blocked.load(Ordering::Relaxed)
    }

    fn note_blocked(&self) {
        self.blocked.store(true, Ordering::Relaxed);
    }

    fn reports_progress(&self) -> bool {
        !self.older
    }

    fn is_silent(&self) -> bool {
        self.silent.load(Ordering::Relaxed)
    }

    fn note_silent(&self, silent: bool) {
        self.silent.store(silent, Ordering::Relaxed);
    }

    fn begin(&self) -> InFlight {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(Arc::clone(&self.in_flight))
    }
}
