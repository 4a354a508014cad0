//! Whether a tenant may register one more version.

use std::sync::Arc;

use udfleet_edge::tenant::{LimitName, Tenants};
use udfleet_proto::environment::group;
use udfleet_proto::error::Error;
use udfleet_proto::v1::{ErrorCode, FunctionDefinition};

use super::Catalog;
use super::holdings::{Holdings, tenant_of};

/// Checks registrations against the limits of their tenants. Without, everything may be registered.
#[derive(Debug, Clone, Default)]
pub struct RegistrationQuota(Option<Arc<Tenants>>);

impl RegistrationQuota {
    /// By these limits.
    #[must_use]
    pub fn new(tenants: Arc<Tenants>) -> Self {
        Self(Some(tenants))
    }

    /// Whether the definition's tenant has limits on what it registers.
    pub(super) fn limits(&self, definition: &FunctionDefinition) -> bool {
        let limits = self.0.as_ref().map(|tenants| tenants.limits(tenant_of(definition)));
        limits.is_some_and(|limits| {
            limits.functions.is_some() || limits.environments.is_some() || limits.artifact_bytes.is_some()
        })
    }

    /// Checks a definition that would be new in a catalog.
    ///
    /// # Errors
    /// [`ErrorCode::LimitExceeded`], naming the limit.
    pub fn check(&self, catalog: &Catalog, definition: &FunctionDefinition) -> Result<(), Error> {
        let Some(tenants) = &self.0 else { return Ok(()) };
        let tenant = tenant_of(definition);
        let limits = tenants.limits(tenant);
        let (functions, environments, bytes) = (limits.functions, limits.environments, limits.artifact_bytes);
        if !self.limits(definition) {
            return Ok(());
        }
        let held = Holdings::of(catalog, tenant);
        let mut wanted = held.clone();
        wanted.add(definition, &group(definition));
        let counts = |holdings: &Holdings| {
            [
                (LimitName::Functions, holdings.functions, functions),
                (LimitName::Environments, holdings.environments.len() as u64, environments),
                (LimitName::ArtifactBytes, holdings.artifact_bytes(), bytes.map(|bytes| bytes.0)),
            ]
        };
        for ((limit, now, most), (_, then, _)) in counts(&held).into_iter().zip(counts(&wanted)) {
            // What uses no more of it goes on, even where the limit was lowered since.
            if let Some(most) = most
                && then > most
                && then > now
            {
                tenants.refused(tenant, limit);
                return Err(beyond(tenant, limit, now, then, most).function(definition.name.as_str()));
            }
        }
        Ok(())
    }
}

/// The refusal of what would take a tenant beyond a limit.
#[must_use]
pub fn beyond(tenant: &str, limit: LimitName, now: u64, then: u64, most: u64) -> Error {
    let name = limit.name();
    let message = format!("the tenant {tenant:?} has {now} {name}, with this {then}, and may have {most}");
    Error::new(ErrorCode::LimitExceeded, message)
        .hint(format!("drop functions that are not needed, or allow more: tenants.{tenant}.{name} of the coordinators"))
}

#[cfg(test)]
mod tests {
    use udfleet_proto::v1::{Artifact, Environment};

    use super::super::Function;
    use super::*;

    fn definition(name: &str, tenant: &str, requirement: &str, payload: u64) -> FunctionDefinition {
        let environment = Environment { requirements: vec![requirement.to_owned()], ..Environment::default() };
        let payload = Artifact { hash: format!("{payload}"), size: payload, ..Artifact::default() };
        FunctionDefinition {
            name: name.to_owned(),
            version: 1,
            tenant: tenant.to_owned(),
            environment: Some(environment),
            payload: Some(payload),
            ..FunctionDefinition::default()
        }
    }

    #[test]
    fn each_limit_holds_for_its_tenant() {
        let limits = "[acme]\nfunctions = 3\nenvironments = 2\nartifact_bytes = \"1000\"\n";
        let tenants = Arc::new(Tenants::new(toml::from_str(limits).unwrap()));
        let quota = RegistrationQuota::new(Arc::clone(&tenants));
        let with = |all: &[FunctionDefinition]| {
            let mut catalog = Catalog::default();
            for definition in all {
                catalog = catalog.with(Arc::new(Function::new(definition.clone())));
            }
            catalog
        };
        let catalog = with(&[definition("a", "acme", "x", 400), definition("b", "acme", "y", 500)]);
        let said = |definition: &FunctionDefinition| {
            quota.check(&catalog, definition).map_err(|error| (error.code(), error.info().hint.clone()))
        };
        assert_eq!(said(&definition("c", "acme", "x", 100)), Ok(()));
        assert_eq!(said(&definition("c", "acme", "x", 500)), Ok(()), "a file counts once");
        let (code, hint) = said(&definition("c", "acme", "x", 101)).unwrap_err();
        assert!(code == ErrorCode::LimitExceeded && hint.contains("acme.artifact_bytes"), "{hint}");
        let (code, hint) = said(&definition("c", "acme", "z", 100)).unwrap_err();
        assert!(code == ErrorCode::LimitExceeded && hint.contains("acme.environments"), "{hint}");
        assert_eq!(said(&definition("c", "other", "z", 1 << 40)), Ok(()));
        assert_eq!(said(&definition("c", "", "z", 1 << 40)), Ok(()));
        let full = catalog.with(Arc::new(Function::new(definition("c", "acme", "x", 1))));
        let refused = quota.check(&full, &definition("d", "acme", "x", 1)).unwrap_err();
        assert!(refused.info().hint.contains("acme.functions"), "{refused}");
        assert_eq!(tenants.counts_of("acme").refused, [1, 1, 1, 0, 0]);
    }
}
