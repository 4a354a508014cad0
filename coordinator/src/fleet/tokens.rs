//! The methods about tokens.

use std::time::Duration;

use udfleet_edge::auth::Principal;
use udfleet_proto::error::Error;
use udfleet_proto::v1::{
    CreateTokenRequest, CreateTokenResponse, ListTokensRequest, ListTokensResponse, RevokeTokenRequest,
    RevokeTokenResponse,
};

use super::page::page;
use super::service::FleetContext;
use crate::access::{NewToken, kind_of};

pub(super) async fn create(
    context: &FleetContext,
    request: CreateTokenRequest,
    caller: &Principal,
) -> Result<CreateTokenResponse, Error> {
    let kind = kind_of(request.kind())?;
    let lifetime = (request.lifetime_s > 0).then(|| Duration::from_secs(request.lifetime_s));
    let CreateTokenRequest { name, roles, functions, tenant, .. } = request;
    let token = NewToken { kind, name, roles, functions, tenant, lifetime };
    let (token, record) = context.access.create(token, caller).await?;
    Ok(CreateTokenResponse { token: token.expose().to_owned(), record: Some(record) })
}

pub(super) fn list(context: &FleetContext, request: &ListTokensRequest) -> ListTokensResponse {
    let (records, next_page_token) = page(context.access.list(), &request.page_token);
    ListTokensResponse { records, next_page_token }
}

pub(super) async fn revoke(context: &FleetContext, request: &RevokeTokenRequest) -> Result<RevokeTokenResponse, Error> {
    let record = context.access.revoke(kind_of(request.kind())?, &request.name).await?;
    Ok(RevokeTokenResponse { record: Some(record) })
}
