//! Where functions spend their time, as all executors know it.

use futures::TryStreamExt as _;
use tonic::Status;
use udfleet_edge::auth::SendToken;
use udfleet_proto::v1::{FunctionProfile, ProfileRequest, ProfileResponse};

use super::ask;
use super::service::BoxStream;
use crate::membership::MembershipHandle;

/// Asks executors for profiles.
#[derive(Clone)]
pub struct Profiler {
    /// Knows the executors.
    pub fleet: MembershipHandle,
    /// What they are shown.
    pub token: SendToken,
}

impl Profiler {
    /// The answers of all executors, as they come.
    pub(super) async fn ask(&self, request: ProfileRequest) -> Result<BoxStream<ProfileResponse>, Status> {
        let nodes = self.fleet.nodes().await?;
        let ask = |mut node: ask::Node| {
            let request = request.clone();
            async move { node.profile(request).await }
        };
        ask::all(nodes, &self.token, ask).await
    }

    /// Profiles of a function (`add`, `add@3`) by executor; those that are not profiled have none.
    ///
    /// # Errors
    /// Where no executor answers.
    pub async fn of(&self, function: &str) -> Result<Vec<FunctionProfile>, Status> {
        let answers = self.ask(ProfileRequest { function: function.to_owned() }).await?;
        let answers: Vec<ProfileResponse> = answers.try_collect().await?;
        Ok(answers.into_iter().flat_map(|answer| answer.functions).collect())
    }
}
