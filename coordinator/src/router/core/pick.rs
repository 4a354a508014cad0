//! Which executor gets the next batch: the better of two at random, so that cost does not grow with the fleet.

use rand::Rng;

use super::Candidate;

/// More than any executor has in flight for each of its interpreters.
const BLOCKED_LOAD: f64 = 1e9;

/// More than that.
const SILENT_LOAD: f64 = 1e12;

/// What there is to do for each interpreter. Where long calls hold all of them, any other executor is less loaded, and
/// more so where it hangs.
pub(super) fn load_of(candidate: &impl Candidate) -> f64 {
    let load = candidate.in_flight() as f64 / f64::from(candidate.interpreters());
    let blocked = if candidate.is_blocked() { BLOCKED_LOAD } else { 0.0 };
    let silent = if candidate.is_silent() { SILENT_LOAD } else { 0.0 };
    silent + blocked + load
}

/// True where an interpreter has nothing to do.
pub(super) fn is_idle(candidate: &impl Candidate) -> bool {
    candidate.in_flight() < candidate.interpreters() as usize && !candidate.is_blocked() && !candidate.is_silent()
}

/// The index of the less loaded of two random ones; where neither can take it, any that can. `load` is `None` where
/// one can't.
pub(super) fn pick(count: usize, load: impl Fn(usize) -> Option<f64>, random: &mut impl Rng) -> Option<usize> {
    if count == 0 {
        return None;
    }
    let first = random.random_range(0..count);
    let second = if count == 1 { first } else { (first + random.random_range(1..count)) % count };
    match (load(first), load(second)) {
        (Some(a), Some(b)) => Some(if b < a { second } else { first }),
        (Some(_), None) => Some(first),
        (None, Some(_)) => Some(second),
        (None, None) => (0..count).map(|step| (first + step) % count).find(|index| load(*index).is_some()),
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;

    #[test]
    fn load_evens_out_and_the_full_are_passed_over() {
        let mut random = rand::rngs::SmallRng::seed_from_u64(7);
        let mut loads = [0.0; 8];
        for _ in 0..8000 {
            let chosen = pick(8, |i| (i != 3).then_some(loads[i]), &mut random).unwrap();
            loads[chosen] += 1.0;
        }
        assert_eq!(loads[3], 0.0);
        for (index, load) in loads.iter().enumerate().filter(|(index, _)| *index != 3) {
            assert!((1100.0..1190.0).contains(load), "{index}: {load}");
        }
        assert_eq!(pick(4, |i| (i == 2).then_some(9.0), &mut random), Some(2));
        assert_eq!(pick(4, |_| None, &mut random), None);
        assert_eq!(pick(0, |_| Some(0.0), &mut random), None);
    }
    #[derive(Clone)]
    struct Executor {
        in_flight: usize,
        blocked: bool,
    }

    impl Candidate for Executor {
        type InFlight = ();

        fn executor(&self) -> &str {
            "e"
        }

        fn in_flight(&self) -> usize {
            self.in_flight
        }

        fn interpreters(&self) -> u32 {
            2
        }

        fn is_blocked(&self) -> bool {
            self.blocked
        }

        fn note_blocked(&self) {}

        fn reports_progress(&self) -> bool {
            true
        }

        fn is_silent(&self) -> bool {
            false
        }

        fn note_silent(&self, _: bool) {}
        fn begin(&self) {}
    }

    #[test]
    fn executors_whose_interpreters_are_all_held_come_last() {
        let executor = |in_flight, blocked| Executor { in_flight, blocked };
        let load = |in_flight, blocked| load_of(&executor(in_flight, blocked));
        assert!(load(2, true) > load(200, false) && load(4, true) > load(2, true));
        assert!(is_idle(&executor(1, false)) && !is_idle(&executor(2, false)) && !is_idle(&executor(1, true)));
    }
}
