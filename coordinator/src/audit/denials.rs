//! Refused calls in the audit log. Strangers cause them, so they are few: what is left out is counted.

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use udfleet_edge::auth::{Denial, DenialLog};

use super::{AuditEvent, AuditLog};

/// So many lines may come at once.
const BURST: u32 = 60;
/// Then one in this time: a log of 256 MiB holds them for weeks, whoever tries what.
const EVERY: Duration = Duration::from_secs(10);

/// How many lines may be written now, and how many were left out.
#[derive(Debug)]
struct LineBudget {
    lines: u32,
    at: Instant,
    omitted: u64,
}

impl LineBudget {
    fn new(now: Instant) -> Self {
        Self { lines: BURST, at: now, omitted: 0 }
    }

    /// How many were left out before this one, where it may be written.
    fn take(&mut self, now: Instant) -> Option<u64> {
        let more = now.saturating_duration_since(self.at).as_secs() / EVERY.as_secs();
        if more > 0 {
            self.lines = BURST.min(self.lines.saturating_add(u32::try_from(more).unwrap_or(BURST)));
            self.at = now;
        }
        if self.lines == 0 {
            self.omitted += 1;
            return None;
        }
        self.lines -= 1;
        Some(std::mem::take(&mut self.omitted))
    }
}

/// Notes refused calls in an audit log.
#[derive(Debug)]
pub struct AuditedDenials {
    log: AuditLog,
    budget: Mutex<LineBudget>,
}

impl AuditedDenials {
    /// In this one.
    #[must_use]
    pub fn new(log: AuditLog) -> Self {
        Self { log, budget: Mutex::new(LineBudget::new(Instant::now())) }
    }
}

impl DenialLog for AuditedDenials {
    fn note(&self, denial: &Denial<'_>) {
        let mut budget = self.budget.lock();
        let Some(omitted) = budget.take(Instant::now()) else { return };
        if !self.log.try_note(AuditEvent::denied(denial, omitted)) {
            budget.omitted += omitted + 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_can_not_fill_the_log() {
        let start = Instant::now();
        let mut budget = LineBudget::new(start);
        let written = (0..100_000).filter(|_| budget.take(start).is_some()).count();
        assert_eq!(written, BURST as usize);
        assert_eq!(budget.take(start + EVERY), Some(100_000 - u64::from(BURST)));
        assert_eq!(budget.take(start + EVERY), None);
        assert_eq!(budget.take(start + EVERY * 1000), Some(1));
        assert!((0..BURST - 1).all(|_| budget.take(start + EVERY * 1000).is_some()));
        assert_eq!(budget.take(start + EVERY * 1000), None, "what was not used is not saved up");
    }
}
