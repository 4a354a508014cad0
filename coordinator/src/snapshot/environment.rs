//! One environment: which functions share it, where it is placed and built.

use std::collections::BTreeMap;
use std::sync::Arc;

use rpds::RedBlackTreeSetSync;
use udfleet_proto::v1::Environment;

use crate::registry::Function;

/// See the module.
#[derive(Debug, Clone)]
pub struct EnvironmentEntry {
    /// What it is made of.
    pub environment: Arc<Environment>,
    /// `add@3`: functions that run in it.
    pub functions: RedBlackTreeSetSync<Arc<str>>,
    /// Interpreters by executor that should hold it.
    pub assigned: BTreeMap<String, u32>,
    /// Why no executor should; empty where one should.
    pub unplaced: String,
    /// Attached executors that have it on disk.
    pub built_on: RedBlackTreeSetSync<Arc<str>>,
}

impl EnvironmentEntry {
    pub(super) fn new(function: &Function) -> Self {
        Self {
            environment: Arc::new(function.definition.environment.clone().unwrap_or_default()),
            functions: RedBlackTreeSetSync::new_sync(),
            assigned: BTreeMap::new(),
            unplaced: String::new(),
            built_on: RedBlackTreeSetSync::new_sync(),
        }
    }
}
