//! The delay before an interpreter that ended is replaced.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(10);
/// The longest after one that took calls: most likely a call ended it, and others wait for the next.
const LONGEST_IN_SERVICE: Duration = Duration::from_millis(500);
/// One that lived this long did not die young.
const YOUNG: Duration = Duration::from_secs(30);

/// The pauses of one slot: doubling while its interpreters keep dying young.
#[derive(Debug, Clone, Default)]
pub(super) struct Backoff {
    early_deaths: u32,
}

impl Backoff {
    /// The pause after an interpreter that lived for `lived`. The first death in a long time costs nothing.
    pub(super) fn after(&mut self, lived: Duration) -> Duration {
        if lived >= YOUNG {
            self.early_deaths = 0;
            return Duration::ZERO;
        }
        let pause = FIRST.saturating_mul(1 << self.early_deaths.min(16)).min(LONGEST);
        self.early_deaths += 1;
        pause
    }

    /// The same for one that took calls: it came up, so earlier ones that did not count no more.
    pub(super) fn after_service(&mut self, lived: Duration) -> Duration {
        self.early_deaths = self.early_deaths.min(2);
        self.after(lived).min(LONGEST_IN_SERVICE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_to_a_bound_and_start_over() {
        let mut backoff = Backoff::default();
        let pauses: Vec<u128> = (0..9).map(|_| backoff.after(Duration::ZERO).as_millis()).collect();
        assert_eq!(pauses, [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
        for _ in 0..20 {
            assert!(backoff.after_service(Duration::ZERO) <= LONGEST_IN_SERVICE);
        }
        assert!(backoff.after(Duration::ZERO) < Duration::from_secs(1), "deaths in service weigh less");
        assert_eq!(backoff.after(YOUNG), Duration::ZERO);
        assert_eq!(backoff.after(Duration::ZERO), FIRST);
    }
}
