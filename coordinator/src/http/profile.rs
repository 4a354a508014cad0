//! Where a function spends its time, over the fleet: what a flame graph is drawn of.

use std::collections::{BTreeMap, BTreeSet};

use axum::Json;
use axum::extract::{Path, State};
use schemars::JsonSchema;
use serde::Serialize;
use udfleet_edge::http::HttpError;
use udfleet_proto::config::PROFILE_ENABLED;
use udfleet_proto::error::Error;
use udfleet_proto::name::FunctionRef;
use udfleet_proto::v1::{ErrorCode, FunctionProfile};

use super::Http;

/// Stacks of one answer; those with the least time are summed up.
const MOST_STACKS: usize = 2000;

/// Samples of a function's stacks.
#[derive(Debug, PartialEq, Serialize, JsonSchema)]
pub struct Profile {
    function: String,
    /// It was registered with `python.profile.enabled`.
    enabled: bool,
    /// Executors that have sampled it.
    executors: Vec<String>,
    /// Seconds that one sample stands for.
    period_seconds: f64,
    /// The one with most samples first.
    stacks: Vec<Stack>,
    /// Samples of stacks that are left out.
    left_out: u64,
}

/// One stack.
#[derive(Debug, PartialEq, Serialize, JsonSchema)]
pub struct Stack {
    /// The outermost first: `main.py:add:12`.
    frames: Vec<String>,
    samples: u64,
}

impl Profile {
    fn of(function: String, enabled: bool, profiles: Vec<FunctionProfile>) -> Self {
        let mut counts = BTreeMap::<String, u64>::new();
        let (mut executors, mut period_ns) = (BTreeSet::new(), 0);
        for profile in profiles {
            executors.insert(profile.executor);
            period_ns = period_ns.max(profile.period_ns);
            for stack in profile.stacks {
                *counts.entry(stack.stack).or_default() += stack.samples;
            }
        }
        let mut counts: Vec<_> = counts.into_iter().collect();
        counts.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        let left_out = counts.iter().skip(MOST_STACKS).map(|(_, samples)| samples).sum();
        let stack =
            |(stack, samples): (String, u64)| Stack { frames: stack.split(';').map(str::to_owned).collect(), samples };
        let stacks = counts.into_iter().take(MOST_STACKS).map(stack).collect();
        let executors = executors.into_iter().collect();
        Self { function, enabled, executors, period_seconds: period_ns as f64 / 1e9, stacks, left_out }
    }
}

/// `add`: the newest version. `add@3`: this one.
pub async fn profile(State(http): State<Http>, Path(name): Path<String>) -> Result<Json<Profile>, HttpError> {
    let which = FunctionRef::parse(&name).map_err(|error| Error::new(ErrorCode::InvalidInput, error.to_string()))?;
    let snapshot = http.fleet.snapshot();
    let found = snapshot.matching(&which);
    let Some(entry) = found.last() else { return Err(snapshot.catalog.not_found(&which).into()) };
    let (function, enabled) = (entry.name.to_string(), PROFILE_ENABLED.boolean(&entry.function.definition.config));
    let profiles = match enabled {
        true => http.profiler.of(&function).await.map_err(|status| Error::from(&status))?,
        false => Vec::new(),
    };
    Ok(Json(Profile::of(function, enabled, profiles)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use udfleet_proto::v1::StackSamples;

    #[test]
    fn executors_are_summed_up_and_the_rest_is_counted() {
        let stack = |stack: &str, samples| StackSamples { stack: stack.to_owned(), samples };
        let on = |executor: &str, stacks| FunctionProfile {
            executor: executor.to_owned(),
            function: "f@1".to_owned(),
            stacks,
            period_ns: 5_000_000,
        };
        let many = (0..MOST_STACKS as u64 + 3).map(|n| stack(&format!("a;{n}"), 2)).collect();
        let profiles = vec![on("b", many), on("a", vec![stack("a;b", 9), stack("a;0", 8)])];
        let profile = Profile::of("f@1".to_owned(), true, profiles);
        assert_eq!((profile.executors.join(","), profile.period_seconds), ("a,b".to_owned(), 0.005));
        assert_eq!(profile.stacks[0], Stack { frames: vec!["a".into(), "0".into()], samples: 10 });
        assert_eq!(profile.stacks[1].samples, 9);
        assert_eq!((profile.stacks.len(), profile.left_out), (MOST_STACKS, 8));
    }
}
