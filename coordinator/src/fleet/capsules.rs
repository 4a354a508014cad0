//! Batches that failed, as executors keep them: who may have one gets it with the files that its functions need.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use prost::Message as _;
use tonic::Status;
use udfleet_edge::auth::{Principal, SendToken};
use udfleet_proto::error::Error;
use udfleet_proto::v1::{
    Artifact, Capsule, CapsuleFile, CapsuleSummary, CapsulesRequest, CapsulesResponse, ErrorCode, FetchCapsuleRequest,
};

use super::ask;
use super::service::BoxStream as Answers;
use crate::artifact::ArtifactStore;
use crate::audit::{AuditEvent, AuditLog};
use crate::membership::MembershipHandle;
use crate::registry;

/// A capsule without its files, bytes: a batch and definitions.
const MAX_CAPSULE_BYTES: usize = 128 << 20;
/// Files of a capsule together, bytes; what is beyond is left out.
const MAX_FILE_BYTES: u64 = 512 << 20;

/// Asks executors for capsules.
#[derive(Clone)]
pub struct Capsules {
    /// Knows the executors.
    pub fleet: MembershipHandle,
    /// What they are shown.
    pub token: SendToken,
    /// Files of functions.
    pub artifacts: Arc<ArtifactStore>,
    /// Notes who reads what.
    pub audit: AuditLog,
}

/// One that is being read.
pub struct CapsuleDownload {
    /// What it is of.
    pub summary: CapsuleSummary,
    /// Pieces of an encoded [`Capsule`], in order.
    pub pieces: BoxStream<'static, Result<Bytes, Error>>,
}

impl Capsules {
    /// The answers of all executors, as they come.
    pub(super) async fn ask(&self, request: CapsulesRequest) -> Result<Answers<CapsulesResponse>, Status> {
        let nodes = self.fleet.nodes().await?;
        let ask = |mut node: ask::Node| {
            let request = request.clone();
            async move { node.capsules(request).await }
        };
        ask::all(nodes, &self.token, ask).await
    }

    /// Those of a function (`add`, `add@3`), the newest first.
    ///
    /// # Errors
    /// Where no executor answers.
    pub async fn of(&self, function: &str) -> Result<Vec<CapsuleSummary>, Error> {
        let answers = self.ask(CapsulesRequest { function: function.to_owned() }).await;
        let answers: Vec<CapsulesResponse> = match answers {
            Ok(answers) => answers.try_collect().await.map_err(|status| Error::from(&status))?,
            Err(status) => return Err(Error::from(&status)),
        };
        let mut all: Vec<_> = answers.into_iter().flat_map(|answer| answer.capsules).collect();
        all.sort_by_key(|one| std::cmp::Reverse(one.unix_ms));
        Ok(all)
    }

    /// One of them, for a caller who may read the data of its functions. It is noted who has got it.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidInput`] where no executor has it; [`ErrorCode::PermissionDenied`].
    pub async fn fetch(
        &self,
        caller: &Principal,
        from: Option<SocketAddr>,
        id: &str,
    ) -> Result<CapsuleDownload, Error> {
        let (encoded, capsule) = self.find(id).await?;
        let summary = capsule.summary.unwrap_or_default();
        let subject = format!("{} {id}", summary.function);
        let allowed = capsule.functions.iter().try_for_each(|function| caller.demand_function(&function.name));
        self.audit.note(AuditEvent::new(caller, from, "FetchCapsule", subject).ended(&allowed)).await;
        allowed?;
        let mut files: Vec<Artifact> = Vec::new();
        for artifact in capsule.functions.iter().flat_map(|function| registry::artifacts(function).into_values()) {
            let bytes: u64 = files.iter().map(|file| file.size).sum();
            if bytes + artifact.size <= MAX_FILE_BYTES && !files.iter().any(|file| file.hash == artifact.hash) {
                files.push(artifact.clone());
            }
        }
        let store = Arc::clone(&self.artifacts);
        let contents = futures::stream::iter(files).then(move |artifact| content(Arc::clone(&store), artifact.hash));
        let head = futures::stream::once(async move { Ok(encoded) });
        Ok(CapsuleDownload { summary, pieces: head.chain(contents.try_flatten()).boxed() })
    }

    /// From the executor that has it.
    async fn find(&self, id: &str) -> Result<(Bytes, Capsule), Error> {
        let nodes = self.fleet.nodes().await?;
        let ask = |mut node: ask::Node| {
            let request = FetchCapsuleRequest { id: id.to_owned() };
            async move { node.fetch_capsule(request).await }
        };
        let answers = ask::all(nodes, &self.token, ask).await.map_err(|status| Error::from(&status))?;
        let collect = |mut all: BytesMut, piece: udfleet_proto::v1::FetchCapsuleResponse| async move {
            if all.len() + piece.data.len() > MAX_CAPSULE_BYTES {
                return Err(Status::resource_exhausted(format!("a capsule has more than {MAX_CAPSULE_BYTES} bytes")));
            }
            all.extend_from_slice(&piece.data);
            Ok(all)
        };
        let encoded = answers.try_fold(BytesMut::new(), collect).await.map_err(|status| Error::from(&status))?.freeze();
        if encoded.is_empty() {
            let hint = "`udfleet errors NAME` lists them; executors keep them in memory, for a day at most";
            return Err(Error::new(ErrorCode::InvalidInput, format!("no executor has a capsule {id:?}")).hint(hint));
        }
        let capsule = Capsule::decode(encoded.clone());
        let capsule = capsule.map_err(|e| Error::internal(format!("capsule {id} from an executor: {e}")))?;
        Ok((encoded, capsule))
    }
}

/// An artifact in pieces, each of which is an encoded [`Capsule`] with nothing else: behind each other they are one message.
/// One that is not there any more is left out.
async fn content(store: Arc<ArtifactStore>, hash: String) -> Result<BoxStream<'static, Result<Bytes, Error>>, Error> {
    let chunks = match store.read(&hash).await {
        Ok((chunks, _)) => chunks,
        Err(error) if error.code() == ErrorCode::ArtifactMissing => return Ok(futures::stream::empty().boxed()),
        Err(error) => return Err(error),
    };
    let file = move |data: Bytes| {
        let file = CapsuleFile { hash: hash.clone(), data };
        Bytes::from(Capsule { files: vec![file], ..Capsule::default() }.encode_to_vec())
    };
    Ok(chunks.map_ok(file).boxed())
}
