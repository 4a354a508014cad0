//! Stages by content: streams of equal stages share their number, so that interpreters get each stage once.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;
use prost::Message;
use udfleet_proto::error::Error;
use udfleet_proto::limits::MAX_STAGE_BYTES;
use udfleet_proto::v1::{ErrorCode, Stage, StageSpec};

use super::served::ServedFunction;
use super::stage;
use super::target::Target;

/// Stages that are remembered, and their bytes together. A forgotten one gets another number when it comes again.
const MAX_STAGES: usize = 1000;
const MAX_BYTES: usize = 64 << 20;
/// Numbers of stages start here; those of functions stay below.
const FIRST: u32 = 1 << 31;

#[derive(Debug, Default)]
struct StageCache {
    /// By StageSpec: a function that was loaded again has another number, and makes another stage.
    targets: HashMap<Bytes, Arc<Target>>,
    /// The oldest first.
    order: VecDeque<Bytes>,
    bytes: usize,
}

/// The stages of this node.
#[derive(Debug, Default)]
pub(super) struct Stages {
    known: Mutex<StageCache>,
    last: AtomicU32,
}

impl Stages {
    /// The stage as a target. `functions` are those that it names; `host` one of its environment.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidPlan`] for a stage that can't be run; [`ErrorCode::LimitExceeded`].
    pub(super) fn target(
        &self,
        stage: &Stage,
        functions: &[Arc<ServedFunction>],
        host: &Arc<Target>,
    ) -> Result<Arc<Target>, Error> {
        let numbers = functions.iter().map(|function| function.number).collect();
        let spec = Bytes::from(StageSpec { stage: Some(stage.clone()), functions: numbers }.encode_to_vec());
        if let Some(known) = self.known.lock().targets.get(&spec) {
            return Ok(Arc::clone(known));
        }
        if spec.len() > MAX_STAGE_BYTES {
            let message = format!("a stage of {} bytes exceeds the limit of {MAX_STAGE_BYTES} bytes", spec.len());
            return Err(Error::new(ErrorCode::LimitExceeded, message).hint("cut the plan into several"));
        }
        stage::check(stage, functions)?;
        let number = FIRST + self.last.fetch_add(1, Ordering::Relaxed) % FIRST;
        let (pool, executor) = (Arc::clone(&host.pool), host.executor.clone());
        let target = Arc::new(Target::stage(stage, spec.clone(), number, functions, pool, executor));
        self.known.lock().insert(spec, &target);
        Ok(target)
    }
}

impl StageCache {
    fn insert(&mut self, spec: Bytes, target: &Arc<Target>) {
        self.bytes += spec.len();
        if self.targets.insert(spec.clone(), Arc::clone(target)).is_some() {
            // Another stream was faster.
            self.bytes -= spec.len();
            return;
        }
        self.order.push_back(spec);
        while self.order.len() > MAX_STAGES || self.bytes > MAX_BYTES {
            let Some(oldest) = self.order.pop_front() else { return };
            self.bytes -= oldest.len();
            self.targets.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use udfleet_proto::types::simple;
    use udfleet_proto::v1::{Field, FunctionDefinition, TypeRoot};

    use super::*;
    use crate::link::Pool;

    fn served(number: u32) -> Arc<ServedFunction> {
        let result_type = Some(simple(TypeRoot::Bigint));
        let definition = FunctionDefinition { name: "f".into(), version: 1, result_type, ..Default::default() };
        ServedFunction::new(definition, number, "env", Pool::new(), Arc::default(), "e".into()).unwrap()
    }

    fn stage(name: &str) -> Stage {
        let column = Field { name: name.to_owned(), r#type: Some(simple(TypeRoot::Bigint)) };
        Stage {
            functions: vec!["f@1".into()],
            environment: "env".into(),
            inputs: vec![column.clone()],
            results: vec![0],
            outputs: vec![column],
            ..Stage::default()
        }
    }

    #[test]
    fn equal_stages_share_a_number_until_a_function_comes_back() {
        let (stages, function) = (Stages::default(), served(1));
        let number = |stage: &Stage, function: &Arc<ServedFunction>| {
            stages.target(stage, std::slice::from_ref(function), &function.target).unwrap().number
        };
        let first = number(&stage("a"), &function);
        assert!(first >= FIRST);
        assert_eq!(number(&stage("a"), &function), first);
        assert_ne!(number(&stage("b"), &function), first);
        assert_ne!(number(&stage("a"), &served(2)), first);
    }

    #[test]
    fn the_oldest_are_forgotten_and_large_ones_refused() {
        let (stages, function) = (Stages::default(), served(1));
        let target = |name: &str| stages.target(&stage(name), std::slice::from_ref(&function), &function.target);
        let first = target("a").unwrap().number;
        (0..MAX_STAGES).for_each(|index| drop(target(&index.to_string()).unwrap()));
        assert_eq!(stages.known.lock().targets.len(), MAX_STAGES);
        assert_ne!(target("a").unwrap().number, first);
        assert_eq!(target(&"x".repeat(MAX_STAGE_BYTES)).unwrap_err().code(), ErrorCode::LimitExceeded);
    }
}
