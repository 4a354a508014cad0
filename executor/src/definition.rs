//! Fetches definitions from the coordinator by their hashes.

use bytes::Bytes;
use futures::{Stream, StreamExt as _, TryStreamExt as _};
use prost::Message as _;
use sha2::{Digest as _, Sha256};
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use udfleet_edge::auth::SendToken;
use udfleet_edge::channel::error_of;
use udfleet_proto::error::Error;
use udfleet_proto::limits::MAX_CONTROL_BYTES;
use udfleet_proto::v1::membership_client::MembershipClient;
use udfleet_proto::v1::{FetchDefinitionsRequest, FunctionDefinition};

/// The most hashes of one request.
pub const HASHES_AT_ONCE: usize = 1024;

/// As messages call it.
const COORDINATOR: &str = "the coordinator";

/// Where definitions come from.
#[derive(Clone)]
pub struct DefinitionSource(MembershipClient<InterceptedService<Channel, SendToken>>);

impl DefinitionSource {
    /// Fetches over `channel` to the coordinator.
    #[must_use]
    pub fn new(channel: Channel, token: SendToken) -> Self {
        let client = MembershipClient::with_interceptor(channel, token);
        Self(client.max_decoding_message_size(MAX_CONTROL_BYTES))
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
        let answers =
            self.0.clone().fetch_definitions(request).await.map_err(|status| error_of(&status, COORDINATOR))?;
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
