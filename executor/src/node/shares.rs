//! How many interpreters each environment gets of those that the node may run. Pure.

use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Environments by what they ask for. The node's bound cuts the largest first, those that come last among equals, and leaves one
/// to everybody.
#[derive(Debug, Default)]
pub(super) struct InterpreterShares {
    asked: HashMap<String, u32>,
    by_asked: BTreeSet<(u32, String)>,
    /// How many environments ask for so many.
    counts: BTreeMap<u32, u32>,
    level: ShareLevel,
}

/// What the bound leaves to environments that ask for more.
#[derive(Debug, Clone, PartialEq, Eq)]
struct ShareLevel {
    most: u32,
    /// The first of the larger ones, by hash, get one more; empty where nobody is cut.
    one_more: BTreeSet<String>,
}

impl Default for ShareLevel {
    fn default() -> Self {
        Self { most: u32::MAX, one_more: BTreeSet::new() }
    }
}

impl InterpreterShares {
    /// An environment asks for so many, at least one; 0: it is gone.
    pub(super) fn ask(&mut self, environment: &str, interpreters: u32) {
        if let Some(before) = self.asked.remove(environment) {
            self.by_asked.remove(&(before, environment.to_owned()));
            if let Some(count) = self.counts.get_mut(&before) {
                *count -= 1;
            }
            self.counts.retain(|_, count| *count > 0);
        }
        if interpreters > 0 {
            self.asked.insert(environment.to_owned(), interpreters);
            self.by_asked.insert((interpreters, environment.to_owned()));
            *self.counts.entry(interpreters).or_default() += 1;
        }
    }

    /// What an environment gets, as of the last [`InterpreterShares::bound`].
    pub(super) fn of(&self, environment: &str) -> u32 {
        let asked = self.asked.get(environment).copied().unwrap_or(1);
        match self.level.one_more.contains(environment) {
            true => asked.min(self.level.most + 1),
            false => asked.min(self.level.most),
        }
    }

    /// Shares out `most`. Returns the environments that may get another number than before though they ask for the same.
    pub(super) fn bound(&mut self, most: u32) -> Vec<String> {
        let level = self.shared_out(most);
        if level == self.level {
            return Vec::new();
        }
        let cut_above = level.most.min(self.level.most);
        let before = std::mem::replace(&mut self.level, level);
        if before.most == self.level.most {
            return before.one_more.symmetric_difference(&self.level.one_more).cloned().collect();
        }
        self.asking_for_more_than(cut_above).cloned().collect()
    }

    fn asking_for_more_than(&self, interpreters: u32) -> impl Iterator<Item = &String> {
        self.by_asked.range((interpreters.saturating_add(1), String::new())..).map(|(_, environment)| environment)
    }

    /// Looks at how many ask for how much, and at the environments that are cut to more than one.
    fn shared_out(&self, most: u32) -> ShareLevel {
        let (mut below, mut larger) = (0u64, self.asked.len() as u64);
        let most = u64::from(most);
        for (asked, count) in &self.counts {
            let (asked, count) = (u64::from(*asked), u64::from(*count));
            if below + asked * larger > most {
                let room = most.saturating_sub(below);
                let (level, one_more) = (room / larger, room % larger);
                if level == 0 {
                    return ShareLevel { most: 1, one_more: BTreeSet::new() };
                }
                let level = u32::try_from(level).unwrap_or(u32::MAX);
                let mut cut: Vec<&String> = self.asking_for_more_than(level).collect();
                cut.sort_unstable();
                let one_more = cut.into_iter().take(usize::try_from(one_more).unwrap_or(usize::MAX)).cloned();
                return ShareLevel { most: level, one_more: one_more.collect() };
            }
            below += asked * count;
            larger -= count;
        }
        ShareLevel::default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Takes one from the largest, the last among equals, until all fit.
    fn cut(mut wanted: BTreeMap<String, u32>, most: u32) -> BTreeMap<String, u32> {
        while wanted.values().sum::<u32>() > most {
            match wanted.values_mut().max_by_key(|interpreters| **interpreters) {
                Some(largest) if *largest > 1 => *largest -= 1,
                _ => break,
            }
        }
        wanted
    }

    proptest! {
        #[test]
        fn shares_are_those_of_cutting_the_largest_one_by_one(
            changes in prop::collection::vec((0u32..12, 0u32..9, 0u32..40), 1..60),
        ) {
            let (mut shares, mut wanted, mut known) = (InterpreterShares::default(), BTreeMap::new(), BTreeMap::new());
            for (environment, asked, most) in changes {
                let name = format!("e{environment}");
                shares.ask(&name, asked);
                match asked {
                    0 => drop(wanted.remove(&name)),
                    asked => drop(wanted.insert(name.clone(), asked)),
                }
                let mut changed = shares.bound(most);
                changed.push(name);
                let expected = cut(wanted.clone(), most);
                known.retain(|environment, _| wanted.contains_key(environment));
                for environment in changed.into_iter().filter(|environment| wanted.contains_key(environment)) {
                    known.insert(environment.clone(), shares.of(&environment));
                }
                prop_assert_eq!(&known, &expected, "all that have changed are named");
            }
        }
    }
}
