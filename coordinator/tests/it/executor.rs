//! A fake executor without Python: it attaches, reports what a test tells it to, and echoes each batch.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arrow_flight::flight_service_server::{FlightService, FlightServiceServer};
use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightInfo, HandshakeRequest, HandshakeResponse,
    PollInfo, PutResult, SchemaResult, Ticket,
};
use futures::Stream;
use prost::Message as _;
use sha2::{Digest as _, Sha256};
use tokio::sync::{Notify, mpsc};
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Request, Response, Status, Streaming};
use udfleet_proto::error::Error;
use udfleet_proto::flight::Route;
use udfleet_proto::limits::MAX_CONTROL_BYTES;
use udfleet_proto::v1::coordinator_message::Kind as Down;
use udfleet_proto::v1::executor_message::Kind as Up;
use udfleet_proto::v1::membership_client::MembershipClient;
use udfleet_proto::v1::{
    BatchHeader, BatchResult, BuildLogLine, DesiredState, ErrorCode, ExecutorMessage, FetchDefinitionsRequest,
    FunctionDefinition, FunctionMetrics, FunctionStatus, Hello, LoadState, PythonVersion, Report,
};

/// What an executor does.
#[derive(Clone, Default)]
pub struct Behaviour {
    /// Fails to load functions of this name.
    pub broken: Option<&'static str>,
    /// Milliseconds for the n-th batch of an exchange.
    pub delay: Option<fn(u64) -> u64>,
    /// Answers this many batches in all, then no more, though it takes them.
    pub silent_after: Option<usize>,
    /// Refuses this many batches in all, then no more.
    pub refuses: usize,
    /// Answers the n-th batch of each exchange with an error.
    pub error: Option<(u64, ErrorCode)>,
    pub python: Option<&'static str>,
    /// Answers each batch, and what has been aggregated, in so many messages; 0: in one.
    pub parts: u64,
    /// Is silent before this part of the first answer.
    pub silent_at_part: Option<u64>,
    /// Ends exchanges only once `Counts::may_end` says so.
    pub ends_late: bool,
}

/// Counts that tests look at.
#[derive(Default)]
pub struct Counts {
    pub batches: AtomicUsize,
    pub open: AtomicUsize,
    pub schemas: AtomicUsize,
    pub dictionaries: AtomicUsize,
    pub messages: AtomicUsize,
    /// Exchanges that came to their end, rather than being reset.
    pub ended: AtomicUsize,
    pub may_end: Notify,
    /// Batches as they came, by what names them.
    pub seen: Mutex<Vec<SeenBatch>>,
    /// Attaches.
    pub attaches: AtomicUsize,
    /// Definitions that were fetched.
    pub definitions: AtomicUsize,
    /// Functions that the latest message of desired state named.
    pub named: AtomicUsize,
    /// Its size.
    pub desired_bytes: AtomicUsize,
}

/// What a batch was called.
#[derive(Debug, Clone, PartialEq)]
pub struct SeenBatch {
    pub producer: String,
    pub header: BatchHeader,
}

/// Lives in its own runtime, so that it can be killed with all its connections.
pub struct Executor {
    runtime: Option<tokio::runtime::Runtime>,
    pub counts: Arc<Counts>,
}

impl Executor {
    pub fn start(coordinator: &str, id: &str, behaviour: Behaviour) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let counts = Arc::new(Counts::default());
        runtime.spawn(run(coordinator.to_owned(), id.to_owned(), behaviour, Arc::clone(&counts)));
        Self { runtime: Some(runtime), counts }
    }

    pub fn kill(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }

    /// Batches as they came, by what names them.
    pub fn seen(&self) -> Vec<SeenBatch> {
        self.counts.seen.lock().unwrap().clone()
    }

    pub fn batches(&self) -> usize {
        self.counts.batches.load(Ordering::SeqCst)
    }
}

impl Drop for Executor {
    fn drop(&mut self) {
        self.kill();
    }
}

async fn run(coordinator: String, id: String, behaviour: Behaviour, counts: Arc<Counts>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let flight = FlightServiceServer::new(Echo { behaviour: behaviour.clone(), counts: Arc::clone(&counts) })
        .max_decoding_message_size(1 << 28)
        .max_encoding_message_size(1 << 28);
    let serve = tonic::transport::Server::builder().add_service(flight);
    tokio::spawn(serve.serve_with_incoming(TcpListenerStream::new(listener)));
    loop {
        // Re-attaches, as executors do.
        let _ = attach(&coordinator, &id, &address, &behaviour, &counts).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn attach(
    coordinator: &str,
    id: &str,
    address: &str,
    behaviour: &Behaviour,
    counts: &Counts,
) -> Result<(), Box<dyn std::error::Error>> {
    let client = MembershipClient::connect(format!("http://{coordinator}")).await?;
    let mut client = client.max_decoding_message_size(MAX_CONTROL_BYTES);
    counts.attaches.fetch_add(1, Ordering::SeqCst);
    let (send, receive) = mpsc::channel(16);
    let hello = Hello {
        executor: id.to_owned(),
        incarnation: address.to_owned(),
        version: udfleet_proto::VERSION.to_owned(),
        address: address.to_owned(),
        pythons: vec![PythonVersion { version: behaviour.python.unwrap_or("3.11.2").to_owned(), ..Default::default() }],
        max_interpreters: 8,
        interpreters_per_environment: 2,
        ..Hello::default()
    };
    send.send(ExecutorMessage { kind: Some(Up::Hello(hello)) }).await?;
    let mut down = client.attach(ReceiverStream::new(receive)).await?.into_inner();
    let mut sequence = 0;
    let mut report = Report::default();
    let mut environments = BTreeMap::new();
    loop {
        tokio::select! {
            message = down.message() => match message?.and_then(|m| m.kind) {
                Some(Down::Desired(desired)) => {
                    if desired.base == 0 {
                        environments.clear();
                    }
                    desired.removed_environments.iter().for_each(|hash| drop(environments.remove(hash)));
                    environments.extend(desired.environments.iter().map(|e| (e.hash.clone(), e.clone())));
                    counts.named.store(desired.functions.len(), Ordering::SeqCst);
                    counts.desired_bytes.store(desired.encoded_len(), Ordering::SeqCst);
                    fetch(&mut client, &desired, counts).await?;
                    let environments = environments.values().cloned().collect();
                    report = Report { answers: report.answers, environments, ..answer(&desired, behaviour) };
                }
                Some(Down::Report(request)) => report.answers = request.number,
                Some(Down::Welcome(_) | Down::Coordinators(_) | Down::TicketKeys(_)) => {}
                None => return Ok(()),
            },
            () = tokio::time::sleep(Duration::from_millis(200)) => {}
        }
        sequence += 1;
        report.sequence = sequence;
        send.send(ExecutorMessage { kind: Some(Up::Report(report.clone())) }).await?;
        // The next one says what has changed since, as executors' reports do.
        (report.functions, report.metrics, report.build_log) = Default::default();
        (report.references, report.unassigned, report.environments_changed) = Default::default();
    }
}

/// Fetches the definitions of what is new, as executors do.
async fn fetch(
    client: &mut MembershipClient<tonic::transport::Channel>,
    desired: &DesiredState,
    counts: &Counts,
) -> Result<(), Box<dyn std::error::Error>> {
    let hashes: Vec<_> = desired.functions.iter().map(|reference| reference.definition.clone()).collect();
    for hashes in hashes.chunks(1024) {
        let request = FetchDefinitionsRequest { definitions: hashes.to_vec() };
        let mut answers = client.fetch_definitions(request).await?.into_inner();
        while let Some(answer) = answers.message().await? {
            for encoded in answer.definitions {
                assert!(hashes.contains(&Sha256::digest(&encoded).to_vec().into()), "asked for");
                FunctionDefinition::decode(encoded)?;
                counts.definitions.fetch_add(1, Ordering::SeqCst);
            }
        }
    }
    Ok(())
}

/// What has changed of what it holds: it serves at once whatever it should.
fn answer(desired: &DesiredState, behaviour: &Behaviour) -> Report {
    let names = || desired.functions.iter().map(|reference| reference.function.clone());
    let status = |function: String| {
        if behaviour.broken.is_some_and(|broken| function.split('@').next() == Some(broken)) {
            let error = Error::new(ErrorCode::LoadFailed, "no module named 'nowhere'").into_info();
            return FunctionStatus {
                function,
                state: LoadState::Failed as i32,
                error: Some(error),
                ..FunctionStatus::default()
            };
        }
        FunctionStatus { function, state: LoadState::Ready as i32, interpreters: 2, ..FunctionStatus::default() }
    };
    let line = |environment: &udfleet_proto::v1::EnvironmentReference| BuildLogLine {
        environment: environment.hash.clone(),
        line: "resolved 0 packages".to_owned(),
        sequence: desired.revision,
    };
    Report {
        term: desired.term,
        revision: desired.revision,
        references: desired.functions.clone(),
        unassigned: desired.removed_functions.clone(),
        environments_changed: true,
        functions: names().map(status).collect(),
        metrics: names()
            .map(|function| FunctionMetrics { function, calls: 7, rows: 70, ..Default::default() })
            .collect(),
        build_log: desired.environments.iter().map(line).collect(),
        interpreters: 2,
        drained: desired.draining,
        ..Report::default()
    }
}

struct Echo {
    behaviour: Behaviour,
    counts: Arc<Counts>,
}

struct Open(Arc<Counts>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::SeqCst);
    }
}

type BoxStream<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

fn reply(result: &BatchResult, data: FlightData) -> FlightData {
    FlightData { flight_descriptor: None, app_metadata: result.encode_to_vec().into(), ..data }
}

/// One exchange.
struct Conversation {
    behaviour: Behaviour,
    counts: Arc<Counts>,
    /// Answers only at the end, with the number of batches.
    aggregates: bool,
    producer: String,
    batches: u64,
    end_sequence: u64,
}

impl Conversation {
    /// The answers to one message.
    async fn hear(&mut self, data: FlightData) -> Vec<FlightData> {
        match arrow_ipc::root_as_message(&data.data_header).unwrap().header_type() {
            arrow_ipc::MessageHeader::Schema => {
                self.counts.schemas.fetch_add(1, Ordering::SeqCst);
                return vec![FlightData { flight_descriptor: None, app_metadata: Default::default(), ..data }];
            }
            arrow_ipc::MessageHeader::RecordBatch => {}
            _ => {
                self.counts.dictionaries.fetch_add(1, Ordering::SeqCst);
                return Vec::new();
            }
        }
        let header = BatchHeader::decode(data.app_metadata.clone()).unwrap();
        let number = self.batches;
        self.batches += 1;
        self.end_sequence = header.sequence + 1;
        self.counts.seen.lock().unwrap().push(SeenBatch { producer: self.producer.clone(), header });
        let seen = self.counts.batches.fetch_add(1, Ordering::SeqCst);
        if self.behaviour.silent_after.is_some_and(|limit| seen >= limit) {
            std::future::pending::<()>().await;
        }
        if let Some(delay) = self.behaviour.delay {
            tokio::time::sleep(Duration::from_millis(delay(number))).await;
        }
        let refused = (seen < self.behaviour.refuses).then_some((number, ErrorCode::NoCapacity));
        match refused.or(self.behaviour.error) {
            Some((at, code)) if at == number => {
                let error = Error::new(code, "ValueError: bad row").with(|info| info.row = Some(3)).into_info();
                let sequence = header.sequence;
                let result = BatchResult { sequence, last: true, error: Some(error), ..Default::default() };
                vec![reply(&result, FlightData::default())]
            }
            _ if self.aggregates => {
                let result = BatchResult { sequence: header.sequence, last: true, ..Default::default() };
                vec![reply(&result, FlightData::default())]
            }
            _ => self.parts(header.sequence, &data),
        }
    }

    fn parts(&self, sequence: u64, data: &FlightData) -> Vec<FlightData> {
        let rows = arrow_ipc::root_as_message(&data.data_header).unwrap().header_as_record_batch().unwrap().length();
        let count = self.behaviour.parts.max(1);
        let result = |part| BatchResult { sequence, last: part + 1 == count, rows: rows as u64, ..Default::default() };
        (0..count).map(|part| reply(&result(part), data.clone())).collect()
    }

    /// The answers to the end of the input.
    async fn end(&self) -> Vec<FlightData> {
        if !self.aggregates {
            return Vec::new();
        }
        let batch = super::client::batch(self.batches as i64..self.batches as i64 + 1);
        let messages = super::client::encode(super::client::schema(), vec![batch]).await;
        self.parts(self.end_sequence, &messages[1])
    }
}

async fn converse(mut conversation: Conversation, first: FlightData, mut rest: Streaming<FlightData>, to: Answers) {
    let _open = Open(Arc::clone(&conversation.counts));
    let silent_at = conversation.behaviour.silent_at_part;
    let mut next = Some(first);
    loop {
        let ended = next.is_none();
        let answers = match next.take() {
            Some(message) => conversation.hear(message).await,
            None => conversation.end().await,
        };
        let data = answers.iter().any(|answer| !answer.app_metadata.is_empty());
        for (part, answer) in answers.into_iter().enumerate() {
            if data && silent_at == Some(part as u64) {
                std::future::pending::<()>().await;
            }
            if to.send(Ok(answer)).await.is_err() {
                return;
            }
            conversation.counts.messages.fetch_add(1, Ordering::SeqCst);
        }
        match rest.message().await {
            Ok(message) if !ended => next = message,
            _ => break,
        }
    }
    if conversation.behaviour.ends_late {
        conversation.counts.may_end.notified().await;
    }
    conversation.counts.ended.fetch_add(1, Ordering::SeqCst);
}

type Answers = mpsc::Sender<Result<FlightData, Status>>;

#[tonic::async_trait]
impl FlightService for Echo {
    type HandshakeStream = BoxStream<HandshakeResponse>;
    type ListFlightsStream = BoxStream<FlightInfo>;
    type DoGetStream = BoxStream<FlightData>;
    type DoPutStream = BoxStream<PutResult>;
    type DoExchangeStream = BoxStream<FlightData>;
    type DoActionStream = BoxStream<arrow_flight::Result>;
    type ListActionsStream = BoxStream<ActionType>;

    async fn do_exchange(
        &self,
        request: Request<Streaming<FlightData>>,
    ) -> Result<Response<Self::DoExchangeStream>, Status> {
        let mut messages = request.into_inner();
        let first = messages.message().await?.unwrap();
        let (request, named) = match Route::parse(first.flight_descriptor.as_ref().unwrap())? {
            Route::Exchange(_, request) => (request.clone(), request.function),
            Route::Composed(request) => (request.clone(), request.stage.unwrap().functions.join(" ")),
            Route::Path(_) => return Err(Status::invalid_argument("not an ExchangeRequest")),
        };
        assert!(request.forwarded && named.contains('@'), "{request:?}");
        self.counts.open.fetch_add(1, Ordering::SeqCst);
        let conversation = Conversation {
            behaviour: self.behaviour.clone(),
            counts: Arc::clone(&self.counts),
            aggregates: request.stage.as_ref().map_or(named.starts_with("agg"), |stage| stage.pipeline_breaker),
            producer: request.producer.clone(),
            batches: 0,
            end_sequence: 0,
        };
        let (to, answers) = mpsc::channel(1);
        tokio::spawn(async move {
            tokio::select! {
                () = to.closed() => {}
                () = converse(conversation, first, messages, to.clone()) => {}
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(answers))))
    }

    async fn get_flight_info(&self, _: Request<FlightDescriptor>) -> Result<Response<FlightInfo>, Status> {
        Err(Status::unimplemented(""))
    }
    async fn get_schema(&self, _: Request<FlightDescriptor>) -> Result<Response<SchemaResult>, Status> {
        Err(Status::unimplemented(""))
    }
    async fn list_flights(&self, _: Request<Criteria>) -> Result<Response<Self::ListFlightsStream>, Status> {
        Err(Status::unimplemented(""))
    }
    async fn do_action(&self, _: Request<Action>) -> Result<Response<Self::DoActionStream>, Status> {
        Err(Status::unimplemented(""))
    }
    async fn list_actions(&self, _: Request<Empty>) -> Result<Response<Self::ListActionsStream>, Status> {
        Err(Status::unimplemented(""))
    }
    async fn handshake(
        &self,
        _: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<Self::HandshakeStream>, Status> {
        Err(Status::unimplemented(""))
    }
    async fn poll_flight_info(&self, _: Request<FlightDescriptor>) -> Result<Response<PollInfo>, Status> {
        Err(Status::unimplemented(""))
    }
    async fn do_get(&self, _: Request<Ticket>) -> Result<Response<Self::DoGetStream>, Status> {
        Err(Status::unimplemented(""))
    }
    async fn do_put(&self, _: Request<Streaming<FlightData>>) -> Result<Response<Self::DoPutStream>, Status> {
        Err(Status::unimplemented(""))
    }
}
