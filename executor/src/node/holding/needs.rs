//! The definitions that desired state names: which of them have come, and which functions need them. Pure.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use udfleet_proto::v1::FunctionDefinition;

#[derive(Debug, Default)]
struct NeededDefinition {
    content: Option<Arc<FunctionDefinition>>,
    functions: BTreeSet<String>,
}

/// By their hashes.
#[derive(Debug, Default)]
pub(super) struct NeededDefinitions {
    all: HashMap<Bytes, NeededDefinition>,
    missing: BTreeSet<Bytes>,
}

impl NeededDefinitions {
    /// A function needs it.
    pub(super) fn need(&mut self, hash: &Bytes, function: &str) {
        let needed = self.all.entry(hash.clone()).or_default();
        needed.functions.insert(function.to_owned());
        if needed.content.is_none() {
            self.missing.insert(hash.clone());
        }
    }

    /// A function does not need it any more; it is forgotten with the last one.
    pub(super) fn let_go(&mut self, hash: &Bytes, function: &str) {
        let Some(needed) = self.all.get_mut(hash) else { return };
        needed.functions.remove(function);
        if needed.functions.is_empty() {
            self.all.remove(hash);
            self.missing.remove(hash);
        }
    }

    /// It has come. Returns the one value that is kept of it, with the functions that have waited for it; `None` where nobody has.
    pub(super) fn define(
        &mut self,
        hash: &Bytes,
        definition: FunctionDefinition,
    ) -> Option<(Arc<FunctionDefinition>, &BTreeSet<String>)> {
        if !self.missing.remove(hash) {
            return None;
        }
        let needed = self.all.get_mut(hash)?;
        let content = Arc::new(definition);
        needed.content = Some(Arc::clone(&content));
        Some((content, &needed.functions))
    }

    /// Where it has come.
    pub(super) fn get(&self, hash: &Bytes) -> Option<&Arc<FunctionDefinition>> {
        self.all.get(hash)?.content.as_ref()
    }

    /// Those that have not come.
    pub(super) fn missing(&self) -> Vec<Bytes> {
        self.missing.iter().cloned().collect()
    }
}
