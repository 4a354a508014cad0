//! Counts calls of engines, with a bounded number of labels for any number of tenants.

use std::collections::BTreeMap;
use std::time::Instant;

use parking_lot::Mutex;

use super::recent::{RecentFailures, Repeated};
use super::{Caller, Engine};
use udfleet_proto::error::Error;

/// Tenants with labels of their own.
const MOST_TENANTS: usize = 100;
/// The label of the others.
const OTHER_TENANTS: &str = "other";

/// Counts of one process.
#[derive(Debug, Default)]
struct Calls {
    by_tenant: BTreeMap<(Engine, String), u64>,
    repeats: BTreeMap<Engine, u64>,
}

impl Calls {
    /// A stream has come.
    fn called(&mut self, caller: &Caller) {
        let own = (caller.engine, caller.tenant.clone());
        let key = if self.by_tenant.len() < MOST_TENANTS || self.by_tenant.contains_key(&own) {
            own
        } else {
            (caller.engine, OTHER_TENANTS.to_owned())
        };
        *self.by_tenant.entry(key).or_default() += 1;
    }

    fn repeated(&mut self, engine: Engine) {
        *self.repeats.entry(engine).or_default() += 1;
    }
}

/// What all streams of engines share in a process.
#[derive(Debug, Default)]
pub struct Engines {
    calls: Mutex<Calls>,
    recent: Mutex<RecentFailures>,
}

impl Engines {
    pub(super) fn called(&self, caller: &Caller) {
        self.calls.lock().called(caller);
    }

    /// Calls by engine and tenant.
    #[must_use]
    pub fn calls(&self) -> Vec<(Engine, String, u64)> {
        let calls = self.calls.lock();
        calls.by_tenant.iter().map(|((engine, tenant), count)| (*engine, tenant.clone(), *count)).collect()
    }

    /// Calls that were answered from memory.
    #[must_use]
    pub fn repeats(&self) -> Vec<(Engine, u64)> {
        self.calls.lock().repeats.iter().map(|(engine, count)| (*engine, *count)).collect()
    }

    /// True where a call of the function may be one that has failed a moment ago.
    pub(super) fn may_repeat(&self, function: &str) -> bool {
        self.recent.lock().knows(function, Instant::now())
    }

    /// The error of the same call, where it has failed a moment ago.
    pub(super) fn repeated(&self, engine: Engine, call: &Repeated) -> Option<Error> {
        let error = self.recent.lock().find(call, Instant::now())?;
        self.calls.lock().repeated(engine);
        Some(error)
    }

    pub(super) fn failed(&self, call: Repeated, error: Error) {
        self.recent.lock().remember(call, error, Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenants_beyond_the_first_hundred_share_a_label() {
        let mut calls = Calls::default();
        let caller = |tenant: usize| Caller {
            engine: Engine::Databend,
            tenant: format!("t{tenant}"),
            query: String::new(),
            function: String::new(),
            progress_every_ms: 0,
        };
        for tenant in (0..150).chain(0..150) {
            calls.called(&caller(tenant));
        }
        assert_eq!(calls.by_tenant.len(), MOST_TENANTS + 1);
        assert_eq!(calls.by_tenant[&(Engine::Databend, "t7".to_owned())], 2);
        assert_eq!(calls.by_tenant[&(Engine::Databend, "other".to_owned())], 100);
    }
}
