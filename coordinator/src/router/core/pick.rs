//! Which executor gets the next batch: the better of two at random, so that cost does not grow with the fleet.

use rand::Rng;

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
}
