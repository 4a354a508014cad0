//! What tenants have registered, counted from the catalog.

use std::collections::{BTreeMap, BTreeSet};

use udfleet_edge::auth::DEFAULT_TENANT;
use udfleet_proto::v1::FunctionDefinition;

use super::{Catalog, artifacts};

/// What one tenant has registered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holdings {
    /// Versions of functions.
    pub functions: u64,
    /// What these run in, by name.
    pub environments: BTreeSet<String>,
    /// Files that these need: sizes by hash.
    pub artifacts: BTreeMap<String, u64>,
}

/// Whose use a function counts as.
#[must_use]
pub fn tenant_of(definition: &FunctionDefinition) -> &str {
    if definition.tenant.is_empty() { DEFAULT_TENANT } else { &definition.tenant }
}

impl Holdings {
    /// Of one tenant.
    #[must_use]
    pub fn of(catalog: &Catalog, tenant: &str) -> Self {
        let mut holdings = Self::default();
        let own = catalog.iter().filter(|function| tenant_of(&function.definition) == tenant);
        own.for_each(|function| holdings.add(&function.definition, &function.environment));
        holdings
    }

    /// With one more version.
    pub fn add(&mut self, definition: &FunctionDefinition, environment: &str) {
        self.functions += 1;
        if !self.environments.contains(environment) {
            self.environments.insert(environment.to_owned());
        }
        for (hash, artifact) in artifacts(definition) {
            if !self.artifacts.contains_key(hash) {
                self.artifacts.insert(hash.to_owned(), artifact.size);
            }
        }
    }

    /// Of all files together.
    #[must_use]
    pub fn artifact_bytes(&self) -> u64 {
        self.artifacts.values().fold(0, |sum, size| sum.saturating_add(*size))
    }
}

/// Of all tenants that have registered anything.
#[must_use]
pub fn all_holdings(catalog: &Catalog) -> BTreeMap<String, Holdings> {
    let mut all = BTreeMap::<String, Holdings>::new();
    for function in catalog.iter() {
        let tenant = tenant_of(&function.definition);
        if !all.contains_key(tenant) {
            all.insert(tenant.to_owned(), Holdings::default());
        }
        if let Some(holdings) = all.get_mut(tenant) {
            holdings.add(&function.definition, &function.environment);
        }
    }
    all
}
