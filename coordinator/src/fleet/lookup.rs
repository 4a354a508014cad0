//! Finds what another coordinator has just registered, and shows it before it says that it is there.

use std::sync::Arc;

use udfleet_proto::error::Error;
use udfleet_proto::name::FunctionRef;

use crate::membership::MembershipHandle;
use crate::registry::{Lookup, Registry};

/// See the module.
pub struct StoreLookup {
    /// What is registered.
    pub registry: Arc<Registry>,
    /// Shows it.
    pub fleet: MembershipHandle,
}

#[tonic::async_trait]
impl Lookup for StoreLookup {
    async fn look_up(&self, function: &FunctionRef) -> Result<bool, Error> {
        if self.registry.look_up(&function.name).await? {
            self.fleet.show_catalog().await;
        }
        Ok(!self.registry.catalog().matching(function).is_empty())
    }

    fn is_new(&self, function: &str) -> bool {
        self.registry.is_new(function)
    }
}
