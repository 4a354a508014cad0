//! The Streams service.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use arrow_flight::FlightData;
use bytes::Bytes;
use futures::Stream;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};
use udfleet_edge::auth::{Principal, Right};
use udfleet_edge::tenant::{TenantStream, Tenants};
use udfleet_proto::config::MAX_ATTEMPTS;
use udfleet_proto::error::Error;
use udfleet_proto::name::FunctionRef;
use udfleet_proto::v1::streams_server::Streams;
use udfleet_proto::v1::{
    BundleCommitted, BundleDelivered, DropStreamRequest, DropStreamResponse, ErrorCode, ListStreamsRequest,
    ListStreamsResponse, OpenStream, ReadStateRequest, StateChunk, StreamInfo, StreamRequest, StreamResponse,
    stream_request, stream_response,
};

use super::access::StateAccess;
use super::administration::{StateChunks, peer};
use super::entry::{check_id, family};
use super::partition::StreamContext;
use super::process::{StreamProcess, cutter};
use super::registry::{StreamHolder, now_ms};
use crate::audit::AuditLog;
use crate::leader::Session;
use crate::registry::{Function, Lookup};

/// Messages that wait for a client that reads slowly.
const AHEAD: usize = 2;
/// How often it is noted where a stream stands.
const NOTED_EVERY: Duration = Duration::from_secs(2);
/// How long that may take: the stream waits meanwhile.
const NOTED_WITHIN: Duration = Duration::from_secs(2);

/// See the module.
#[derive(Clone)]
pub struct StreamsService {
    /// The streams, and owners of their partitions.
    pub access: StateAccess,
    /// Finds functions that another coordinator has just registered.
    pub lookup: Arc<dyn Lookup>,
    /// Notes who reads and changes state.
    pub audit: AuditLog,
    /// This coordinator among the others.
    pub session: Session,
    /// Counts streams and rows.
    pub tenants: Arc<Tenants>,
}

impl StreamsService {
    async fn function(&self, open: &OpenStream, caller: &Principal) -> Result<Arc<Function>, Error> {
        let named = FunctionRef::parse(&open.function);
        let named = named.map_err(|e| Error::new(ErrorCode::InvalidInput, e.to_string()))?;
        caller.demand_function(&named.name)?;
        let found = |service: &Self| {
            service.access.owners.routes.load_full().find(&named).map(|target| Arc::clone(&target.function))
        };
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
        from: Option<SocketAddr>,
    ) -> Result<(StreamProcess, StreamResponse), Error> {
        let Some(StreamRequest { kind: Some(stream_request::Kind::Open(open)) }) = request else {
            return Err(Error::new(ErrorCode::InvalidInput, "the first message of a stream opens it"));
        };
        let function = self.function(&open, caller).await?;
        check_id(&open.stream)?;
        if open.reset {
            // What can't be opened afterwards is not deleted.
            cutter(&function, &open)?;
            self.reset(&open.stream, caller, from).await?;
        }
        let context = StreamContext {
            state: String::new(),
            max_attempts: MAX_ATTEMPTS.integer(&function.definition.config),
            function,
            stream: open.stream.clone(),
            token: self.access.token.clone(),
            owners: self.access.owners.clone(),
        };
        let (process, opened) = StreamProcess::open(context, &self.access, &open).await?;
        Ok((process, response(stream_response::Kind::Opened(opened))))
    }

    async fn serve(
        self,
        mut requests: Streaming<StreamRequest>,
        (caller, from): (Arc<Principal>, Option<SocketAddr>),
        counted: TenantStream,
        responses: mpsc::Sender<Result<StreamResponse, Status>>,
    ) {
        // Whether the client still listens shows when it is sent something.
        let first = requests.message().await.ok().flatten();
        let mut process = match self.open(first, &caller, from).await {
            Ok((process, opened)) => {
                let _ = responses.send(Ok(opened)).await;
                let last = process.last_results();
                if let Err(error) = deliver(last, &responses).await {
                    return failed(&responses, error).await;
                }
                process
            }
            Err(error) => return failed(&responses, error).await,
        };
        let (stream, holder) = (process.stream().to_owned(), self.holder(&process, &caller));
        let registry = &self.access.registry;
        let mut notes = tokio::time::interval(NOTED_EVERY);
        notes.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut noted = (None, process.position());
        loop {
            let request = tokio::select! {
                request = requests.message() => request,
                _ = notes.tick() => {
                    let lease = self.session.standing().lease;
                    let now = (lease, process.position());
                    if noted != now {
                        noted = now;
                        within(async {
                            registry.note_open(&stream, &holder, lease).await?;
                            registry.note_position(&stream, holder.session, now.1).await
                        })
                        .await;
                    }
                    continue;
                }
            };
            let Ok(Some(request)) = request else { break };
            if let Err(error) = step(&mut process, &counted, request, &responses).await {
                failed(&responses, error).await;
                break;
            }
        }
        let position = process.position();
        within(async {
            registry.note_position(&stream, holder.session, position).await?;
            registry.note_closed(&stream, holder.session).await
        })
        .await;
        process.close().await;
    }

    fn holder(&self, process: &StreamProcess, caller: &Principal) -> StreamHolder {
        StreamHolder {
            coordinator: self.session.me().address.clone(),
            holder: caller.title(),
            opened_unix_ms: now_ms(),
            session: process.session(),
        }
    }

    /// Deletes what there is of a stream that is to begin anew.
    async fn reset(&self, stream: &str, caller: &Principal, from: Option<SocketAddr>) -> Result<(), Error> {
        let Some((entry, _)) = self.access.registry.find(stream).await? else { return Ok(()) };
        let dropped = async {
            caller.demand(&[Right::Register], "open a stream with reset, which deletes its state")?;
            caller.demand_function(family(&entry.function))?;
            self.access.drop_stream(stream, true).await
        };
        self.noted(caller, from, ("DropStream", stream), dropped.await).await
    }
}

/// Notes about streams: where the metadata store is away, the next one is more exact.
async fn within(note: impl Future<Output = Result<(), Error>>) {
    if let Ok(Err(error)) = tokio::time::timeout(NOTED_WITHIN, note).await {
        tracing::debug!(%error, "where a stream stands was not noted");
    }
}

/// Sends the results of a bundle.
async fn deliver(
    parts: Result<Vec<(Bytes, Bytes)>, Error>,
    responses: &mpsc::Sender<Result<StreamResponse, Status>>,
) -> Result<(), Error> {
    let mut parts = parts?.into_iter().peekable();
    while let Some((header, body)) = parts.next() {
        let delivered = BundleDelivered { header, body, last: parts.peek().is_none() };
        let message = response(stream_response::Kind::Delivered(delivered));
        responses.send(Ok(message)).await.map_err(gone)?;
    }
    Ok(())
}

fn gone<T>(_: T) -> Error {
    Error::internal("the client has gone")
}

async fn step(
    process: &mut StreamProcess,
    counted: &TenantStream,
    request: StreamRequest,
    responses: &mpsc::Sender<Result<StreamResponse, Status>>,
) -> Result<(), Error> {
    match request.kind {
        Some(stream_request::Kind::Submit(bundle)) => {
            // Where its tenant has sent too many rows, the bundle waits.
            counted.take(&FlightData { data_header: bundle.header.clone(), ..FlightData::default() }).await?;
            deliver(process.run(bundle).await, responses).await
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

#[tonic::async_trait]
impl Streams for StreamsService {
    type ProcessStream = Pin<Box<dyn Stream<Item = Result<StreamResponse, Status>> + Send>>;

    type ReadStateStream = StateChunks;

    async fn list_streams(
        &self,
        request: Request<ListStreamsRequest>,
    ) -> Result<Response<ListStreamsResponse>, Status> {
        Ok(Response::new(self.listed(request.into_inner()).await?))
    }

    async fn read_state(&self, request: Request<ReadStateRequest>) -> Result<Response<StateChunks>, Status> {
        let (caller, from) = (Principal::of(&request), peer(&request));
        let asked = request.into_inner();
        let stream = asked.stream.clone();
        let read = self.read(&caller, asked).await;
        Ok(Response::new(self.noted(&caller, from, ("ReadState", &stream), read).await?))
    }

    async fn import_stream(&self, request: Request<Streaming<StateChunk>>) -> Result<Response<StreamInfo>, Status> {
        let (caller, from) = (Principal::of(&request), peer(&request));
        let mut stream = String::new();
        let imported = self.import(&caller, request.into_inner(), &mut stream).await;
        Ok(Response::new(self.noted(&caller, from, ("ImportStream", &stream), imported).await?))
    }

    async fn drop_stream(&self, request: Request<DropStreamRequest>) -> Result<Response<DropStreamResponse>, Status> {
        let (caller, from) = (Principal::of(&request), peer(&request));
        let asked = request.into_inner();
        let (service, by) = (self.clone(), Arc::clone(&caller));
        let stream = asked.stream.clone();
        // Goes to its end also where the client does not wait for it.
        let task = tokio::spawn(async move {
            let (entry, _) = service.access.registry.get(&asked.stream).await?;
            by.demand_function(family(&entry.function))?;
            service.access.drop_stream(&asked.stream, asked.force).await
        });
        let dropped = task.await.unwrap_or_else(|e| Err(Error::internal(format!("a stream was not dropped: {e}"))));
        self.noted(&caller, from, ("DropStream", &stream), dropped).await?;
        Ok(Response::new(DropStreamResponse {}))
    }

    async fn process(
        &self,
        request: Request<Streaming<StreamRequest>>,
    ) -> Result<Response<Self::ProcessStream>, Status> {
        let caller = (Principal::of(&request), peer(&request));
        let counted = self.tenants.admit(&caller.0.tenant, caller.0.limits)?;
        let (sender, responses) = mpsc::channel(AHEAD);
        tokio::spawn(self.clone().serve(request.into_inner(), caller, counted, sender));
        Ok(Response::new(Box::pin(ReceiverStream::new(responses))))
    }
}
