//! The coordinator's control services.

use sha2::{Digest as _, Sha256};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};
use tonic::{Request, Status};
use udfleet_proto::error::Error;
use udfleet_proto::limits::MAX_CONTROL_BYTES;
use udfleet_proto::v1::artifacts_client::ArtifactsClient;
use udfleet_proto::v1::fleet_client::FleetClient;
use udfleet_proto::v1::registration_event::Kind;
use udfleet_proto::v1::{
    Artifact, ArtifactChunk, DescribeFunctionRequest, FunctionInfo, FunctionMetrics, ProgressRequest,
    RegisterFunctionRequest, RegistrationEvent,
};

use crate::certificates::connect_encrypted;
use crate::function::Function;
use crate::wait::{eventually, within};

/// Puts the fleet's token on calls.
#[derive(Clone, Default)]
pub struct Token(Option<MetadataValue<Ascii>>);

impl Token {
    /// No token where `None`.
    ///
    /// # Panics
    /// For a token that is no header value.
    #[must_use]
    pub fn new(token: Option<&str>) -> Self {
        Self(token.map(|token| format!("Bearer {token}").parse().expect("a header value")))
    }
}

impl Interceptor for Token {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(header) = &self.0 {
            request.metadata_mut().insert("authorization", header.clone());
        }
        Ok(request)
    }
}

/// A connection with a token on every call.
pub type Authorized = InterceptedService<Channel, Token>;

/// One address and token; connects for each question, so that it outlives restarts.
#[derive(Clone)]
pub struct Client {
    address: String,
    token: Token,
    tls: Option<ClientTlsConfig>,
}

impl Client {
    /// Speaks to `host:port`.
    #[must_use]
    pub fn new(address: &str, token: Option<&str>) -> Self {
        Self { address: address.to_owned(), token: Token::new(token), tls: None }
    }

    /// The same over TLS.
    #[must_use]
    pub fn encrypted(address: &str, token: Option<&str>, tls: ClientTlsConfig) -> Self {
        Self { tls: Some(tls), ..Self::new(address, token) }
    }

    async fn channel(&self) -> Result<Channel, tonic::transport::Error> {
        match &self.tls {
            Some(tls) => connect_encrypted(&self.address, tls).await,
            None => Endpoint::from_shared(format!("http://{}", self.address)).expect("an address").connect().await,
        }
    }

    /// The Fleet service; `None` while nobody listens.
    pub async fn try_fleet(&self) -> Option<FleetClient<Authorized>> {
        let client = FleetClient::with_interceptor(self.channel().await.ok()?, self.token.clone());
        Some(client.max_decoding_message_size(MAX_CONTROL_BYTES))
    }

    /// The Fleet service.
    ///
    /// # Panics
    /// When nobody listens.
    pub async fn fleet(&self) -> FleetClient<Authorized> {
        self.try_fleet().await.expect("a connection to the coordinator")
    }

    /// Sends a file.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn upload(&self, name: &str, content: &[u8]) -> Artifact {
        self.try_upload(name, content).await.expect("an upload")
    }

    /// Sends a file.
    ///
    /// # Errors
    /// The status that refuses it.
    ///
    /// # Panics
    /// When nobody listens.
    pub async fn try_upload(&self, name: &str, content: &[u8]) -> Result<Artifact, Status> {
        let hash = hex::encode(Sha256::digest(content));
        let size = content.len() as u64;
        let chunks = vec![ArtifactChunk { hash: hash.clone(), size, data: content.to_vec().into() }];
        let channel = self.channel().await.expect("a connection");
        let mut artifacts = ArtifactsClient::with_interceptor(channel, self.token.clone());
        artifacts.put(tokio_stream::iter(chunks)).await?;
        Ok(Artifact { hash, name: name.to_owned(), size })
    }

    /// Sends a function's files and begins its registration; its events.
    ///
    /// # Panics
    /// When the call is refused.
    pub async fn begin_register(&self, function: &Function) -> tonic::Streaming<RegistrationEvent> {
        let module = self.upload("functions.py", function.module().as_bytes()).await;
        let payload = self.upload("payload", function.payload().as_bytes()).await;
        let definition = function.definition(module, payload);
        let request = RegisterFunctionRequest { definition: Some(definition), ..Default::default() };
        self.fleet().await.register_function(request).await.expect("a registration").into_inner()
    }

    /// Registers a function.
    ///
    /// # Errors
    /// As the coordinator says.
    ///
    /// # Panics
    /// When the stream ends before that is known.
    pub async fn try_register(&self, function: &Function) -> Result<FunctionInfo, Error> {
        let mut events = self.begin_register(function).await;
        loop {
            let event = within("registration", events.message()).await.expect("an event");
            match event.expect("ready or failed comes last").kind {
                Some(Kind::Ready(info)) => return Ok(info),
                Some(Kind::Failed(info)) => return Err(info.into()),
                _ => {}
            }
        }
    }

    /// Registers a function that must become ready.
    ///
    /// # Panics
    /// When it does not.
    pub async fn register(&self, function: &Function) -> FunctionInfo {
        self.try_register(function).await.unwrap_or_else(|e| panic!("{} is not ready: {e:?}", function.name))
    }

    /// What the coordinator says of a function, if it knows it.
    pub async fn describe(&self, name: &str) -> Option<FunctionInfo> {
        let request = DescribeFunctionRequest { name: name.to_owned() };
        self.try_fleet().await?.describe_function(request).await.ok().map(tonic::Response::into_inner)
    }

    /// Waits until exactly these executors serve a function.
    pub async fn wait_served_by(&self, name: &str, executors: &[&str]) {
        let serving = async || {
            let info = self.describe(name).await?;
            let ready = info
                .executors
                .iter()
                .filter(|e| e.status.as_ref().is_some_and(|s| s.state() == udfleet_proto::v1::LoadState::Ready));
            (ready.map(|e| e.executor.as_str()).collect::<Vec<_>>() == executors).then_some(())
        };
        eventually(&format!("{name} is served by {executors:?}"), serving).await;
    }

    /// The fleet's numbers of a function, and each executor's.
    ///
    /// # Panics
    /// When the function is not known.
    pub async fn progress(&self, name: &str) -> (FunctionMetrics, Vec<(String, FunctionMetrics)>) {
        let request = ProgressRequest { function: name.to_owned(), ..Default::default() };
        let answer = self.fleet().await.progress(request).await.expect("progress").into_inner();
        let progress = answer.functions.into_iter().next().expect("one function");
        let each = progress.executors.into_iter().map(|e| (e.executor, e.metrics.unwrap_or_default())).collect();
        (progress.total.unwrap_or_default(), each)
    }
}
