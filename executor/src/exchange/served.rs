//! The table of functions that streams can call here.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use arc_swap::ArcSwap;
use rpds::RedBlackTreeMapSync;
use udfleet_proto::error::Error;
use udfleet_proto::name::{FunctionRef, nearest};
use udfleet_proto::v1::{ErrorCode, FunctionDefinition, Stage};

use super::stages::Stages;
use super::target::Target;
use crate::link::{Interpreter, Pool};
use crate::metrics::FunctionStats;

/// Streams that may be open at once; more are refused as NO_CAPACITY.
const MAX_STREAMS: usize = 8192;

/// A function that is ready here.
#[derive(Debug)]
pub struct ServedFunction {
    /// `add@3`
    pub name: String,
    /// What was registered.
    pub definition: FunctionDefinition,
    /// Its number in the interpreters.
    pub number: u32,
    /// The hash of its environment.
    pub(super) environment: String,
    pub(super) target: Arc<Target>,
}

impl ServedFunction {
    /// A function of the pool's environment.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidDefinition`] for a definition without result type.
    pub fn new(
        definition: FunctionDefinition,
        number: u32,
        environment: &str,
        pool: Arc<Pool>,
        stats: Arc<FunctionStats>,
        executor: String,
    ) -> Result<Arc<Self>, Error> {
        let target = Arc::new(Target::function(&definition, number, pool, stats, executor)?);
        let (name, environment) = (target.name.clone(), environment.to_owned());
        Ok(Arc::new(Self { name, definition, number, environment, target }))
    }

    /// The interpreters that serve it now.
    #[must_use]
    pub fn interpreters(&self) -> Vec<Interpreter> {
        self.target.pool.interpreters(self.number)
    }
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool").field("in_flight", &self.in_flight()).finish_non_exhaustive()
    }
}

/// By name and version. Changing it costs the same however many functions there are.
type Functions = RedBlackTreeMapSync<String, RedBlackTreeMapSync<u32, Arc<ServedFunction>>>;

/// All functions that are ready here. Streams read a snapshot; no lock is on their way.
#[derive(Debug, Default)]
pub struct FunctionTable {
    snapshot: ArcSwap<Functions>,
    stages: Stages,
    draining: AtomicBool,
    streams: Arc<AtomicUsize>,
}

/// An open stream, counted until dropped.
#[derive(Debug)]
pub struct StreamSlot(Arc<AtomicUsize>);

impl Drop for StreamSlot {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl FunctionTable {
    /// Makes a function callable.
    pub fn insert(&self, function: Arc<ServedFunction>) {
        self.snapshot.rcu(|snapshot| {
            let FunctionDefinition { name, version, .. } = &function.definition;
            let versions = snapshot.get(name).cloned().unwrap_or_default();
            snapshot.insert(name.clone(), versions.insert(*version, Arc::clone(&function)))
        });
    }

    /// Takes a function away, unless it has come back under another number; streams that are under way go on.
    pub fn remove(&self, definition: &FunctionDefinition, number: u32) {
        self.snapshot.rcu(|snapshot| {
            let FunctionDefinition { name, version, .. } = definition;
            let Some(versions) = snapshot.get(name) else { return Functions::clone(snapshot) };
            if versions.get(version).is_none_or(|function| function.number != number) {
                return Functions::clone(snapshot);
            }
            match versions.remove(version) {
                rest if rest.is_empty() => snapshot.remove(name),
                rest => snapshot.insert(name.clone(), rest),
            }
        });
    }

    /// While draining, new streams are refused.
    pub fn set_draining(&self, draining: bool) {
        self.draining.store(draining, Ordering::Relaxed);
    }

    /// Streams open now.
    #[must_use]
    pub fn streams(&self) -> usize {
        self.streams.load(Ordering::Relaxed)
    }

    /// Every function here.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<ServedFunction>> {
        self.snapshot.load().values().flat_map(|versions| versions.values()).cloned().collect()
    }

    /// Finds what a reference names.
    ///
    /// # Errors
    /// [`ErrorCode::FunctionNotFound`] with the nearest name.
    pub fn resolve(&self, reference: &FunctionRef) -> Result<Arc<ServedFunction>, Error> {
        let snapshot = self.snapshot.load();
        let found = snapshot.get(&reference.name).and_then(|versions| match &reference.version {
            Some(version) => versions.get(version),
            None => versions.last().map(|(_, newest)| newest),
        });
        found.cloned().ok_or_else(|| {
            if self.draining.load(Ordering::Relaxed) {
                // What it has served so far is unloaded by now: others have it.
                return draining();
            }
            let message = format!("no function {reference} is ready on this executor");
            let error = Error::new(ErrorCode::FunctionNotFound, message).function(reference.to_string());
            match nearest(&reference.name, snapshot.keys().map(String::as_str)) {
                Some(near) if near != reference.name => error.hint(format!("did you mean {near:?}?")),
                _ => error.hint("register it, or see `udfleet functions`"),
            }
        })
    }

    /// Finds what a stage names, and what it is to interpreters.
    ///
    /// # Errors
    /// [`ErrorCode::FunctionNotFound`] where a function of it is not ready here; [`ErrorCode::InvalidPlan`] for a stage
    /// that can't be run.
    pub(super) fn stage(&self, stage: &Stage) -> Result<Arc<Target>, Error> {
        let find = |name: &String| {
            let reference = FunctionRef::parse(name);
            self.resolve(&reference.map_err(|e| Error::new(ErrorCode::InvalidPlan, e.to_string()))?)
        };
        let functions = stage.functions.iter().map(find).collect::<Result<Vec<_>, Error>>()?;
        // A stage without functions runs beside any other of its environment.
        let beside = || {
            let snapshot = self.snapshot.load();
            let mut all = snapshot.values().flat_map(|versions| versions.values());
            all.find(|f| stage.environment.is_empty() || f.environment == stage.environment).cloned()
        };
        let host = functions.first().cloned().or_else(beside).ok_or_else(|| {
            let message = format!("no interpreter of environment {} is ready on this executor", stage.environment);
            Error::new(ErrorCode::NoCapacity, message).hint("try again, or use another executor")
        })?;
        self.stages.target(stage, &functions, &host.target)
    }

    /// Lets a stream in, or refuses it before it has cost anything.
    ///
    /// # Errors
    /// [`ErrorCode::NoCapacity`]: another executor may take it.
    pub fn admit(&self) -> Result<StreamSlot, Error> {
        if self.draining.load(Ordering::Relaxed) {
            return Err(draining());
        }
        if self.streams.fetch_add(1, Ordering::Relaxed) >= MAX_STREAMS {
            self.streams.fetch_sub(1, Ordering::Relaxed);
            let message = format!("this executor has {MAX_STREAMS} streams open, its limit");
            return Err(Error::new(ErrorCode::NoCapacity, message).hint("try again later"));
        }
        Ok(StreamSlot(Arc::clone(&self.streams)))
    }
}

fn draining() -> Error {
    Error::new(ErrorCode::NoCapacity, "this executor is draining").hint("use another executor")
}

#[cfg(test)]
mod tests {
    use udfleet_proto::types::simple;
    use udfleet_proto::v1::TypeRoot;

    use super::*;

    fn served(name: &str, version: u32) -> Arc<ServedFunction> {
        let result_type = Some(simple(TypeRoot::Bigint));
        let definition = FunctionDefinition { name: name.to_owned(), version, result_type, ..Default::default() };
        ServedFunction::new(definition, version, "", Pool::new(), Arc::default(), "e".to_owned()).unwrap()
    }

    #[test]
    fn names_mean_the_newest_version_and_pins_hold() {
        let table = FunctionTable::default();
        for version in [2, 10, 1] {
            table.insert(served("add", version));
        }
        let find = |text: &str| table.resolve(&FunctionRef::parse(text).unwrap()).map(|f| f.definition.version);
        assert_eq!(find("add").unwrap(), 10);
        assert_eq!(find("add@2").unwrap(), 2);
        let ten = |number| table.remove(&served("add", 10).definition, number);
        ten(7);
        assert_eq!(find("add").unwrap(), 10, "it has come back meanwhile");
        ten(10);
        assert_eq!(find("add").unwrap(), 2);
        assert_eq!(find("add@10").unwrap_err().code(), ErrorCode::FunctionNotFound);
        assert!(find("ad").unwrap_err().info().hint.contains("\"add\""));
        assert_eq!(table.all().len(), 2);
    }

    #[test]
    fn draining_refuses_streams_and_slots_are_counted() {
        let table = FunctionTable::default();
        let slot = table.admit().unwrap();
        assert_eq!(table.streams(), 1);
        table.set_draining(true);
        assert_eq!(table.admit().unwrap_err().code(), ErrorCode::NoCapacity);
        let unloaded = FunctionRef::parse("add").unwrap();
        assert_eq!(table.resolve(&unloaded).unwrap_err().code(), ErrorCode::NoCapacity);
        drop(slot);
        assert_eq!(table.streams(), 0);
    }
}
