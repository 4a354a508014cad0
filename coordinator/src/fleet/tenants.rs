//! What tenants have and do.

use std::collections::BTreeSet;

use udfleet_edge::auth::DEFAULT_TENANT;
use udfleet_proto::v1::{ListTenantsRequest, ListTenantsResponse, TenantInfo};

use super::page::page;
use super::service::FleetContext;
use crate::registry::all_holdings;

/// All tenants that have limits of their own, tokens, functions, or streams since this process was started.
pub(super) fn list(context: &FleetContext, request: &ListTenantsRequest) -> ListTenantsResponse {
    let holdings = all_holdings(&context.registry.catalog());
    let mut names = BTreeSet::from([DEFAULT_TENANT.to_owned()]);
    names.extend(holdings.keys().cloned());
    names.extend(context.tenants.named());
    names.extend(context.access.tenants());
    names.extend(context.tenants.seen());
    let info = |tenant: String| {
        let (held, counts) = (holdings.get(&tenant).cloned().unwrap_or_default(), context.tenants.counts_of(&tenant));
        TenantInfo {
            limits: Some(context.tenants.limits(&tenant).into()),
            functions: held.functions,
            environments: held.environments.len() as u64,
            artifact_bytes: held.artifact_bytes(),
            streams: counts.open,
            rows: counts.rows,
            refused: counts.refused.iter().sum(),
            tenant,
        }
    };
    let (tenants, next_page_token) = page(names.into_iter().map(info).collect(), &request.page_token);
    ListTenantsResponse { tenants, next_page_token }
}
