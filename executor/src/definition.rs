//! Fetches definitions from a coordinator by their hashes.

use std::sync::Arc;

use bytes::Bytes;
use futures::{Stream, StreamExt as _, TryStreamExt as _};
use prost::Message as _;
use sha2::{Digest as _, Sha256};
use udfleet_edge::auth::SendToken;
use udfleet_edge::channel::error_of;
use udfleet_proto::error::Error;
use udfleet_proto::limits::MAX_CONTROL_BYTES;
use udfleet_proto::v1::membership_client::MembershipClient;
use udfleet_proto::v1::{FetchDefinitionsRequest, FunctionDefinition};

use crate::coordinators::Coordinators;

/// The most hashes of one request.
pub const HASHES_AT_ONCE: usize = 1024;

/// As messages call it.
const COORDINATOR: &str = "a coordinator";

/// Where definitions come from.
#[derive(Clone)]
pub struct DefinitionSource {
    coordinators: Arc<Coordinators>,
    token: SendToken,
}

impl DefinitionSource {
    /// Fetches from these.
    #[must_use]
    pub fn new(coordinators: Arc<Coordinators>, token: SendToken) -> Self {
        Self { coordinators, token }
    }

    /// What is missing could not be had from the coordinator that was asked last.
    pub fn pass_over(&self) {
        self.coordinators.pass_over();
    }

    /// The definitions with these hashes, at most [`HASHES_AT_ONCE`], as they come in: several at a time, each with its
    /// hash. What the coordinator does not know is left out.
    ///
    /// # Errors
    /// When the coordinator can't be reached or refuses.
    pub async fn fetch(
        &self,
        hashes: Vec<Bytes>,
    ) -> Result<impl Stream<Item = Result<Vec<(Bytes, FunctionDefinition)>, Error>> + use<>, Error> {
        let request = FetchDefinitionsRequest { definitions: hashes };
        let client = MembershipClient::with_interceptor(self.coordinators.channel(), self.token.clone());
        let mut client = client.max_decoding_message_size(MAX_CONTROL_BYTES);
        let answers = client.fetch_definitions(request).await.map_err(|status| error_of(&status, COORDINATOR))?;
        let answers = answers.into_inner().map_err(|status| error_of(&status, COORDINATOR));
        Ok(answers.map(|answer| answer?.definitions.into_iter().map(checked).collect()))
    }
}

/// The hash is of what came, not of what was asked for.
fn checked(encoded: Bytes) -> Result<(Bytes, FunctionDefinition), Error> {
    let hash = Bytes::copy_from_slice(&Sha256::digest(&encoded));
    let definition = FunctionDefinition::decode(encoded);
    let definition = definition.map_err(|e| Error::internal(format!("a definition from the coordinator: {e}")))?;
    Ok((hash, definition))
}
