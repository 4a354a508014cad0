//! Whether this coordinator is fit to lead: one that reaches no executor is not, while another one does.

use std::time::{Duration, Instant};

/// How long it has to be cut off before it gives up leadership, and how long it has to reach executors again before it is a
/// candidate: a link that comes and goes changes no leader.
pub(super) const STEADY: Duration = Duration::from_secs(5);

/// See the module. A plain decision: what is reached and the time are arguments.
#[derive(Debug, Default)]
pub(super) struct Fitness {
    unfit: bool,
    /// Since when the opposite of what was decided has held.
    since: Option<Instant>,
}

impl Fitness {
    /// True where it may lead. `reaches`: it has executors attached; `others_reach`: another coordinator that lives has.
    ///
    /// Where no other could do better it may lead at once, so that somebody always may.
    pub fn update(&mut self, reaches: bool, others_reach: bool, now: Instant) -> bool {
        let cut_off = !reaches && others_reach;
        if self.unfit == cut_off {
            self.since = None;
        } else if self.unfit && !others_reach {
            (self.unfit, self.since) = (false, None);
        } else {
            let since = *self.since.get_or_insert(now);
            if now.saturating_duration_since(since) >= STEADY {
                (self.unfit, self.since) = (cut_off, None);
                tracing::warn!(fit = !cut_off, "whether this coordinator may lead, by the executors that it reaches");
            }
        }
        !self.unfit
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TICK: Duration = Duration::from_millis(500);

    /// What a coordinator sees, for so many ticks.
    fn views() -> impl Strategy<Value = Vec<(bool, bool, u8)>> {
        prop::collection::vec((any::<bool>(), any::<bool>(), 1..30u8), 1..30)
    }

    proptest! {
        #[test]
        fn it_changes_slowly_and_never_leaves_a_fleet_without_a_candidate(views in views()) {
            let (mut fitness, mut now) = (Fitness::default(), Instant::now());
            // How long each has held without a break.
            let (mut cut_off_for, mut reaches_for) = (Duration::ZERO, Duration::ZERO);
            let mut fit = true;
            for (reaches, others_reach, ticks) in views {
                for _ in 0..ticks {
                    let before = fit;
                    fit = fitness.update(reaches, others_reach, now);
                    let cut_off = !reaches && others_reach;
                    prop_assert!(before || fit || others_reach, "nobody else could lead");
                    if before && !fit {
                        prop_assert!(cut_off && cut_off_for >= STEADY, "it gave up after {cut_off_for:?}");
                    }
                    if !before && fit && others_reach {
                        prop_assert!(reaches && reaches_for >= STEADY, "a candidate again after {reaches_for:?}");
                    }
                    prop_assert!(!fit || !cut_off || cut_off_for <= STEADY, "it goes on although it is cut off");
                    now += TICK;
                    cut_off_for = if cut_off { cut_off_for + TICK } else { Duration::ZERO };
                    reaches_for = if reaches { reaches_for + TICK } else { Duration::ZERO };
                }
            }
        }
    }
}
