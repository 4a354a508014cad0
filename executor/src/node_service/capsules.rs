//! A capsule on its way to the coordinator.

use std::sync::Arc;

use prost::Message as _;
use udfleet_proto::environment;
use udfleet_proto::runs::RUN_BYTES;
use udfleet_proto::v1::{Capsule, FetchCapsuleResponse};

use crate::node::Context;

/// Its pieces, with what its environment holds, where that is still built here.
pub(super) async fn pieces(capsule: &Capsule, context: &Arc<Context>) -> Vec<FetchCapsuleResponse> {
    let environment = capsule.functions.first().and_then(|definition| definition.environment.as_ref());
    let (hash, context) = (environment.map(environment::hash).unwrap_or_default(), Arc::clone(context));
    let packages = tokio::task::spawn_blocking(move || context.environments.packages(&hash)).await.unwrap_or_default();
    let encoded = Capsule { packages, ..capsule.clone() }.encode_to_vec();
    encoded.chunks(RUN_BYTES).map(|piece| FetchCapsuleResponse { data: piece.to_vec().into() }).collect()
}
