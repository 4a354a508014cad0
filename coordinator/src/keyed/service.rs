//! The Streams service.

use std::fmt::Write as _;
use std::pin::Pin;
use std::sync::Arc;

use futures::Stream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};
use udfleet_edge::auth::{Principal, SendToken};
use udfleet_proto::config::MAX_ATTEMPTS;
use udfleet_proto::error::Error;
use udfleet_proto::name::FunctionRef;
use udfleet_proto::v1::streams_server::Streams;
use udfleet_proto::v1::{
    BundleCommitted, BundleDelivered, ErrorCode, OpenStream, StreamRequest, StreamResponse, stream_request,
    stream_response,
};

use super::owners::Owners;
use super::partition::StreamContext;
use super::process::StreamProcess;
use crate::registry::{Function, Lookup};

/// Messages that wait for a client that reads slowly.
const AHEAD: usize = 2;
/// How much of a definition's hash names its state.
const HASH_BYTES: usize = 8;

/// See the module.
#[derive(Clone)]
pub struct StreamsService {
    /// Finds owners of partitions.
    pub owners: Owners,
    /// Finds functions that another coordinator has just registered.
    pub lookup: Arc<dyn Lookup>,
    /// Shown to executors.
    pub token: SendToken,
}

impl StreamsService {
    async fn function(&self, open: &OpenStream, caller: &Principal) -> Result<Arc<Function>, Error> {
        let named = FunctionRef::parse(&open.function);
        let named = named.map_err(|e| Error::new(ErrorCode::InvalidInput, e.to_string()))?;
        caller.demand_function(&named.name)?;
        let found =
            |service: &Self| service.owners.routes.load_full().find(&named).map(|target| Arc::clone(&target.function));
        match found(self) {
            Err(error) if error.code() == ErrorCode::FunctionNotFound => {
                self.lookup.look_up(&named).await?;
                found(self)
            }
            known => known,
        }
    }

    async fn open(
        &self,
        request: Option<StreamRequest>,
        caller: &Principal,
    ) -> Result<(StreamProcess, StreamResponse), Error> {
        let Some(StreamRequest { kind: Some(stream_request::Kind::Open(open)) }) = request else {
            return Err(Error::new(ErrorCode::InvalidInput, "the first message of a stream opens it"));
        };
        let function = self.function(&open, caller).await?;
        let context = StreamContext {
            state: state_of(&function),
            max_attempts: MAX_ATTEMPTS.integer(&function.definition.config),
            function,
            stream: open.stream.clone(),
            token: self.token.clone(),
            owners: self.owners.clone(),
        };
        let (process, opened) = StreamProcess::open(context, &open).await?;
        Ok((process, response(stream_response::Kind::Opened(opened))))
    }

    async fn serve(
        self,
        mut requests: Streaming<StreamRequest>,
        caller: Arc<Principal>,
        responses: mpsc::Sender<Result<StreamResponse, Status>>,
    ) {
        // Whether the client still listens shows when it is sent something.
        let first = requests.message().await.ok().flatten();
        let mut process = match self.open(first, &caller).await {
            Ok((process, opened)) => {
                let _ = responses.send(Ok(opened)).await;
                process
            }
            Err(error) => return failed(&responses, error).await,
        };
        while let Ok(Some(request)) = requests.message().await {
            if let Err(error) = step(&mut process, request, &responses).await {
                failed(&responses, error).await;
                break;
            }
        }
        process.close().await;
    }
}

async fn step(
    process: &mut StreamProcess,
    request: StreamRequest,
    responses: &mpsc::Sender<Result<StreamResponse, Status>>,
) -> Result<(), Error> {
    let gone = |_| Error::internal("the client has gone");
    match request.kind {
        Some(stream_request::Kind::Submit(bundle)) => {
            let mut parts = process.run(bundle).await?.into_iter().peekable();
            while let Some((header, body)) = parts.next() {
                let delivered = BundleDelivered { header, body, last: parts.peek().is_none() };
                let message = response(stream_response::Kind::Delivered(delivered));
                responses.send(Ok(message)).await.map_err(gone)?;
            }
            Ok(())
        }
        Some(stream_request::Kind::Commit(_)) => {
            let position = process.commit().await?;
            let message = response(stream_response::Kind::Committed(BundleCommitted { position }));
            responses.send(Ok(message)).await.map_err(gone)
        }
        Some(stream_request::Kind::Open(_)) | None => {
            Err(Error::new(ErrorCode::InvalidInput, "a stream that is open takes bundles and commits"))
        }
    }
}

async fn failed(responses: &mpsc::Sender<Result<StreamResponse, Status>>, error: Error) {
    let _ = responses.send(Ok(response(stream_response::Kind::Failed(error.into_info())))).await;
}

fn response(kind: stream_response::Kind) -> StreamResponse {
    StreamResponse { kind: Some(kind) }
}

/// Names a function's state: another definition of the same name and version has another one.
fn state_of(function: &Function) -> String {
    let mut state = format!("{}-", function.name);
    for byte in function.hash.iter().take(HASH_BYTES) {
        // Writing to a text can't fail.
        let _ = write!(state, "{byte:02x}");
    }
    state
}

#[tonic::async_trait]
impl Streams for StreamsService {
    type ProcessStream = Pin<Box<dyn Stream<Item = Result<StreamResponse, Status>> + Send>>;

    async fn process(
        &self,
        request: Request<Streaming<StreamRequest>>,
    ) -> Result<Response<Self::ProcessStream>, Status> {
        let caller = Principal::of(&request);
        let (sender, responses) = mpsc::channel(AHEAD);
        tokio::spawn(self.clone().serve(request.into_inner(), caller, sender));
        Ok(Response::new(Box::pin(ReceiverStream::new(responses))))
    }
}
