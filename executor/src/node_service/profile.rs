//! Profiles of functions, summed over interpreters.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::join_all;
use udfleet_proto::v1::{FunctionProfile, ProfileStacks, StackSamples};

use crate::exchange::ServedFunction;

/// How long to wait for interpreters that are busy; what they know is missing then.
const WAIT: Duration = Duration::from_secs(10);

/// What the interpreters know of a function; `None` where none profiles it.
pub(super) async fn profile(executor: &str, function: &ServedFunction) -> Option<FunctionProfile> {
    let ask = function.interpreters().into_iter().map(|interpreter| async move {
        let asked = tokio::time::timeout(WAIT, interpreter.profile(function.number)).await;
        asked.ok().and_then(Result::ok)
    });
    let told: Vec<ProfileStacks> = join_all(ask).await.into_iter().flatten().collect();
    if told.is_empty() {
        return None;
    }
    let period_ns = told.iter().map(|stacks| stacks.period_ns).max().unwrap_or_default();
    Some(FunctionProfile {
        executor: executor.to_owned(),
        function: function.name.clone(),
        stacks: sum(told),
        period_ns,
    })
}

fn sum(told: Vec<ProfileStacks>) -> Vec<StackSamples> {
    let mut counts = BTreeMap::<String, u64>::new();
    for StackSamples { stack, samples } in told.into_iter().flat_map(|profile| profile.stacks) {
        *counts.entry(stack).or_default() += samples;
    }
    counts.into_iter().map(|(stack, samples)| StackSamples { stack, samples }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_stacks_of_interpreters_are_one() {
        let told = |stacks: &[(&str, u64)]| ProfileStacks {
            stacks: stacks
                .iter()
                .map(|(stack, samples)| StackSamples { stack: (*stack).into(), samples: *samples })
                .collect(),
            period_ns: 1,
        };
        let all = sum(vec![told(&[("a;b", 2), ("a", 1)]), told(&[("a;b", 3), ("c", 1)])]);
        let all: Vec<(&str, u64)> = all.iter().map(|s| (s.stack.as_str(), s.samples)).collect();
        assert_eq!(all, [("a", 1), ("a;b", 5), ("c", 1)]);
    }
}
